/* Which ways of the joined graph could be gone at the same time. Called by merge.c and cycles.c. Takes no locks;
 * allocates with malloc.
 *
 * Runs that had two ways know it: by their threads and by the must order (create, join, fork, barriers). Where no run
 * had both, what is known of the threads that went them decides: the main thread is one thread in all runs of a program,
 * and what happens before the first other thread or after the last meets nobody. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/hash.h"
#include "internal.h"
#include "report/label.h"
#include "report/view.h"

#define MAX_ENTRIES 400u     /* ways of one document that are compared */
#define MAX_ROLE_THREADS 64u /* threads of one document whose lives are compared */

enum { MET = 1, TOGETHER = 2 };

/* ---- the core: classes that can be part of a cycle ---- */

static bool edge_binds(const struct merge *m, const struct merged_edge *e)
{
    if (e->from == e->to || m->class[e->from].no_lock || m->class[e->to].no_lock)
        return false;
    for (u32 i = e->first_way; i; i = m->way[i - 1].next)
        if (reading_binds(m->way[i - 1].context))
            return true;
    return false;
}

/* Takes away, as long as there are any, classes that nothing leads to or from. */
static void trim(struct merge *m)
{
    for (bool more = true; more;) {
        u8 *in = view_alloc(m->nclasses), *out = view_alloc(m->nclasses);
        more = false;
        for (size_t i = 0; i < m->nedges; i++) {
            struct merged_edge *e = &m->edge[i];
            e->core = e->core && m->class[e->from].core && m->class[e->to].core;
            if (e->core)
                out[e->from] = in[e->to] = 1;
        }
        for (size_t c = 0; c < m->nclasses; c++)
            if (m->class[c].core && !(in[c] && out[c])) {
                m->class[c].core = false;
                more = true;
            }
        free(in);
        free(out);
    }
}

bool together_prepare(struct merge *m)
{
    for (size_t c = 0; c < m->nclasses; c++)
        m->class[c].core = true;
    for (size_t i = 0; i < m->nedges; i++)
        m->edge[i].core = edge_binds(m, &m->edge[i]);
    trim(m);
    for (size_t i = 0; i < m->nways; i++) {
        struct merged_way *w = &m->way[i];
        if (!m->edge[w->edge].core || !reading_binds(w->context))
            continue;
        w->number = (u32)++m->ncore;
        w->runs = view_alloc((m->nruns / 64 + 1) * sizeof(u64));
    }
    return m->ncore > 0;
}

/* ---- the threads of one document ---- */

static const json_t *threads_of(const struct reading *r)
{
    return json_object_get(r->graph, "threads");
}

void together_solitude(struct reading *r, const json_t *context, bool *alone, bool *single)
{
    const json_t *t;
    size_t i, others = 0, apart = 0;
    *alone = json_is_true(json_object_get(context, "alone")); /* a merged result has worked that out */
    *single = json_is_true(json_object_get(context, "single"));
    bool known = json_array_size(threads_of(r)) && !json_object_get(r->graph, "cut");
    if (!known || strcmp(reading_role(r, context), "main") != 0)
        return;
    u64 at = must_segment(r, context, "segment");
    json_array_foreach (threads_of(r), i, t) {
        if (label_number(t, "process") != label_number(context, "process") ||
            label_number(t, "thread") == label_number(context, "thread"))
            continue;
        others++;
        apart += must_before_or_after(r, at, must_segment(r, t, "first"), must_segment(r, t, "last"));
    }
    *single = !others;
    *alone = others == apart;
}

static u64 role_pair(const char *program, const char *a, const char *b)
{
    u64 x = hash_bytes(a, strlen(a), 0), y = hash_bytes(b, strlen(b), 0);
    return hash_combine(hash_bytes(program, strlen(program), 0), hash_combine(x < y ? x : y, x < y ? y : x));
}

static void put_relation(struct refmap *map, u64 key, bool together)
{
    *refmap_put(map, key, NULL) |= MET | (together ? TOGETHER : 0);
}

