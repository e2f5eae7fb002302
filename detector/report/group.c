/* Merging and sorting of findings. Called by collect.c. Takes no locks; allocates with malloc. */
#include "group.h"

#include <stdlib.h>
#include <string.h>

#include "analyze/finding.h"
#include "base/hash.h"
#include "label.h"
#include "map.h"
#include "view.h"

static const char *const kind_order[] = {"deadlock", "stuck", "lock-order", "lock-misuse"};

int group_verdict_rank(const char *verdict)
{
    static const char *const names[] = {
#define X(e, s) s,
        FINDING_VERDICTS(X)
#undef X
    };
    for (int i = 0; i < VERDICT_COUNT; i++)
        if (strcmp(names[i], verdict) == 0)
            return i;
    return VERDICT_COUNT;
}

static int kind_rank(const char *kind)
{
    int n = sizeof kind_order / sizeof *kind_order;
    for (int i = 0; i < n; i++)
        if (strcmp(kind_order[i], kind) == 0)
            return i;
    return n;
}

static int strength(const json_t *finding)
{
    return group_verdict_rank(label_text(finding, "verdict")) * 16 + kind_rank(label_text(finding, "kind"));
}

struct entry {
    json_t *finding;
    int strength;
    size_t position;
};

static int compare(const void *a, const void *b)
{
    const struct entry *x = a, *y = b;
    if (x->strength != y->strength)
        return x->strength < y->strength ? -1 : 1;
    return x->position < y->position ? -1 : x->position > y->position;
}

/* Adds one finding to the entries: a new one, or merged into that of its id. */
static size_t merge(struct entry *entries, size_t n, struct refmap *by_id, json_t *finding)
{
    const char *id = label_text(finding, "id");
    bool fresh;
    u64 *place = refmap_put(by_id, hash_bytes(id, strlen(id), 0), &fresh);
    if (fresh) {
        *place = n;
        entries[n] = (struct entry){json_incref(finding), strength(finding), n};
        return n + 1;
    }
    struct entry *e = &entries[*place];
    json_int_t sum = label_number(e->finding, "count") + label_number(finding, "count");
    if (strength(finding) < e->strength) {
        json_decref(e->finding);
        e->finding = json_incref(finding);
        e->strength = strength(finding);
    }
    json_object_set_new(e->finding, "count", json_integer(sum));
    return n;
}

void group_findings(json_t *findings)
{
    size_t i, n = 0;
    json_t *f;
    struct refmap by_id = {0};
    struct entry *entries = view_alloc((json_array_size(findings) + 1) * sizeof *entries);
    json_array_foreach(findings, i, f) n = merge(entries, n, &by_id, f);
    qsort(entries, n, sizeof *entries, compare);
    json_array_clear(findings);
    for (i = 0; i < n; i++)
        json_array_append_new(findings, entries[i].finding);
    free(entries);
    refmap_free(&by_id);
}
