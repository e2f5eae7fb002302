/* Reads files of suppressions. Called by gate.c. Takes no locks; allocates with malloc.
 *
 *     # a remark
 *     TYPE:PATTERN [<- PATTERN]...   # owner=NAME expires=YYYY-MM-DD any text
 *
 * A remark behind a suppression begins with white space and '#': names of locks hold '#', too. ThreadSanitizer knows no
 * such remarks; a pattern of its files that has " #" in it never matched anything there. */
#include <ctype.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "analyze/finding.h"
#include "model/options.h"
#include "report/escape.h"
#include "report/view.h"
#include "suppress.h"

#define CALLED_BY " <- "
#define MAX_ITEMS 100000u

static const char *const type_names[] = {
#define X(e, name, why) name,
    SUPPRESS_TYPES(X)
#undef X
};
static const char *const no_effects[] = {
#define X(e, name, why) why,
    SUPPRESS_TYPES(X)
#undef X
};
static const char *const kinds[] = {
#define X(e, s, t) s,
    FINDING_KINDS(X)
#undef X
#define X(e, s) s,
        FINDING_RULES(X)
#undef X
};

struct place {
    const char *name, *begin; /* of the line */
    int line;
    char *err;
    size_t errlen;
};

const char *suppress_type_name(enum suppress_type type)
{
    return type_names[type];
}

const char *suppress_no_effect(enum suppress_type type)
{
    return no_effects[type];
}

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

/* Nearest of the names, or NULL. */
static const char *nearest(const char *const *names, size_t n, const char *word, size_t length)
{
    u32 best = (u32)(length / 2 + 1 < 4 ? length / 2 + 1 : 4);
    const char *answer = NULL;
    for (size_t i = 0; i < n; i++) {
        u32 d = options_distance(word, length, names[i], strlen(names[i]));
        if (*names[i] && d < best) {
            best = d;
            answer = names[i];
        }
    }
    return answer;
}

static int find(const char *const *names, size_t n, const char *word, size_t length)
{
    for (size_t i = 0; i < n; i++)
        if (length && strlen(names[i]) == length && memcmp(names[i], word, length) == 0)
            return (int)i;
    return -1;
}

static char *copy(const char *text, size_t n)
{
    char *c = view_alloc(n + 1);
    memcpy(c, text, n);
    return c;
}

static const char *trim(const char *begin, const char *end)
{
    while (end > begin && isspace((unsigned char)end[-1]))
        end--;
    return end;
}

/* Where the remark begins, or the end of the line. */
static const char *remark_of(const char *begin, const char *end)
{
    for (const char *p = begin; p + 1 < end; p++)
        if (isspace((unsigned char)p[0]) && p[1] == '#')
            return p + 1;
    return end;
}

