/* Does a path of orders lead from one lock to another? Kept incrementally, so that a new order that closes nothing
 * costs little however large the graph is. Called by order.c with RANK_GRAPH held. Allocates edges in the arena and
 * working memory by sys_map.
 *
 * A topological order is maintained by reordering only the affected region (Pearce & Kelly, "A dynamic topological sort
 * algorithm for directed acyclic graphs", 2006). Where an edge closes a cycle, the locks of the strongly connected
 * component are merged into one vertex (union-find through lock_rec.tangle), so that the order stays total and "lies on
 * a cycle" is one comparison. */
#include "analyze/internal.h"

#define FIRST_RANK 0x80000000u

static ref_t root_of(ref_t lock)
{
    while (LOCK_AT(lock)->tangle != lock) {
        struct lock_rec *l = LOCK_AT(lock);
        l->tangle = LOCK_AT(l->tangle)->tangle; /* path halving */
        lock = l->tangle;
    }
    return lock;
}

bool reach_tangled(ref_t a, ref_t b)
{
    return root_of(a) == root_of(b);
}

/* Working set of one search. */
struct region {
    ref_t *item;
    u32 n, cap;
};

static bool region_add(struct region *g, ref_t r)
{
    if (g->n == g->cap) {
        u32 cap = g->cap ? g->cap * 2 : 1024;
        ref_t *more = sys_map(cap * sizeof *more);
        if (!more)
            return false;
        if (g->item) {
            __builtin_memcpy(more, g->item, g->n * sizeof *more);
            sys_unmap(g->item, g->cap * sizeof *more);
        }
        g->item = more;
        g->cap = cap;
    }
    g->item[g->n++] = r;
    return true;
}

static void region_free(struct region *g)
{
    sys_unmap(g->item, g->cap * sizeof *g->item);
}

/* Vertices reachable from `start` along edges (forward) or against them, whose rank stays within the limit. */
static bool collect(struct region *g, ref_t start, bool forward, u32 limit, u32 mark)
{
    LOCK_AT(start)->head.mark = mark;
    if (!region_add(g, start))
        return false;
    for (u32 i = 0; i < g->n; i++) {
        const struct lock_rec *l = LOCK_AT(g->item[i]);
        for (ref_t e = forward ? l->edges_out : l->edges_in; e;) {
            const struct order_edge *edge = EDGE_AT(e);
            ref_t next = root_of(forward ? edge->to : edge->from);
            struct lock_rec *n = LOCK_AT(next);
            if (n->head.mark != mark && (forward ? n->rank <= limit : n->rank >= limit)) {
                n->head.mark = mark;
                if (!region_add(g, next))
                    return false;
            }
            e = forward ? edge->next_out : edge->next_in;
        }
    }
    return true;
}

static void sort_by_rank(ref_t *v, u32 n)
{
    for (u32 gap = n / 2; gap; gap /= 2)
        for (u32 i = gap; i < n; i++)
            for (u32 j = i; j >= gap && LOCK_AT(v[j - gap])->rank > LOCK_AT(v[j])->rank; j -= gap) {
                ref_t x = v[j];
                v[j] = v[j - gap];
                v[j - gap] = x;
            }
}

static void sort_numbers(u32 *v, u32 n)
{
    for (u32 gap = n / 2; gap; gap /= 2)
        for (u32 i = gap; i < n; i++)
            for (u32 j = i; j >= gap && v[j - gap] > v[j]; j -= gap) {
                u32 x = v[j];
                v[j] = v[j - gap];
                v[j - gap] = x;
            }
}

static void merge_into(ref_t root, ref_t lock)
{
    struct lock_rec *to = LOCK_AT(root), *l = LOCK_AT(lock);
    if (root == lock)
        return;
    ref_t *tail = &to->edges_out;
    while (*tail)
        tail = &EDGE_AT(*tail)->next_out;
    *tail = l->edges_out;
    tail = &to->edges_in;
    while (*tail)
        tail = &EDGE_AT(*tail)->next_in;
    *tail = l->edges_in;
    l->edges_out = l->edges_in = 0;
    l->tangle = root;
}

