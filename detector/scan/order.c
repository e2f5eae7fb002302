/* Lock orders that contradict each other: cycles in the graph of "takes one while it holds another". Called by scan.c. Takes
 * no locks; allocates with malloc.
 *
 * A cycle counts when its steps can be under way at once: by different threads that may run at the same time, with no lock
 * that two of them hold, with modes that exclude each other, and none of them only trying. */
#include <stdlib.h>

#include "rules.h"

enum { MAX_CYCLE = 5, MAX_WORK = 3000000 };

struct edge {
    u32 from, to, deed, held; /* held: element */
    bool sure;                /* surely held, and both are known as objects */
};
struct orders {
    struct findings *f;
    LIST(struct edge) edges;
    struct map index, cycles;
    struct list_u32 *out; /* by node: edges that begin there */
    u32 *component;
    u32 nodes, work;
    u32 way[MAX_CYCLE];
};

static void add_edge(struct orders *o, struct edge e)
{
    const struct deed *d = &o->f->w->deeds.at[e.deed];
    u64 h = hash_combine(hash_combine(e.from, e.to), hash_combine(d->must, d->root));
    h = hash_combine(h, hash_combine(hash_combine(d->live, d->joined), LOCK_SHARED(e.held) * 2 + LOCK_SHARED(d->path)));
    h = hash_combine(h, d->flags);
    u32 *known = map_put(&o->index, h >> 1);
    if (*known)
        return;
    *known = 1;
    LIST_ADD(&o->edges, e);
}

/* Each of several threads takes element n and then (n + 1) % N of one array: a ring. */
static void ring(struct orders *o, u32 deed, u32 held)
{
    struct whole *w = o->f->w;
    struct deed d = w->deeds.at[deed];
    const struct path *first = path_at(&w->a->ps, LOCK_PATH(held)), *second = path_at(&w->a->ps, LOCK_PATH(d.path));
    if (first->kind != P_INDEX || second->kind != P_INDEX || first->base != second->base || !first->a || !second->a ||
        !w->roots.at[d.root].many)
        return;
    const struct path *n = path_at(&w->a->ps, first->a), *next = path_at(&w->a->ps, second->a);
    const struct value *values = w->a->p->values.at, *rest = next->kind == P_VALUE ? &values[next->a] : NULL;
    if (!rest || rest->op != V_BIN || rest->flags != BIN_REM || !P_IS_ROOT(n->kind))
        return;
    const struct value *sum = &values[rest->a];
    u32 *known = map_put(&o->cycles, hash_combine(d.value, held) >> 1);
    if (sum->op != V_BIN || sum->flags != BIN_ADD || sum->a != n->a || values[sum->b].op != V_CONST || *known)
        return;
    struct found out = {.kind = FOUND_ORDER, .score = 16};
    LIST_ADD(&out.side, (struct side){deed, held});
    LIST_ADD(&o->f->at, out);
    *known = o->f->at.n;
}

static void edges_of(struct orders *o, u32 number)
{
    struct whole *w = o->f->w;
    struct deed d = w->deeds.at[number];
    struct lock_node to[LOCK_NODES], from[LOCK_NODES];
    u32 nto = lock_nodes(w, LOCK_PATH(d.path), to);
    for (u32 i = 0, n = sets_count(&w->a->sets, d.may); i < n; i++) {
        u32 held = sets_item(&w->a->sets, d.may, i);
        if (held == LOCK_ANY)
            continue;
        u32 nfrom = lock_nodes(w, LOCK_PATH(held), from);
        bool must = sets_has(&w->a->sets, d.must, held);
        for (u32 x = 0; x < nfrom; x++)
            for (u32 y = 0; y < nto; y++) {
                bool sure = must && from[x].one && to[y].one && nfrom == 1 && nto == 1;
                if (from[x].node == to[y].node)
                    ring(o, number, held);
                else
                    add_edge(o, (struct edge){from[x].node, to[y].node, number, held, sure});
            }
    }
}

/* Whether two steps can be under way at the same time. */
static bool together(struct orders *o, const struct edge *x, const struct edge *y)
{
    struct whole *w = o->f->w;
    const struct sets *sets = &w->a->sets;
    struct deed a = w->deeds.at[x->deed], b = w->deeds.at[y->deed];
    if (!threads_meet(w, &a, &b))
        return false;
    for (u32 i = 0, n = sets_count(sets, a.must); i < n; i++)
        for (u32 k = 0, m = sets_count(sets, b.must); k < m; k++) {
            u32 p = sets_item(sets, a.must, i), q = sets_item(sets, b.must, k);
            if (!(LOCK_SHARED(p) && LOCK_SHARED(q)) && same_lock(w, LOCK_PATH(p), LOCK_PATH(q)))
                return false;
        }
    return true;
}

static bool closes(struct orders *o, u32 n)
{
    const struct deed *deeds = o->f->w->deeds.at;
    u8 direction = R_UP | R_DOWN;
    for (u32 i = 0; i < n; i++)
        direction &= deeds[o->edges.at[o->way[i]].deed].flags;
    if (direction)
        return false; /* each takes the lesser one first, or each the greater one */
    for (u32 i = 0; i < n; i++) {
        const struct edge *x = &o->edges.at[o->way[i]], *next = &o->edges.at[o->way[(i + 1) % n]];
        if (LOCK_SHARED(deeds[x->deed].path) && LOCK_SHARED(next->held))
            return false;
        for (u32 k = i + 1; k < n; k++)
            if (!together(o, x, &o->edges.at[o->way[k]]))
                return false;
    }
    return true;
}

