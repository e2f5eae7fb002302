/* Order of blocks and functions: cycles of blocks, functions with their callees first. Called by scan.c. Takes no locks;
 * allocates with malloc. Cycles are strongly connected components. */
#include <stdlib.h>

#include "analysis.h"
#include "cycles.h"

struct block_graph {
    struct program *p;
    u32 first, loops;
};

static u32 block_edge(const void *arg, u32 node, u32 i)
{
    const struct block_graph *g = arg;
    const struct block *b = &g->p->blocks.at[g->first + node];
    return i < b->nsucc ? g->p->succ.at[b->succ + i] - g->first : NONE;
}

static void block_close(void *out, const u32 *members, u32 n)
{
    struct block_graph *g = out;
    bool cycle = n > 1;
    for (u32 i = 0, to; n == 1 && (to = block_edge(g, members[0], i)) != NONE; i++)
        cycle |= to == members[0];
    g->loops += cycle;
    for (u32 i = 0; i < n; i++)
        g->p->blocks.at[g->first + members[i]].loop = cycle ? g->loops : 0;
}

void graph_cycles(struct program *p)
{
    struct block_graph g = {.p = p};
    for (u32 i = 0; i < p->functions.n; i++) {
        const struct function *f = &p->functions.at[i];
        struct walk w;
        if (!(f->flags & FN_DEFINED) || !f->nblocks)
            continue;
        walk_begin(&w, f->nblocks);
        g.first = f->block;
        walk_components(&w, 0, block_edge, &g, block_close, &g);
        walk_end(&w);
    }
}

static u32 call_edge(const void *arg, u32 node, u32 i)
{
    const struct list_u32 *callees = arg;
    return i < callees[node].n ? callees[node].at[i] : NONE;
}

struct ordering {
    struct analysis *a;
    const struct list_u32 *callees;
};

static void order_close(void *out, const u32 *members, u32 n)
{
    struct ordering *o = out;
    bool cycle = n > 1;
    for (u32 i = 0; n == 1 && i < o->callees[members[0]].n; i++)
        cycle |= o->callees[members[0]].at[i] == members[0];
    for (int round = 0; round < (cycle ? 2 : 1); round++)
        for (u32 i = 0; i < n; i++)
            LIST_ADD(&o->a->order, members[i]);
    for (u32 i = 0; cycle && i < n; i++)
        o->a->repeated[members[i]] = true;
}

/* Functions that are called from more than one place, from a loop, or by one that is itself called repeatedly. */
static void find_repeated(struct analysis *a)
{
    for (bool again = true; again;) {
        again = false;
        for (u32 f = 0; f < a->p->functions.n; f++) {
            bool many = a->sites[f].n > 1;
            for (u32 i = 0; i < a->sites[f].n && !many; i++) {
                const struct call *c = &a->pt.calls.at[a->sites[f].at[i]];
                many = a->repeated[c->function] || a->p->blocks.at[a->block_of[c->value]].loop;
            }
            if (many && !a->repeated[f])
                a->repeated[f] = again = true;
        }
    }
}

void graph_order(struct analysis *a)
{
    u32 n = a->p->functions.n;
    struct list_u32 *callees = store_alloc((n + 1) * sizeof *callees);
    struct ordering o = {a, callees};
    struct walk w;
    a->sites = store_alloc((n + 1) * sizeof *a->sites);
    a->repeated = store_alloc(n + 1);
    for (u32 i = 0; i < a->pt.calls.n; i++) {
        const struct call *c = &a->pt.calls.at[i];
        for (u32 k = 0; k < c->targets.n; k++) {
            LIST_ADD(&a->sites[c->targets.at[k]], i);
            if (!c->known || c->known->op != K_CREATE)
                LIST_ADD(&callees[c->function], c->targets.at[k]);
        }
    }
    walk_begin(&w, n);
    for (u32 i = 0; i < n; i++)
        walk_components(&w, i, call_edge, callees, order_close, &o);
    walk_end(&w);
    find_repeated(a);
    for (u32 i = 0; i < n; i++)
        free(callees[i].at);
    free(callees);
}

/* Whether a block can be reached from the end of another without passing through `without`. */
bool graph_reaches(const struct program *p, u32 from, u32 to, u32 without)
{
    struct map seen = {0};
    struct list_u32 work = {0};
    bool found = false;
    LIST_ADD(&work, from);
    while (work.n && !found) {
        const struct block *b = &p->blocks.at[work.at[--work.n]];
        for (u32 i = 0; i < b->nsucc && !found; i++) {
            u32 next = p->succ.at[b->succ + i], *known = map_put(&seen, next);
            found = next == to;
            if (*known || next == without)
                continue;
            *known = 1;
            LIST_ADD(&work, next);
        }
    }
    map_free(&seen);
    free(work.at);
    return found;
}
