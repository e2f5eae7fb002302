/* Merging and sorting of findings. Called by collect.c. Takes no locks; allocates with malloc. */
#include "group.h"

#include <stdlib.h>
#include <string.h>

#include "analyze/finding.h"
#include "base/hash.h"
#include "identity.h"
#include "label.h"
#include "map.h"
#include "view.h"

static const char *const kind_order[] = {"deadlock",    "stuck",      "data-race",  "atomicity",
                                         "unprotected", "lock-order", "lock-misuse"};

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

int group_strength(const json_t *finding)
{
    return group_verdict_rank(label_text(finding, "verdict")) * 16 + kind_rank(label_text(finding, "kind"));
}

/* Locks held at the events of a finding, all in all: the plainest way to a cycle has the fewest. Of accesses to memory
 * those are plainest whose stacks are known, then those that write: x++ is a read, too, but that is not what it is
 * about. */
static size_t locks_held(const json_t *finding)
{
    const json_t *e;
    size_t i, n = 0;
    json_array_foreach (json_object_get(finding, "events"), i, e) {
        n += json_array_size(json_object_get(e, "held"));
        n += json_object_get(e, "stack_lost") ? 1000 : 0;
        n += label_is(e, "action", "read") || label_is(e, "action", "atomic-read") ? 100 : 0;
    }
    return n;
}

struct entry {
    json_t *finding; /* the strongest of those merged, of these the plainest */
    int strength;
    size_t position, shown_held, held;
    const char *id; /* the one that stands for all */
    json_t *ids;    /* set of all */
};

static int compare(const void *a, const void *b)
{
    const struct entry *x = a, *y = b;
    if (x->strength != y->strength)
        return x->strength < y->strength ? -1 : 1;
    return x->position < y->position ? -1 : x->position > y->position;
}

/* A global of a module without symbols: each element of an array is one for itself. */
static bool is_nameless(const json_t *finding)
{
    const json_t *memory = json_object_get(finding, "memory");
    return label_is(finding, "kind", "data-race") && label_is(memory, "region", "global") &&
           strstr(label_text(memory, "name"), "+0x");
}

static u64 instruction_of(const json_t *event)
{
    const json_t *frame = json_array_get(json_object_get(event, "stack"), 0);
    const char *module = label_text(frame, "module"), *offset = label_text(frame, "offset");
    u64 hash = hash_bytes(label_text(event, "action"), strlen(label_text(event, "action")), 0);
    return hash_bytes(offset, strlen(offset), hash_bytes(module, strlen(module), hash));
}

/* In whichever order. */
static u64 instructions_of(const json_t *finding)
{
    const json_t *e;
    size_t i;
    u64 sum = 0;
    json_array_foreach (json_object_get(finding, "events"), i, e)
        sum += instruction_of(e);
    return sum;
}

/* What findings of one bug have in common: their id, or for cycles the locks and the functions that take them, or for
 * memory without a name the instructions. */
static u64 bug_of(const json_t *finding)
{
    const char *id = label_text(finding, "id");
    if (is_nameless(finding))
        return instructions_of(finding);
    bool order = label_is(finding, "kind", "deadlock") || label_is(finding, "kind", "lock-order");
    return order ? identity_cycle(finding) : hash_bytes(id, strlen(id), 0);
}

static void start_entry(struct entry *e, json_t *finding, size_t position)
{
    size_t held = locks_held(finding);
    *e = (struct entry){json_incref(finding), group_strength(finding), position, held, held, label_text(finding, "id"),
                        json_object()};
    json_object_set_new(e->ids, e->id, json_true());
}

static void merge_into(struct entry *e, json_t *finding)
{
    json_int_t sum = label_number(e->finding, "count") + label_number(finding, "count");
    size_t held = locks_held(finding);
    const char *id = label_text(finding, "id");
    json_object_set_new(e->ids, id, json_true());
    if (held < e->held || (held == e->held && strcmp(id, e->id) < 0)) {
        e->held = held;
        e->id = id;
    }
    int now = group_strength(finding);
    bool plainer = held < e->shown_held || (held == e->shown_held && strcmp(id, label_text(e->finding, "id")) < 0);
    if (now < e->strength || (now == e->strength && plainer)) {
        json_decref(e->finding);
        e->finding = json_incref(finding);
        e->strength = now;
        e->shown_held = held;
    }
    json_object_set_new(e->finding, "count", json_integer(sum));
}

static int compare_ids(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* Gives the entry's finding the id that stands for all, and the sorted list of the others. */
static json_t *finish_entry(struct entry *e)
{
    const char *id, **others = view_alloc(json_object_size(e->ids) * sizeof *others);
    json_t *also = json_array(), *unused, *chosen = json_string(e->id);
    size_t n = 0;
    json_object_foreach (e->ids, id, unused) {
        if (strcmp(id, e->id) != 0)
            others[n++] = id;
    }
    qsort(others, n, sizeof *others, compare_ids);
    for (size_t i = 0; i < n; i++)
        json_array_append_new(also, json_string(others[i]));
    if (n)
        json_object_set(e->finding, "also", also);
    json_decref(also);
    json_decref(e->ids);
    json_object_set_new(e->finding, "id", chosen);
    free(others);
    return e->finding;
}

static bool same_memory(const json_t *x, const json_t *y)
{
    u64 at = strtoull(label_text(x, "address"), NULL, 16), other = strtoull(label_text(y, "address"), NULL, 16);
    bool bytes = at < other + (u64)label_number(y, "size") && other < at + (u64)label_number(x, "size");
    bool variable = *label_text(x, "type") && *label_text(x, "name"); /* else it is named after its allocation */
    return bytes || (variable && label_is(y, "name", label_text(x, "name")));
}

/* A data race says more than that there could be one. */
static void drop_outdone(json_t *findings)
{
    for (size_t i = json_array_size(findings); i-- > 0;) {
        const json_t *one = json_array_get(findings, i), *f;
        size_t k;
        bool outdone = false;
        if (!label_is(one, "kind", "unprotected"))
            continue;
        json_array_foreach (findings, k, f) {
            outdone |= label_is(f, "kind", "data-race") &&
                       same_memory(json_object_get(one, "memory"), json_object_get(f, "memory"));
        }
        if (outdone)
            json_array_remove(findings, i);
    }
}

void group_findings(json_t *findings)
{
    drop_outdone(findings);
    size_t i, n = 0;
    json_t *f, *all = json_copy(findings); /* ids point into findings: they stay until the end */
    struct refmap by_bug = {0};
    struct entry *entries = view_alloc((json_array_size(findings) + 1) * sizeof *entries);
    json_array_foreach (all, i, f) {
        bool fresh;
        u64 *place = refmap_put(&by_bug, bug_of(f), &fresh);
        if (fresh) {
            *place = n;
            start_entry(&entries[n], f, n);
            n++;
        } else {
            merge_into(&entries[*place], f);
        }
    }
    qsort(entries, n, sizeof *entries, compare);
    json_array_clear(findings);
    for (i = 0; i < n; i++)
        json_array_append_new(findings, finish_entry(&entries[i]));
    json_decref(all);
    free(entries);
    refmap_free(&by_bug);
}
