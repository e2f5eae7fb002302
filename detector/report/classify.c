/* Decides which findings make the exit status 66. Called by the verbs run, report and scan. Takes no locks; allocates
 * nothing. */
#include "classify.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "analyze/finding.h"
#include "group.h"
#include "label.h"
#include "model/options.h"

static const char *const kinds[] = {
#define X(e, s, t) s,
    FINDING_KINDS(X)
#undef X
};
static const char *const rules[] = {
#define X(e, s) s,
    FINDING_RULES(X)
#undef X
};
static const char *const verdicts[] = {
#define X(e, s) s,
    FINDING_VERDICTS(X)
#undef X
};
static const char *const words[] = {"proven", "all", "none"};
static const char *const confidences[] = {"high", "medium", "low"};

static int find(const char *const *names, size_t n, const char *word, size_t length)
{
    for (size_t i = 0; i < n; i++)
        if (strlen(names[i]) == length && length && memcmp(names[i], word, length) == 0)
            return (int)i;
    return -1;
}
#define FIND(names, word, n) find(names, ARRAY_LEN(names), word, n)

static void nearest(const char *const *names, size_t n, const char *word, size_t length, const char **best,
                    u32 *distance)
{
    for (size_t i = 0; i < n; i++) {
        u32 d = options_distance(word, length, names[i], strlen(names[i]));
        if (*names[i] && d < *distance) {
            *distance = d;
            *best = names[i];
        }
    }
}

static int unknown(const char *word, size_t n, char *err, size_t errlen)
{
    const char *best = NULL;
    u32 distance = (u32)(n / 2 + 1 < 4 ? n / 2 + 1 : 4);
    nearest(words, ARRAY_LEN(words), word, n, &best, &distance);
    nearest(kinds, ARRAY_LEN(kinds), word, n, &best, &distance);
    nearest(rules, ARRAY_LEN(rules), word, n, &best, &distance);
    nearest(verdicts, ARRAY_LEN(verdicts), word, n, &best, &distance);
    nearest(confidences, ARRAY_LEN(confidences), word, n, &best, &distance);
    if (best)
        snprintf(err, errlen, "fail-on: '%.*s' is not known; did you mean '%s'?", (int)(n < 80 ? n : 80), word, best);
    else
        snprintf(err, errlen, "fail-on: '%.*s' is not known; say proven, all, none, a kind, a rule or a verdict",
                 (int)(n < 80 ? n : 80), word);
    return -EINVAL;
}

static bool add_word(struct fail_on *f, const char *word, size_t n)
{
    int i;
    if ((i = FIND(words, word, n)) >= 0) {
        f->proven |= i == 0;
        f->kinds |= i == 1 ? ~0u : 0;
    } else if ((i = FIND(kinds, word, n)) >= 0) {
        f->kinds |= 1u << i;
    } else if ((i = FIND(rules, word, n)) >= 0) {
        f->rules |= 1u << i;
    } else if ((i = FIND(verdicts, word, n)) >= 0) {
        f->verdict = i > f->verdict ? i : f->verdict;
    } else if ((i = FIND(confidences, word, n)) >= 0) {
        f->confidence = i > f->confidence ? i : f->confidence;
    } else {
        return false;
    }
    return true;
}

int fail_on_parse(struct fail_on *f, const char *list, char *err, size_t errlen)
{
    *f = (struct fail_on){.verdict = -1, .confidence = -1};
    for (;;) {
        size_t n = strcspn(list, ",");
        if (!add_word(f, list, n))
            return unknown(list, n, err, errlen);
        if (!list[n])
            return 0;
        list += n + 1;
    }
}

static bool counts(const struct fail_on *f, const json_t *finding)
{
    const char *kind = label_text(finding, "kind"), *rule = label_text(finding, "rule");
    int k = FIND(kinds, kind, strlen(kind)), r = FIND(rules, rule, strlen(rule));
    int verdict = group_verdict_rank(label_text(finding, "verdict"));
    if (json_is_true(json_object_get(finding, "in_baseline")) ||
        json_is_string(json_object_get(finding, "suppressed_by")))
        return false;
    const char *confidence = label_text(finding, "confidence");
    int sure = FIND(confidences, confidence, strlen(confidence));
    if (verdict == VERDICT_STATIC && sure >= 0 && sure <= f->confidence)
        return true;
    if (f->kinds == ~0u || (k >= 0 && (f->kinds & 1u << k)) || (r >= 0 && (f->rules & 1u << r)) ||
        verdict <= f->verdict)
        return true;
    if (!f->proven)
        return false;
    bool possible = verdict == VERDICT_POSSIBLE && (k == FINDING_LOCK_ORDER || k == FINDING_LOCK_MISUSE) &&
                    !label_flag(finding, "by-class"); /* those are not closed on instances */
    return verdict <= VERDICT_PREDICTED || possible;
}

bool fail_on_of_scan(const json_t *document)
{
    const json_t *command = json_object_get(json_object_get(document, "run"), "command");
    const char *first = json_string_value(json_array_get(command, 0));
    return first && strcmp(first, "snarl scan") == 0;
}

size_t fail_on_apply(const struct fail_on *f, json_t *document)
{
    size_t i, n = 0;
    json_t *finding;
    json_array_foreach (json_object_get(document, "findings"), i, finding) {
        bool yes = counts(f, finding);
        json_object_set_new(finding, "counts", json_boolean(yes));
        n += yes;
    }
    return n;
}
