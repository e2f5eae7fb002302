/* The order of the points-to solver's nodes. Called by points.c once a round. Takes no locks; allocates with malloc. */
#include <stdlib.h>

#include "cycles.h"
#include "points_internal.h"

struct ordering {
    struct solver *s;
    struct list_u32 *order;
};

/* Edges end at nodes that are still there, each once. */
static void compact(struct solver *s)
{
    u32 *last = store_alloc(s->nodes.n * sizeof *last);
    for (u32 i = 0; i < s->nodes.n; i++) {
        struct node *x = &s->nodes.at[i];
        u32 kept = 0;
        if (x->same != i)
            continue;
        for (u32 k = 0; k < x->copy.n; k++) {
            struct copy c = x->copy.at[k];
            c.to = solver_find(s, c.to);
            if (!c.offset && (c.to == i || last[c.to] == i + 1))
                continue;
            if (!c.offset)
                last[c.to] = i + 1;
            x->copy.at[kept++] = c;
        }
        x->copy.n = kept;
    }
    free(last);
}

static u32 edge(const void *arg, u32 node, u32 i)
{
    const struct solver *s = arg;
    const struct node *x = &s->nodes.at[node];
    if (i >= x->copy.n)
        return CYCLES_END;
    return x->copy.at[i].offset ? node : x->copy.at[i].to; /* to itself: no cycle, but in its place */
}

/* Makes b a part of a. */
static void unite(struct solver *s, u32 a, u32 b)
{
    struct node *x = &s->nodes.at[a], *y = &s->nodes.at[b];
    y->same = a;
    s->work -= y->queued;
    y->queued = false;
    if (x->top || y->top) {
        struct cellset functions = {0};
        struct node *other = x->top ? y : x;
        cellset_common(&functions, &other->all, &s->functions);
        cellset_free(&other->all);
        other->all = functions;
        x->top = true;
    }
    cellset_join(&x->all, &y->all);
    cellset_free(&x->done); /* everything once more, to the targets of both */
    for (u32 i = 0; i < y->copy.n; i++)
        LIST_ADD(&x->copy, y->copy.at[i]);
    for (u32 i = 0; i < y->load.n; i++)
        LIST_ADD(&x->load, y->load.at[i]);
    for (u32 i = 0; i < y->store.n; i++)
        LIST_ADD(&x->store, y->store.at[i]);
    for (u32 i = 0; i < y->call.n; i++)
        LIST_ADD(&x->call, y->call.at[i]);
    cellset_free(&y->all);
    cellset_free(&y->done);
    free(y->copy.at);
    y->copy.at = NULL;
    y->copy.n = y->copy.cap = 0;
    solver_queue(s, a);
}

static void close(void *out, const u32 *members, u32 n)
{
    struct ordering *o = out;
    for (u32 i = 1; i < n; i++)
        unite(o->s, members[0], members[i]);
    LIST_ADD(o->order, members[0]);
}

void solver_order(struct points *pt, struct list_u32 *order)
{
    struct solver *s = pt->solver;
    struct ordering o = {s, order};
    struct walk w;
    order->n = 0;
    compact(s);
    walk_begin(&w, s->nodes.n);
    for (u32 i = 0; i < w.n; i++)
        if (s->nodes.at[i].same == i)
            walk_components(&w, i, edge, s, close, &o);
    walk_end(&w);
}
