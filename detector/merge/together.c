/* Which ways of the joined graph could be gone at the same time. Called by merge.c and cycles.c. Takes no locks;
 * allocates with malloc.
 *
 * Runs that had two ways know it: by their threads and by the must order (create, join, fork, barriers). Where no run
 * had both, what is known of the threads that went them decides: the main thread is one thread in all runs of a program,
 * and what happens before the first other thread or after the last meets nobody. */
#include <stdlib.h>
#include <string.h>

#include "base/hash.h"
#include "internal.h"
#include "report/label.h"
#include "report/view.h"

#define MAX_ENTRIES 400u     /* ways of one document that are compared */
#define MAX_ROLE_THREADS 64u /* threads of one document whose lives are compared */
#define MAX_WORK (50u << 20) /* steps along the must order, for one document */

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

/* ---- the must order of one document ---- */

/* Segments by index; edges both ways. */
struct must {
    size_t n;
    u32 *before, *after; /* first links, index + 1 */
    struct {
        u32 to, next;
    } * link;
    size_t nlinks;
    struct refmap past, future; /* segment index -> bit set, made when asked for */
    u64 work;
};

static void add_link(struct must *o, u32 *first, u32 to)
{
    o->link = merge_grow(o->link, o->nlinks, sizeof *o->link);
    o->link[o->nlinks].to = to;
    o->link[o->nlinks].next = *first;
    *first = (u32)++o->nlinks;
}

static void must_open(struct must *o, const struct reading *r)
{
    const json_t *list = json_object_get(r->graph, "segments"), *s, *a;
    size_t i, k;
    *o = (struct must){.n = json_array_size(list)};
    o->before = view_alloc((o->n + 1) * sizeof(u32));
    o->after = view_alloc((o->n + 1) * sizeof(u32));
    json_array_foreach (list, i, s) {
        json_array_foreach (json_object_get(s, "after"), k, a) {
            const u64 *at = json_is_integer(a) ? refmap_get(&r->segment, (u64)json_integer_value(a)) : NULL;
            if (!at)
                continue;
            add_link(o, &o->before[i], (u32)(*at - 1));
            add_link(o, &o->after[*at - 1], (u32)i);
        }
    }
}

static void free_sets(struct refmap *sets)
{
    for (const struct refmap_item *i = refmap_next(sets, NULL); i; i = refmap_next(sets, i))
        free((void *)(uintptr_t)i->value);
    refmap_free(sets);
}

static void must_close(struct must *o)
{
    free_sets(&o->past);
    free_sets(&o->future);
    free(o->before);
    free(o->after);
    free(o->link);
}

/* All that comes before a segment, or after it; itself too. NULL: too much work. */
static const u64 *reach(struct must *o, size_t start, bool past)
{
    bool fresh;
    u64 *place = refmap_put(past ? &o->past : &o->future, start, &fresh);
    if (!fresh)
        return (const u64 *)(uintptr_t)*place;
    if (o->work > MAX_WORK)
        return NULL;
    u64 *set = view_alloc((o->n / 64 + 1) * sizeof *set);
    u32 *todo = view_alloc((o->n + 1) * sizeof *todo);
    size_t n = 0;
    todo[n++] = (u32)start;
    set[start / 64] |= 1ULL << start % 64;
    while (n) {
        u32 at = todo[--n];
        for (u32 l = past ? o->before[at] : o->after[at]; l; l = o->link[l - 1].next) {
            u32 to = o->link[l - 1].to;
            o->work++;
            if (set[to / 64] >> to % 64 & 1)
                continue;
            set[to / 64] |= 1ULL << to % 64;
            todo[n++] = to;
        }
    }
    o->work += o->n / 64;
    free(todo);
    *place = (u64)(uintptr_t)set;
    return set;
}

static bool has(const u64 *set, size_t i)
{
    return set && (set[i / 64] >> i % 64 & 1);
}

/* a comes before b in every schedule. Index + 1; 0 is nothing known. */
static bool comes_before(struct must *o, u64 a, u64 b)
{
    return a && b && has(reach(o, b - 1, true), a - 1);
}

