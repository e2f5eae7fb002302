/* Contention in the result document: the threads' records of one class added up. Called by collect.c. Takes no locks;
 * allocates with malloc. The arena is hostile input: see view.h. */
#include <stdlib.h>
#include <string.h>

#include "base/hash.h"
#include "collect.h"
#include "map.h"
#include "model/measure.h"
#include "names.h"
#include "view.h"

#define MAX_ROWS 100000u
#define MAX_CANDIDATES 64u /* holds of a class that are compared; the longest are shown */

struct candidate {
    struct measure_longest at;
    ref_t process;
};

struct row {
    const struct lock_name *name;
    u32 mode;
    struct measure_rec sum; /* its wait is the longest one; its holds are not used */
    ref_t waiter_process;
    struct candidate hold[MAX_CANDIDATES]; /* the longest first */
    u32 nholds;
};

struct rows {
    struct refmap of;
    struct row **row;
    size_t n;
};

static u64 more(u64 a, u64 b)
{
    u64 sum = (a & INT64_MAX) + (b & INT64_MAX);
    return sum < INT64_MAX ? sum : INT64_MAX;
}

static void add_hold(struct row *row, const struct measure_longest *at, ref_t process)
{
    u32 i = row->nholds < MAX_CANDIDATES ? row->nholds++ : MAX_CANDIDATES;
    for (; i && row->hold[i - 1].at.ns < at->ns; i--)
        if (i < MAX_CANDIDATES)
            row->hold[i] = row->hold[i - 1];
    if (i < MAX_CANDIDATES)
        row->hold[i] = (struct candidate){*at, process};
}

static void add_record(struct row *row, const struct measure_rec *r)
{
    struct measure_rec *s = &row->sum;
    s->acquisitions = more(s->acquisitions, r->acquisitions);
    s->contended = more(s->contended, r->contended);
    s->reacquired = more(s->reacquired, r->reacquired);
    s->given_up = more(s->given_up, r->given_up);
    s->wait_ns = more(s->wait_ns, r->wait_ns);
    s->hold_ns = more(s->hold_ns, r->hold_ns);
    for (u32 i = 0; i < MEASURE_BUCKETS; i++) {
        s->waits[i] = more(s->waits[i], r->waits[i]);
        s->holds[i] = more(s->holds[i], r->holds[i]);
    }
    if (r->wait.ns > s->wait.ns) {
        s->wait = r->wait;
        row->waiter_process = r->process;
    }
    for (u32 i = 0; i < MEASURE_HOLDERS; i++)
        if (r->hold[i].ns)
            add_hold(row, &r->hold[i], r->process);
}

static struct row *row_of(struct rows *rows, const struct lock_name *name, u32 mode)
{
    bool fresh;
    u64 key = hash_combine(hash_bytes(name->class, strlen(name->class), 0), mode);
    u64 *place = refmap_put(&rows->of, key, &fresh);
    if (!fresh)
        return rows->row[*place];
    *place = rows->n;
    if (!(rows->n & (rows->n - 1))) {
        rows->row = realloc(rows->row, (rows->n ? 2 * rows->n : 1) * sizeof(struct row *));
        if (!rows->row)
            abort();
    }
    struct row *row = view_alloc(sizeof *row);
    *row = (struct row){.name = name, .mode = mode};
    return rows->row[rows->n++] = row;
}

static int by_weight(const void *a, const void *b)
{
    const struct row *x = *(const struct row *const *)a, *y = *(const struct row *const *)b;
    if (x->sum.wait_ns != y->sum.wait_ns)
        return x->sum.wait_ns < y->sum.wait_ns ? 1 : -1;
    if (x->sum.hold_ns != y->sum.hold_ns)
        return x->sum.hold_ns < y->sum.hold_ns ? 1 : -1;
    int class = strcmp(x->name->class, y->name->class);
    return class ? class : (x->mode > y->mode) - (x->mode < y->mode);
}

