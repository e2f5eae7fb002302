/* Findings of many results: those of one id are one. Called by merge.c and cycles.c. Takes no locks; allocates with
 * malloc. */
#include <stdlib.h>
#include <string.h>

#include "base/hash.h"
#include "internal.h"
#include "report/group.h"
#include "report/label.h"
#include "report/view.h"

#define MAX_NAMES 5

static u64 key_of(const char *id)
{
    return hash_bytes(id, strlen(id), 0);
}

/* The finding that stands for it already, or NULL. */
static size_t find(const struct merge *m, const json_t *finding)
{
    const u64 *at = refmap_get(&m->finding_of, key_of(label_text(finding, "id")));
    const json_t *other;
    size_t i;
    json_array_foreach (json_object_get(finding, "also"), i, other) {
        if (!at && json_is_string(other))
            at = refmap_get(&m->finding_of, key_of(json_string_value(other)));
    }
    return at ? *at : 0;
}

static void remember(struct merge *m, const json_t *finding, size_t at)
{
    const json_t *other;
    size_t i;
    bool fresh;
    u64 *place = refmap_put(&m->finding_of, key_of(label_text(finding, "id")), &fresh);
    *place = at;
    json_array_foreach (json_object_get(finding, "also"), i, other) {
        place = json_is_string(other) ? refmap_put(&m->finding_of, key_of(json_string_value(other)), &fresh) : NULL;
        if (place && fresh)
            *place = at;
    }
}

/* "runs" of a finding: how many had it, and the names of the first ones. */
static json_t *runs_of(const json_t *finding, const char *name)
{
    json_t *runs = json_object_get(finding, "runs");
    if (runs)
        return json_incref(runs);
    return json_pack("{s:i,s:[s]}", "count", 1, "names", name);
}

static void add_runs(json_t *to, const json_t *more)
{
    json_t *names = json_object_get(to, "names"), *name;
    size_t i;
    json_object_set_new(to, "count", json_integer(merge_sum(label_number(to, "count"), label_number(more, "count"))));
    json_array_foreach (json_object_get(more, "names"), i, name) {
        if (json_array_size(names) < MAX_NAMES)
            json_array_append(names, name);
    }
}

static void join(struct merge *m, size_t at, json_t *finding, const char *name)
{
    json_t *known = json_array_get(m->findings, at - 1), *runs = json_incref(json_object_get(known, "runs")),
           *more = runs_of(finding, name);
    json_int_t count = merge_sum(label_number(known, "count"), label_number(finding, "count"));
    add_runs(runs, more);
    json_decref(more);
    if (group_strength(finding) < group_strength(known)) {
        json_array_set(m->findings, at - 1, finding);
        known = finding;
    }
    json_object_set_new(known, "runs", runs);
    json_object_set_new(known, "count", json_integer(count));
}

void findings_add(struct merge *m, const json_t *document, const char *name)
{
    json_t *finding;
    size_t i;
    json_array_foreach (json_object_get(document, "findings"), i, finding) {
        size_t at = find(m, finding);
        if (at) {
            join(m, at, finding, name);
            continue;
        }
        json_t *runs = runs_of(finding, name);
        json_object_set_new(finding, "runs", runs);
        json_array_append(m->findings, finding);
        remember(m, finding, json_array_size(m->findings));
    }
}

bool findings_add_new(struct merge *m, json_t *finding)
{
    bool fresh = !find(m, finding);
    if (fresh) {
        json_array_append(m->findings, finding);
        remember(m, finding, json_array_size(m->findings));
    }
    json_decref(finding);
    return fresh;
}

struct ranked {
    json_t *finding;
    int strength;
    size_t position;
};

static int compare(const void *a, const void *b)
{
    const struct ranked *x = a, *y = b;
    if (x->strength != y->strength)
        return x->strength < y->strength ? -1 : 1;
    return x->position < y->position ? -1 : x->position > y->position;
}

json_t *findings_finish(struct merge *m)
{
    size_t n = json_array_size(m->findings);
    struct ranked *order = view_alloc((n + 1) * sizeof *order);
    json_t *sorted = json_array();
    for (size_t i = 0; i < n; i++) {
        json_t *f = json_array_get(m->findings, i);
        order[i] = (struct ranked){f, group_strength(f), i};
    }
    qsort(order, n, sizeof *order, compare);
    for (size_t i = 0; i < n; i++)
        json_array_append(sorted, order[i].finding);
    free(order);
    return sorted;
}
