/* Reads baselines. Called by gate.c. Takes no locks; allocates with malloc.
 *
 *     # snarl lock order baseline 1
 *     order  A < B          # remark
 *     order  A.* < B < C
 *     rule   A < B
 *     level  3 A.*
 *     accept 9f1c2ab34d55e001
 *
 * Names of classes may hold blanks and '<' (C++): names are parted by " < ", a remark begins with white space and '#'.
 * A blank of a name that would be taken for one of these is written \x20. */
#include "baseline.h"

#include <ctype.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/types.h"
#include "model/options.h"
#include "report/escape.h"
#include "report/label.h"
#include "report/view.h"

#define LESS " < "
#define MAX_ENTRIES 1000000u

static const char first_line[] = "# snarl lock order baseline ";

struct place {
    const char *name, *begin; /* of the line */
    int line;
    char *err;
    size_t errlen;
};

__attribute__((format(printf, 3, 4))) static int wrong(const struct place *p, const char *at, const char *format, ...)
{
    char text[300];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    char *safe = escape_text(text, strlen(text));
    snprintf(p->err, p->errlen, "%s:%d:%d: %s", p->name, p->line, (int)(at - p->begin) + 1, safe);
    free(safe);
    return -EINVAL;
}

static char *copy(const char *text, size_t n)
{
    char *c = view_alloc(n + 1);
    memcpy(c, text, n);
    return c;
}

static const char *skip_space(const char *p, const char *end)
{
    while (p < end && isspace((unsigned char)*p))
        p++;
    return p;
}

static const char *trim(const char *begin, const char *end)
{
    while (end > begin && isspace((unsigned char)end[-1]))
        end--;
    return end;
}

/* A name with its \x20 made blanks again, and harmless as those of results are. malloc'd. */
static char *read_name(const char *p, const char *end)
{
    char *name = view_alloc((size_t)(end - p) + 1), *out = name;
    while (p < end) {
        if (end - p >= 4 && memcmp(p, "\\x20", 4) == 0) {
            *out++ = ' ';
            p += 4;
        } else {
            *out++ = *p++;
        }
    }
    char *safe = escape_text(name, (size_t)(out - name));
    free(name);
    return safe;
}

static void add_name(struct baseline_entry *e, char *name)
{
    e->name = realloc(e->name, (e->nnames + 1) * sizeof *e->name);
    if (!e->name)
        abort();
    e->name[e->nnames++] = name;
}

static int parse_names(struct baseline_entry *e, const struct place *place, const char *p, const char *end)
{
    bool patterns = false;
    for (;;) {
        const char *less = memmem(p, (size_t)(end - p), LESS, sizeof LESS - 1), *stop = trim(p, less ? less : end);
        if (stop == p || (*p == '<' && (stop == p + 1 || p[1] == ' ')))
            return wrong(place, p, "a lock is missing; write order A < B");
        patterns |= memchr(p, '*', (size_t)(stop - p)) != NULL;
        add_name(e, read_name(p, stop));
        if (!less)
            break;
        p = skip_space(less + sizeof LESS - 1, end);
    }
    if (e->nnames < 2)
        return wrong(place, p, "\" < \" is missing; write order A < B");
    if (patterns || e->nnames > 2)
        e->kind = BASELINE_RULE;
    return 0;
}

static int parse_level(struct baseline_entry *e, const struct place *place, const char *p, const char *end)
{
    const char *digits = p;
    e->kind = BASELINE_LEVEL;
    for (; p < end && isdigit((unsigned char)*p) && p - digits < 6; p++)
        e->level = e->level * 10 + (*p - '0');
    if (p == digits || (p < end && !isspace((unsigned char)*p)))
        return wrong(place, digits, "a level is a number from 0 to 999999; write level 3 A");
    p = skip_space(p, end);
    if (p == end)
        return wrong(place, p, "a lock is missing; write level 3 A");
    add_name(e, read_name(p, end));
    return 0;
}

static int parse_accept(struct baseline_entry *e, const struct place *place, const char *p, const char *end)
{
    size_t n = (size_t)(end - p), good = 0;
    e->kind = BASELINE_ACCEPT;
    while (good < n && strchr("0123456789abcdef", p[good]))
        good++;
    if (n != 16 || good < n)
        return wrong(place, p, "an id has 16 lower-case hexadecimal digits");
    add_name(e, copy(p, n));
    return 0;
}

static int parse_word(struct baseline_entry *e, const struct place *place, const char *p, const char *end)
{
    static const char *const words[] = {"order", "rule", "level", "accept"};
    const char *word = p;
    while (p < end && !isspace((unsigned char)*p))
        p++;
    size_t n = (size_t)(p - word), best = ARRAY_LEN(words);
    u32 distance = 3;
    p = skip_space(p, end);
    for (size_t i = 0; i < ARRAY_LEN(words); i++) {
        u32 d = options_distance(word, n, words[i], strlen(words[i]));
        if (d < distance) {
            distance = d;
            best = i;
        }
    }
    if (distance)
        return wrong(place, word, "'%.*s' is neither order, rule, level nor accept%s%s%s", (int)(n < 40 ? n : 40), word,
                     best < ARRAY_LEN(words) ? "; did you mean '" : "", best < ARRAY_LEN(words) ? words[best] : "",
                     best < ARRAY_LEN(words) ? "'?" : "");
    e->kind = best == 1 ? BASELINE_RULE : BASELINE_ORDER;
    return best < 2    ? parse_names(e, place, p, end)
           : best == 2 ? parse_level(e, place, p, end)
                       : parse_accept(e, place, p, end);
}