static bool of_one_thread(const struct orders *o, u32 n)
{
    const struct deed *deeds = o->f->w->deeds.at;
    for (u32 i = 1; i < n; i++)
        if (deeds[o->edges.at[o->way[i]].deed].root != deeds[o->edges.at[o->way[0]].deed].root)
            return false;
    return true;
}

static void report(struct orders *o, u32 n)
{
    u64 h = 0;
    u32 score = 20;
    for (u32 i = 0; i < n; i++) {
        h += hash_mix64(o->edges.at[o->way[i]].from + 1);
        u32 less = o->edges.at[o->way[i]].sure ? 0 : 3;
        const struct deed *d = &o->f->w->deeds.at[o->edges.at[o->way[i]].deed];
        less += o->f->w->contexts.at[d->context].guessed ? 3 : 0;
        score = score > less ? score - less : 1;
    }
    u32 *known = map_put(&o->cycles, h >> 1);
    score -= score > 1 && of_one_thread(o, n); /* told when there is no better one */
    struct found out = {.kind = FOUND_ORDER, .score = score};
    for (u32 i = 0; i < n; i++)
        LIST_ADD(&out.side, (struct side){o->edges.at[o->way[i]].deed, o->edges.at[o->way[i]].held});
    if (!*known) {
        LIST_ADD(&o->f->at, out);
        *known = o->f->at.n;
    }
    struct found *first = &o->f->at.at[*known - 1]; /* the same locks in another place: told beside the best one */
    if (first->side.at != out.side.at && first->score < score) {
        for (u32 i = 0; i < first->side.n; i++)
            LIST_ADD(&out.more, first->side.at[i]);
        for (u32 i = 0; i < first->more.n; i++)
            LIST_ADD(&out.more, first->more.at[i]);
        free(first->side.at);
        free(first->more.at);
        *first = out;
    } else if (first->side.at != out.side.at) {
        for (u32 i = 0; i < n && first->more.n < 64; i++)
            LIST_ADD(&first->more, out.side.at[i]);
        free(out.side.at);
    }
}

static bool on_way(const struct orders *o, u32 n, u32 node)
{
    for (u32 i = 0; i < n; i++)
        if (o->edges.at[o->way[i]].from == node)
            return true;
    return false;
}

static void search(struct orders *o, u32 start, u32 n)
{
    u32 at = n ? o->edges.at[o->way[n - 1]].to : start;
    if (n && at == start) {
        if (n > 1 && closes(o, n))
            report(o, n);
        return;
    }
    for (u32 i = 0; n < MAX_CYCLE && i < o->out[at].n && o->work < MAX_WORK; i++) {
        const struct edge *e = &o->edges.at[o->out[at].at[i]];
        o->work++;
        if (e->to < start || o->component[e->to] != o->component[start] || (e->to != start && on_way(o, n, e->to)))
            continue;
        bool possible = true;
        for (u32 k = 0; k < n && possible; k++)
            possible = together(o, &o->edges.at[o->way[k]], e);
        if (!possible)
            continue;
        o->way[n] = o->out[at].at[i];
        search(o, start, n + 1);
    }
}

/* Nodes that reach each other: by reachability both ways, for the lock graphs of programs are small. */
static void reach(const struct orders *o, u32 from, u8 *seen)
{
    struct list_u32 work = {0};
    LIST_ADD(&work, from);
    while (work.n) {
        u32 at = work.at[--work.n];
        for (u32 i = 0; i < o->out[at].n; i++) {
            u32 to = o->edges.at[o->out[at].at[i]].to;
            if (!seen[to]) {
                seen[to] = 1;
                LIST_ADD(&work, to);
            }
        }
    }
    free(work.at);
}

static void find_components(struct orders *o)
{
    u8 **seen = store_alloc((o->nodes + 1) * sizeof *seen);
    o->component = store_alloc((o->nodes + 1) * sizeof *o->component);
    for (u32 i = 0; i < o->nodes; i++) {
        seen[i] = store_alloc(o->nodes);
        reach(o, i, seen[i]);
        o->component[i] = i;
    }
    for (u32 i = 0; i < o->nodes; i++)
        for (u32 k = 0; k < i && o->component[i] == i; k++)
            if (seen[i][k] && seen[k][i])
                o->component[i] = o->component[k];
    for (u32 i = 0; i < o->nodes; i++)
        free(seen[i]);
    free(seen);
}

void order_rule(struct findings *f)
{
    struct orders o = {.f = f};
    for (u32 i = 0; i < f->w->deeds.n; i++) {
        const struct deed *d = &f->w->deeds.at[i];
        if (d->kind == R_ACQUIRE && !(d->flags & R_TRY) && d->may)
            edges_of(&o, i);
    }
    o.nodes = f->w->lock_paths.n;
    o.out = store_alloc((o.nodes + 1) * sizeof *o.out);
    for (u32 i = 0; i < o.edges.n; i++)
        LIST_ADD(&o.out[o.edges.at[i].from], i);
    find_components(&o);
    for (u32 i = 0; i < o.nodes; i++)
        search(&o, i, 0);
    for (u32 i = 0; i < o.nodes; i++)
        free(o.out[i].at);
    for (u32 i = 0; i < o.edges.n; i++)
        LIST_ADD(&f->steps, (struct order_step){o.edges.at[i].held, o.edges.at[i].deed});
    free(o.out);
    free(o.component);
    free(o.edges.at);
    map_free(&o.index);
    map_free(&o.cycles);
}