/* Up to the last time there is. */
static json_t *histogram(const u64 *n)
{
    json_t *list = json_array();
    u32 last = MEASURE_BUCKETS;
    while (last && !n[last - 1])
        last--;
    for (u32 i = 0; i < last; i++)
        json_array_append_new(list, json_integer((json_int_t)n[i]));
    return list;
}

static json_t *longest_json(struct names *n, const struct measure_longest *at, ref_t process)
{
    return json_pack("{s:I,s:I,s:I,s:o}", "ns", (json_int_t)(at->ns & INT64_MAX), "thread", (json_int_t)at->thread,
                     "process", (json_int_t)collect_process_number(process), "stack",
                     names_stack(n, at->stack, at->site_pc, process));
}

/* The longest one of each place, by the line that took it. */
static json_t *holds_json(struct names *n, const struct row *row)
{
    json_t *list = json_array(), *sites = json_array();
    for (u32 i = 0; i < row->nholds && json_array_size(list) < MEASURE_HOLDERS; i++) {
        const struct candidate *c = &row->hold[i];
        json_t *site = names_stack(n, 0, c->at.site_pc, c->process), *other;
        size_t k;
        bool known = false;
        json_array_foreach (sites, k, other)
            known |= json_equal(site, other);
        json_array_append_new(sites, site);
        if (known)
            continue;
        json_t *j = longest_json(n, &c->at, c->process);
        if (c->at.end_stack)
            json_object_set_new(j, "released", names_stack(n, c->at.end_stack, 0, c->process));
        json_array_append_new(list, j);
    }
    json_decref(sites);
    return list;
}

static json_t *row_json(struct names *n, const struct row *row)
{
    const struct measure_rec *s = &row->sum;
    json_t *j = json_pack(
        "{s:s,s:s,s:s,s:I,s:I,s:I,s:I,s:I,s:I,s:I,s:I}", "class", row->name->class, "kind", row->name->kind, "mode",
        row->mode == MODE_SHARED ? "shared" : "exclusive", "acquisitions", (json_int_t)s->acquisitions, "contended",
        (json_int_t)s->contended, "reacquired", (json_int_t)s->reacquired, "given_up", (json_int_t)s->given_up,
        "wait_ns", (json_int_t)s->wait_ns, "longest_wait_ns", (json_int_t)(s->wait.ns & INT64_MAX), "hold_ns",
        (json_int_t)s->hold_ns, "longest_hold_ns", (json_int_t)(row->nholds ? row->hold[0].at.ns & INT64_MAX : 0));
    if (strcmp(row->name->local, row->name->class) != 0)
        json_object_set_new(j, "local", json_string(row->name->local));
    json_object_set_new(j, "wait_histogram", histogram(s->waits));
    json_object_set_new(j, "hold_histogram", histogram(s->holds));
    if (s->wait.ns)
        json_object_set_new(j, "longest_wait", longest_json(n, &s->wait, row->waiter_process));
    json_object_set_new(j, "longest_holds", holds_json(n, row));
    return j;
}

json_t *collect_contention(struct names *n, u32 only)
{
    struct rows rows = {0};
    struct view_walk walk = {0};
    struct measure_rec r;
    json_t *list = json_array();
    while (view_next(POOL_MEASURE, &walk, &r, sizeof r) && rows.n < MAX_ROWS)
        if (r.lock && (r.acquisitions || r.given_up) && (!only || r.process == only))
            add_record(row_of(&rows, names_lock(n, r.lock), r.mode == MODE_SHARED), &r);
    if (rows.n)
        qsort(rows.row, rows.n, sizeof *rows.row, by_weight);
    for (size_t i = 0; i < rows.n; i++) {
        json_array_append_new(list, row_json(n, rows.row[i]));
        free(rows.row[i]);
    }
    free(rows.row);
    refmap_free(&rows.of);
    return list;
}