/* Restores the order after an edge u -> v with rank(u) > rank(v). */
static void reorder(ref_t u, ref_t v)
{
    struct region fwd = {0}, back = {0}, ranks = {0};
    u32 low = LOCK_AT(v)->rank, high = LOCK_AT(u)->rank;
    u32 fmark = ++run()->next_search, bmark;
    bool ok = collect(&fwd, v, true, high, fmark);
    bool cycle = LOCK_AT(u)->head.mark == fmark;
    /* A second mark on the same vertices: what was reached forward is told apart by remembering the cycle's members
     * first. */
    bmark = ++run()->next_search;
    ok = ok && collect(&back, u, false, low, bmark);
    if (!ok) {
        run_lost(LOSS_search_cut);
        goto out;
    }
    sort_by_rank(fwd.item, fwd.n);
    sort_by_rank(back.item, back.n);
    for (u32 i = 0; i < back.n; i++)
        ok = ok && region_add(&ranks, LOCK_AT(back.item[i])->rank);
    for (u32 i = 0; i < fwd.n; i++)
        if (LOCK_AT(fwd.item[i])->head.mark != bmark)
            ok = ok && region_add(&ranks, LOCK_AT(fwd.item[i])->rank);
    if (!ok) {
        run_lost(LOSS_search_cut);
        goto out;
    }
    sort_numbers(ranks.item, ranks.n);
    /* Members of the cycle are those in both regions: marked last by the backward search, so found by testing the
     * forward ones. */
    u32 cmark = ++run()->next_search;
    if (cycle)
        for (u32 i = 0; i < fwd.n; i++)
            if (LOCK_AT(fwd.item[i])->head.mark == bmark)
                LOCK_AT(fwd.item[i])->head.mark = cmark;
    u32 slot = 0;
    for (u32 i = 0; i < back.n; i++)
        if (LOCK_AT(back.item[i])->head.mark != cmark)
            LOCK_AT(back.item[i])->rank = ranks.item[slot++];
    if (cycle) {
        LOCK_AT(u)->rank = ranks.item[slot++];
        for (u32 i = 0; i < fwd.n; i++)
            if (LOCK_AT(fwd.item[i])->head.mark == cmark)
                merge_into(u, fwd.item[i]);
    }
    slot = ranks.n; /* the rest takes the largest ranks, keeping its order */
    for (u32 i = fwd.n; i-- > 0;)
        if (LOCK_AT(fwd.item[i])->head.mark != cmark)
            LOCK_AT(fwd.item[i])->rank = ranks.item[--slot];
out:
    region_free(&fwd);
    region_free(&back);
    region_free(&ranks);
}

/* The same edge from another context is common; a short look back keeps most repetitions out. */
static bool edge_known(ref_t u, ref_t to)
{
    u32 look = 16;
    for (ref_t e = LOCK_AT(u)->edges_out; e && look--; e = EDGE_AT(e)->next_out)
        if (EDGE_AT(e)->to == to)
            return true;
    return false;
}

/* Vertices that are not in the order yet go where the edge u -> v is in order without moving anything: a source before
 * all, a target behind all. */
static void place_new(struct lock_rec *u, struct lock_rec *v)
{
    struct run_state *rs = run();
    if (!u->rank && v->rank)
        u->rank = FIRST_RANK - ++rs->ranks_before;
    else if (!u->rank)
        u->rank = FIRST_RANK + rs->ranks_behind++;
    if (!v->rank)
        v->rank = FIRST_RANK + rs->ranks_behind++;
}

void reach_add_edge(ref_t from, ref_t to)
{
    ref_t u = root_of(from), v = root_of(to);
    if (u == v || edge_known(u, to))
        return;
    ref_t r = arena_alloc(POOL_EDGE, sizeof(struct order_edge));
    if (!r) {
        run_lost(LOSS_arena_full);
        return;
    }
    place_new(LOCK_AT(u), LOCK_AT(v));
    struct order_edge *e = EDGE_AT(r);
    e->from = from;
    e->to = to;
    bool wrong = LOCK_AT(u)->rank > LOCK_AT(v)->rank;
    e->next_out = LOCK_AT(u)->edges_out;
    LOCK_AT(u)->edges_out = r;
    e->next_in = LOCK_AT(v)->edges_in;
    LOCK_AT(v)->edges_in = r;
    if (wrong)
        reorder(u, v);
}

void reach_reset(void)
{
    struct arena_cursor c = {0, 0};
    for (ref_t r; (r = arena_next(POOL_EDGE, &c));)
        if (EDGE_AT(r)->from)
            arena_free(POOL_EDGE, r);
    c = (struct arena_cursor){0, 0};
    for (ref_t r; (r = arena_next(POOL_LOCK, &c));) {
        struct lock_rec *l = LOCK_AT(r);
        if (l->head.state == OBJECT_FREE)
            continue;
        l->tangle = r;
        l->rank = 0;
        l->edges_in = l->edges_out = 0;
    }
    run()->ranks_before = run()->ranks_behind = 0;
}