static void free_entry(struct baseline_entry *e)
{
    for (size_t i = 0; i < e->nnames; i++)
        free(e->name[i]);
    free(e->name);
    free(e->remark);
    free(e->comment);
}

static struct baseline_entry *append(struct baseline *b, struct baseline_entry e)
{
    b->entry = realloc(b->entry, (b->n + 1) * sizeof *b->entry);
    if (!b->entry)
        abort();
    b->entry[b->n] = e;
    return &b->entry[b->n++];
}

/* One line that is neither blank nor a comment; `comment` is what stood before it. */
static int parse_entry(struct baseline *b, const struct place *place, const char *p, const char *end,
                       struct buffer *comment)
{
    struct baseline_entry e = {.line = place->line};
    const char *remark = end;
    for (const char *q = p; q + 1 < end && remark == end; q++)
        if (isspace((unsigned char)q[0]) && q[1] == '#')
            remark = q + 1;
    int bad = b->n >= MAX_ENTRIES ? wrong(place, p, "too many lines") : parse_word(&e, place, p, trim(p, remark));
    if (bad) {
        free_entry(&e);
        return bad;
    }
    if (remark < end) {
        const char *text = skip_space(remark + 1, end);
        e.remark = copy(text, (size_t)(trim(text, end) - text));
    }
    if (comment->length)
        e.comment = buffer_take(comment);
    append(b, e);
    return 0;
}

static int parse_version(const struct place *place, const char *p, const char *end)
{
    size_t n = sizeof first_line - 1;
    if ((size_t)(end - p) <= n || memcmp(p, first_line, n) != 0)
        return 0;
    const char *stop = trim(p, end);
    if (stop == p + n + 1 && p[n] == '1')
        return 1;
    return wrong(place, p + n, "this version of snarl reads baseline 1");
}

static int parse_line(struct baseline *b, struct place *place, const char *end, struct buffer *comment)
{
    const char *zero = memchr(place->begin, 0, (size_t)(end - place->begin)), *p = skip_space(place->begin, end);
    if (zero)
        return wrong(place, zero, "a zero byte: this is no baseline");
    if (p < end && *p != '#')
        return parse_entry(b, place, p, trim(p, end), comment);
    int version = p < end ? parse_version(place, p, end) : 0;
    if (version)
        return version < 0 ? version : 0;
    if (p < end) {
        buffer_add(comment, p, (size_t)(trim(p, end) - p));
        buffer_put(comment, "\n");
    } else if (!b->n && !b->head && comment->length) {
        b->head = buffer_take(comment); /* a blank line ends what is said of the whole file */
    }
    return 0;
}

int baseline_parse(struct baseline *b, const char *text, size_t n, const char *name, char *err, size_t errlen)
{
    const char *end = text + n, *p = text;
    struct buffer comment = {0};
    *b = (struct baseline){.file = escape_text(name, strlen(name))};
    struct place place = {.name = b->file, .err = err, .errlen = errlen};
    int bad = 0;
    while (p < end && !bad) {
        const char *newline = memchr(p, '\n', (size_t)(end - p)), *stop = newline ? newline : end;
        place.line++;
        place.begin = p;
        bad = parse_line(b, &place, stop, &comment);
        p = stop + 1;
    }
    if (comment.length)
        b->tail = buffer_take(&comment);
    free(comment.text);
    if (bad)
        baseline_free(b);
    return bad;
}

void baseline_free(struct baseline *b)
{
    for (size_t i = 0; i < b->n; i++)
        free_entry(&b->entry[i]);
    free(b->entry);
    free(b->file);
    free(b->head);
    free(b->tail);
    *b = (struct baseline){0};
}

struct baseline_entry *baseline_add(struct baseline *b, enum baseline_kind kind, const char *first, const char *second)
{
    struct baseline_entry *e = append(b, (struct baseline_entry){.kind = kind, .seen = true});
    add_name(e, copy(first, strlen(first)));
    if (second)
        add_name(e, copy(second, strlen(second)));
    return e;
}

struct baseline_entry *baseline_accepts(struct baseline *b, const json_t *finding)
{
    const json_t *also = json_object_get(finding, "also"), *other;
    for (size_t i = 0; i < b->n; i++) {
        struct baseline_entry *e = &b->entry[i];
        size_t k;
        bool same = e->kind == BASELINE_ACCEPT && label_is(finding, "id", e->name[0]);
        if (e->kind != BASELINE_ACCEPT)
            continue;
        json_array_foreach (also, k, other) {
            same |= json_is_string(other) && strcmp(json_string_value(other), e->name[0]) == 0;
        }
        if (same)
            return e;
    }
    return NULL;
}
