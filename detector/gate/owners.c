/* CODEOWNERS. Called by gate.c and the verb check. Takes no locks; allocates with malloc.
 *
 * Patterns are gitignore's, without `!` and `[…]`; the last line that matches decides. A section's head (GitLab) is
 * skipped, its lines are not. */
#include "owners.h"

#include <ctype.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/types.h"
#include "gate.h"
#include "report/escape.h"
#include "report/label.h"
#include "report/view.h"
#include "tree.h"

struct rule {
    char *pattern; /* without slashes at its ends */
    char *owners;
    bool anchored, folder, flat; /* flat: ends in a lone star: not what lies deeper */
};

struct owners {
    char *root;
    struct rule *rule;
    size_t n;
};

static char *copy(const char *text, size_t n)
{
    char *c = view_alloc(n + 1);
    memcpy(c, text, n);
    return c;
}

static void add_rule(struct owners *o, char *pattern, const char *owners, size_t nowners)
{
    struct rule r = {.owners = escape_text(owners, nowners)};
    size_t n = strlen(pattern);
    r.anchored = strchr(pattern, '/') && strchr(pattern, '/') != pattern + n - 1;
    r.folder = n && pattern[n - 1] == '/';
    r.flat = n >= 2 && strcmp(pattern + n - 2, "/*") == 0;
    if (r.folder)
        pattern[--n] = 0;
    r.pattern = copy(pattern + (*pattern == '/'), n - (*pattern == '/'));
    o->rule = realloc(o->rule, (o->n + 1) * sizeof *o->rule);
    if (!o->rule)
        abort();
    o->rule[o->n++] = r;
}

static void parse_line(struct owners *o, const char *p, const char *end)
{
    while (p < end && isspace((unsigned char)*p))
        p++;
    if (p == end || *p == '#' || *p == '[' || (*p == '^' && p + 1 < end && p[1] == '[') || *p == '!')
        return;
    char *pattern = view_alloc((size_t)(end - p) + 1), *out = pattern;
    while (p < end && !isspace((unsigned char)*p)) {
        if (*p == '\\' && p + 1 < end)
            p++;
        *out++ = *p++;
    }
    while (p < end && isspace((unsigned char)*p))
        p++;
    const char *stop = p;
    while (stop < end && !(*stop == '#' && isspace((unsigned char)stop[-1])))
        stop++;
    while (stop > p && isspace((unsigned char)stop[-1]))
        stop--;
    if (*pattern && strcmp(pattern, "/") != 0)
        add_rule(o, pattern, p, (size_t)(stop - p));
    free(pattern);
}

struct owners *owners_parse(const char *text, size_t n, const char *root)
{
    struct owners *o = view_alloc(sizeof *o);
    const char *end = text + n;
    o->root = copy(root, strlen(root));
    for (const char *p = text; p < end;) {
        const char *newline = memchr(p, '\n', (size_t)(end - p)), *stop = newline ? newline : end;
        const char *zero = memchr(p, 0, (size_t)(stop - p));
        parse_line(o, p, zero ? zero : stop);
        p = stop + 1;
    }
    return o;
}

struct owners *owners_load(const char *root)
{
    static const char *const places[] = {"CODEOWNERS", ".github/CODEOWNERS", ".gitlab/CODEOWNERS", "docs/CODEOWNERS"};
    struct owners *o = NULL;
    for (size_t i = 0; !o && i < ARRAY_LEN(places); i++) {
        char *path = NULL, err[300];
        size_t n;
        if (asprintf(&path, "%s/%s", root, places[i]) < 0)
            abort();
        char *text = gate_read_file(path, &n, err, sizeof err);
        if (text)
            o = owners_parse(text, n, root);
        free(text);
        free(path);
    }
    return o;
}

void owners_free(struct owners *o)
{
    for (size_t i = 0; o && i < o->n; i++) {
        free(o->rule[i].pattern);
        free(o->rule[i].owners);
    }
    if (o) {
        free(o->rule);
        free(o->root);
    }
    free(o);
}

/* `*` and `?` stop at slashes, two stars do not. `steps` bounds the search: patterns come from outside. */
static bool glob(const char *p, const char *text, const char *end, int *steps)
{
    for (; *p; p++, text++) {
        if (--*steps < 0)
            return false;
        if (*p == '*') {
            bool deep = p[1] == '*';
            const char *rest = p + 1 + deep;
            if (deep && *rest == '/' && glob(rest + 1, text, end, steps))
                return true;
            for (const char *t = text;; t++) {
                if (glob(rest, t, end, steps))
                    return true;
                if (t == end || (!deep && *t == '/') || *steps < 0)
                    return false;
            }
        }
        if (text == end || (*p == '?' ? *text == '/' : *p != *text))
            return false;
    }
    return text == end;
}

/* The path from `start` on, or a folder of it, is what the pattern says. */
static bool matches_from(const struct rule *r, const char *start, int *steps)
{
    const char *end = start + strlen(start);
    for (const char *slash = strchr(start, '/'); slash && !r->flat; slash = strchr(slash + 1, '/'))
        if (glob(r->pattern, start, slash, steps))
            return true;
    return !r->folder && glob(r->pattern, start, end, steps);
}

static bool matches(const struct rule *r, const char *path)
{
    int steps = 100000;
    if (r->anchored)
        return matches_from(r, path, &steps);
    for (const char *p = path; p; p = strchr(p, '/') ? strchr(p, '/') + 1 : NULL)
        if (matches_from(r, p, &steps))
            return true;
    return false;
}

const char *owners_of_path(const struct owners *o, const char *path)
{
    const char *inside = tree_path(o->root, path);
    for (size_t i = o->n; inside && i-- > 0;)
        if (matches(&o->rule[i], inside))
            return o->rule[i].owners;
    return "";
}

static void add_owners(json_t *list, const char *owners)
{
    while (*owners) {
        size_t n = strcspn(owners, " \t"), i;
        const json_t *known;
        bool fresh = n > 0;
        json_array_foreach (list, i, known)
            fresh &= json_string_length(known) != n || memcmp(json_string_value(known), owners, n) != 0;
        if (fresh)
            json_array_append_new(list, json_stringn(owners, n));
        owners += n + strspn(owners + n, " \t");
    }
}

json_t *owners_of(const struct owners *o, const json_t *finding)
{
    json_t *list = json_array();
    const json_t *event;
    size_t i;
    json_array_foreach (json_object_get(finding, "events"), i, event) {
        const json_t *frame = label_frame(json_object_get(event, "stack"));
        if (*label_text(frame, "file"))
            add_owners(list, owners_of_path(o, label_text(frame, "file")));
    }
    return list;
}