static bool is_date(const char *p, size_t n)
{
    static const int days[] = {31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    if (n != 10 || p[4] != '-' || p[7] != '-')
        return false;
    for (size_t i = 0; i < n; i++)
        if (i != 4 && i != 7 && !isdigit((unsigned char)p[i]))
            return false;
    int month = (p[5] - '0') * 10 + p[6] - '0', day = (p[8] - '0') * 10 + p[9] - '0';
    return month >= 1 && month <= 12 && day >= 1 && day <= days[month - 1];
}

/* owner=… and expires=… of a remark. */
static int parse_remark(struct suppression *s, const struct place *place, const char *p, const char *end)
{
    static const char owner[] = "owner=", expires[] = "expires=";
    while (p < end) {
        while (p < end && (isspace((unsigned char)*p) || strchr("#,;", *p)))
            p++;
        const char *word = p;
        while (p < end && !isspace((unsigned char)*p) && !strchr(",;", *p))
            p++;
        size_t n = (size_t)(p - word);
        if (n > sizeof owner - 1 && memcmp(word, owner, sizeof owner - 1) == 0) {
            free(s->owner);
            s->owner = escape_text(word + sizeof owner - 1, n - (sizeof owner - 1));
        } else if (n >= sizeof expires - 1 && memcmp(word, expires, sizeof expires - 1) == 0) {
            word += sizeof expires - 1;
            n -= sizeof expires - 1;
            if (!is_date(word, n))
                return wrong(place, word, "'%.*s' is no date; write expires=2027-12-31", (int)(n < 40 ? n : 40), word);
            free(s->expires);
            s->expires = copy(word, n);
        }
    }
    return 0;
}

static void add_step(struct suppression *s, const char *begin, const char *end)
{
    s->step = realloc(s->step, (s->nsteps + 1) * sizeof *s->step);
    if (!s->step)
        abort();
    s->step[s->nsteps++] = copy(begin, (size_t)(end - begin));
}

/* "f <- g": f, called by g. Nothing at all stands for anything, as with ThreadSanitizer. */
static int parse_steps(struct suppression *s, const struct place *place, const char *p, const char *end)
{
    while (p < end) {
        const char *arrow = memmem(p, (size_t)(end - p), CALLED_BY, sizeof CALLED_BY - 1);
        const char *step_end = trim(p, arrow ? arrow : end);
        if (step_end == p || (step_end - p >= 2 && memcmp(p, &CALLED_BY[1], 2) == 0))
            return wrong(place, p, "a pattern is missing before \"<-\"");
        add_step(s, p, step_end);
        if (!arrow)
            return 0;
        p = arrow + sizeof CALLED_BY - 1;
        while (p < end && isspace((unsigned char)*p))
            p++;
        if (p == end)
            return wrong(place, arrow + 1, "a pattern is missing behind \"<-\"");
    }
    return 0;
}

static int parse_kind(struct suppression *s, const struct place *place, const char **p, const char *end)
{
    const char *colon = memchr(*p, ':', (size_t)(end - *p)), *stop = trim(*p, colon ? colon : end);
    size_t n = (size_t)(stop - *p);
    if (find(kinds, ARRAY_LEN(kinds), *p, n) < 0) {
        const char *near = nearest(kinds, ARRAY_LEN(kinds), *p, n);
        return wrong(place, *p, "no kind of finding is called '%.*s'%s%s%s", (int)(n < 60 ? n : 60), *p,
                     near ? "; did you mean '" : "", near ? near : "", near ? "'?" : "");
    }
    s->kind = copy(*p, n);
    *p = colon ? colon + 1 : end;
    return 0;
}

static int parse_pattern(struct suppression *s, const struct place *place, const char *p, const char *end)
{
    if (s->type == SUPPRESS_ID) {
        size_t n = (size_t)(end - p);
        size_t good = 0;
        while (good < n && strchr("0123456789abcdef", p[good]))
            good++;
        if (n != 16 || good < n)
            return wrong(place, p, "an id has 16 lower-case hexadecimal digits");
    }
    if (s->type == SUPPRESS_KIND && parse_kind(s, place, &p, end))
        return -EINVAL;
    while (p < end && isspace((unsigned char)*p))
        p++;
    return parse_steps(s, place, p, end);
}

static int parse_type(struct suppression *s, const struct place *place, const char *p, const char *colon)
{
    size_t n = (size_t)(colon - p);
    int type = find(type_names, ARRAY_LEN(type_names), p, n);
    if (type >= 0) {
        s->type = (enum suppress_type)type;
        return 0;
    }
    const char *near = nearest(type_names, ARRAY_LEN(type_names), p, n);
    return wrong(place, p, "no suppression is called '%.*s'%s%s%s", (int)(n < 60 ? n : 60), p,
                 near ? "; did you mean '" : "", near ? near : "", near ? "'?" : "");
}

static void free_item(struct suppression *s)
{
    for (size_t i = 0; i < s->nsteps; i++)
        free(s->step[i]);
    free(s->step);
    free(s->rule);
    free(s->kind);
    free(s->owner);
    free(s->expires);
}

static int parse_line(struct suppressions *all, const struct place *place, const char *end, const char *today)
{
    struct suppression s = {.file = place->name, .line = place->line};
    const char *p = place->begin;
    while (p < end && isspace((unsigned char)*p))
        p++;
    if (p == end || *p == '#')
        return 0;
    if (all->n >= MAX_ITEMS)
        return wrong(place, p, "too many suppressions");
    const char *remark = remark_of(p, end), *stop = trim(p, remark), *colon = memchr(p, ':', (size_t)(stop - p));
    if (!colon)
        return wrong(place, p, "a suppression is TYPE:PATTERN, as race:function");
    int err = parse_type(&s, place, p, colon);
    if (!err)
        err = parse_pattern(&s, place, colon + 1, stop);
    if (!err)
        err = parse_remark(&s, place, remark, end);
    if (err) {
        free_item(&s);
        return err;
    }
    s.rule = escape_text(p, (size_t)(stop - p));
    s.expired = s.expires && strcmp(s.expires, today) < 0;
    all->item = realloc(all->item, (all->n + 1) * sizeof *all->item);
    if (!all->item)
        abort();
    all->item[all->n++] = s;
    return 0;
}

int suppress_parse(struct suppressions *s, const char *text, size_t n, const char *name, const char *today, char *err,
                   size_t errlen)
{
    const char *end = text + n, *p = text;
    s->files = realloc(s->files, (s->nfiles + 1) * sizeof *s->files);
    if (!s->files)
        abort();
    s->files[s->nfiles] = escape_text(name, strlen(name));
    struct place place = {.name = s->files[s->nfiles++], .err = err, .errlen = errlen};
    while (p < end) {
        const char *newline = memchr(p, '\n', (size_t)(end - p)), *stop = newline ? newline : end;
        place.line++;
        place.begin = p;
        const char *zero = memchr(p, 0, (size_t)(stop - p));
        int bad = zero ? wrong(&place, zero, "a zero byte: this is no file of suppressions")
                       : parse_line(s, &place, stop, today);
        if (bad)
            return bad;
        p = stop + 1;
    }
    return 0;
}

void suppress_free(struct suppressions *s)
{
    for (size_t i = 0; i < s->n; i++)
        free_item(&s->item[i]);
    for (size_t i = 0; i < s->nfiles; i++)
        free(s->files[i]);
    free(s->item);
    free(s->files);
    memset(s, 0, sizeof *s);
}