/* Of many threads nothing is concluded. */
void together_roles(struct reading *r)
{
    const json_t *threads = threads_of(r), *t, *u;
    size_t i, k;
    json_array_foreach (json_object_get(r->graph, "roles"), i, t)
        put_relation(&r->m->roles, strtoull(label_text(t, "pair"), NULL, 16),
                     json_is_true(json_object_get(t, "possible")));
    json_array_foreach (threads, i, t) {
        json_array_foreach (threads, k, u) {
            const char *a = reading_role(r, t), *b = reading_role(r, u);
            if (k >= i || strcmp(a, b) == 0 || label_number(t, "process") != label_number(u, "process"))
                continue;
            bool apart = json_array_size(threads) <= MAX_ROLE_THREADS &&
                         (must_before(r, must_segment(r, t, "last"), must_segment(r, u, "first")) ||
                          must_before(r, must_segment(r, u, "last"), must_segment(r, t, "first")));
            put_relation(&r->m->roles, role_pair(r->m->run[reading_run(r, t)].program, a, b), !apart);
        }
    }
}

json_t *together_roles_json(const struct merge *m)
{
    json_t *list = json_array();
    for (const struct refmap_item *i = refmap_next(&m->roles, NULL); i; i = refmap_next(&m->roles, i)) {
        char pair[20];
        snprintf(pair, sizeof pair, "%016llx", (unsigned long long)i->key);
        json_array_append_new(list, json_pack("{s:s,s:b}", "pair", pair, "possible", (i->value & TOGETHER) != 0));
    }
    return list;
}

/* ---- the second reading ---- */

struct entry {
    struct merged_way *way;
    json_int_t thread;
    u64 segment;
    u32 run;
};

static u64 pair_key(const struct merged_way *a, const struct merged_way *b)
{
    u32 x = a->number, y = b->number;
    return x < y ? (u64)x << 32 | y : (u64)y << 32 | x;
}

static size_t collect(struct reading *r, struct entry *entry)
{
    struct merge *m = r->m;
    const json_t *edge, *context;
    size_t n = 0, i, k;
    json_array_foreach (json_object_get(r->graph, "edges"), i, edge) {
        json_array_foreach (json_object_get(edge, "contexts"), k, context) {
            const u64 *at = reading_binds(context) ? refmap_get(&m->way_of, reading_key(r, edge, context)) : NULL;
            struct merged_way *w = at ? &m->way[*at] : NULL;
            if (!w || !w->number)
                continue;
            u32 run = reading_run(r, context);
            w->runs[run / 64] |= 1ULL << run % 64;
            if (n < MAX_ENTRIES)
                entry[n++] =
                    (struct entry){w, label_number(context, "thread"), must_segment(r, context, "segment"), run};
        }
    }
    return n;
}

/* What a merged result has worked out itself: "together" of its graph. */
static void add_known(struct reading *r)
{
    const json_t *item;
    size_t i;
    json_array_foreach (json_object_get(r->graph, "together"), i, item) {
        const u64 *a = refmap_get(&r->m->way_of, strtoull(label_text(item, "a"), NULL, 16)),
                  *b = refmap_get(&r->m->way_of, strtoull(label_text(item, "b"), NULL, 16));
        if (a && b && r->m->way[*a].number && r->m->way[*b].number)
            put_relation(&r->m->together, pair_key(&r->m->way[*a], &r->m->way[*b]),
                         json_is_true(json_object_get(item, "possible")));
    }
}

void together_add(struct reading *r)
{
    struct entry *entry = view_alloc(MAX_ENTRIES * sizeof *entry);
    bool merged = json_array_size(json_object_get(json_object_get(r->document, "run"), "runs")) > 0;
    size_t n = collect(r, entry);
    for (size_t i = 0; i < n && !merged; i++)
        for (size_t k = 0; k < i; k++)
            if (entry[i].way != entry[k].way && entry[i].run == entry[k].run)
                put_relation(&r->m->together, pair_key(entry[i].way, entry[k].way),
                             entry[i].thread != entry[k].thread &&
                                 !must_before(r, entry[i].segment, entry[k].segment) &&
                                 !must_before(r, entry[k].segment, entry[i].segment));
    add_known(r);
    free(entry);
}

bool together_possible(const struct merge *m, const struct merged_way *a, const struct merged_way *b)
{
    const u64 *met = refmap_get(&m->together, pair_key(a, b));
    const char *program = m->run[a->run].program;
    if (met)
        return *met & TOGETHER;
    if (strcmp(program, m->run[b->run].program) != 0)
        return (!a->alone || a->single) && (!b->alone || b->single);
    if ((a->main && b->main) || a->alone || b->alone)
        return false;
    const u64 *roles =
        refmap_get(&m->roles, role_pair(program, label_text(a->context, "role"), label_text(b->context, "role")));
    return !roles || *roles & TOGETHER;
}