static bool ordered(struct must *o, u64 a, u64 b)
{
    return comes_before(o, a, b) || comes_before(o, b, a);
}

/* ---- the threads of one document ---- */

static const json_t *threads_of(const struct reading *r)
{
    return json_object_get(r->graph, "threads");
}

static u64 segment_of(const struct reading *r, const json_t *object, const char *key)
{
    const u64 *at = refmap_get(&r->segment, (u64)label_number(object, key));
    return at ? *at : 0;
}

/* How the context's thread stood to the other threads of its process. */
static void solitude(const struct reading *r, struct must *o, const json_t *context, bool *alone, bool *single)
{
    const json_t *t;
    size_t i, others = 0, apart = 0;
    u64 at = segment_of(r, context, "segment");
    if (json_object_get(context, "run")) { /* of a merged result, which has worked that out */
        *alone = json_is_true(json_object_get(context, "alone"));
        *single = json_is_true(json_object_get(context, "single"));
        return;
    }
    bool known = json_array_size(threads_of(r)) && !json_object_get(r->graph, "cut");
    json_array_foreach (threads_of(r), i, t) {
        if (label_number(t, "process") != label_number(context, "process") ||
            label_number(t, "thread") == label_number(context, "thread"))
            continue;
        others++;
        u64 first = segment_of(r, t, "first"), last = segment_of(r, t, "last");
        apart +=
            at && first && last && (has(reach(o, at - 1, false), first - 1) || has(reach(o, at - 1, true), last - 1));
    }
    *single = known && !others;
    *alone = known && others == apart;
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

/* Which kinds of threads can run beside each other. Of many threads nothing is concluded. */
static void add_roles(const struct reading *r, struct must *o)
{
    const json_t *threads = threads_of(r), *t, *u;
    const char *program = r->m->run[r->first_run].program;
    size_t i, k;
    json_array_foreach (threads, i, t) {
        json_array_foreach (threads, k, u) {
            const char *a = reading_role(r, t), *b = reading_role(r, u);
            if (k >= i || strcmp(a, b) == 0 || label_number(t, "process") != label_number(u, "process"))
                continue;
            bool apart = json_array_size(threads) <= MAX_ROLE_THREADS &&
                         (comes_before(o, segment_of(r, t, "last"), segment_of(r, u, "first")) ||
                          comes_before(o, segment_of(r, u, "last"), segment_of(r, t, "first")));
            put_relation(&r->m->roles, role_pair(program, a, b), !apart);
        }
    }
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

static size_t collect(struct reading *r, struct must *o, struct entry *entry)
{
    struct merge *m = r->m;
    const json_t *edge, *context;
    size_t n = 0, i, k;
    json_array_foreach (json_object_get(r->graph, "edges"), i, edge) {
        json_array_foreach (json_object_get(edge, "contexts"), k, context) {
            const u64 *at = reading_binds(context) ? refmap_get(&m->way_of, reading_key(r, edge, context)) : NULL;
            struct merged_way *w = at ? &m->way[*at] : NULL;
            bool alone, single;
            if (!w || !w->number)
                continue;
            solitude(r, o, context, &alone, &single);
            w->alone &= alone;
            w->single &= single;
            u32 run = reading_run(r, context);
            w->runs[run / 64] |= 1ULL << run % 64;
            if (n < MAX_ENTRIES)
                entry[n++] = (struct entry){w, label_number(context, "thread"), segment_of(r, context, "segment"), run};
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
    struct must o;
    must_open(&o, r);
    size_t n = collect(r, &o, entry);
    for (size_t i = 0; i < n && !merged; i++)
        for (size_t k = 0; k < i; k++)
            if (entry[i].way != entry[k].way)
                put_relation(&r->m->together, pair_key(entry[i].way, entry[k].way),
                             entry[i].thread != entry[k].thread && !ordered(&o, entry[i].segment, entry[k].segment));
    if (n && !merged)
        add_roles(r, &o);
    add_known(r);
    must_close(&o);
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
