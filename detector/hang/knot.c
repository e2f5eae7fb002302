/* Knots in a wait-for graph where any of a node's successors may wake it (Holt 1972: a knot is a set of nodes that reach
 * exactly one another). Called by hang.c. Takes no locks; allocates with malloc. */
#include "knot.h"

#include <stdlib.h>

/* Edges grouped by one of their ends: those of node i are list[first[i]] … list[first[i + 1] - 1]. */
struct adjacent {
    size_t *first;
    u32 *list;
};

static struct adjacent group(const struct knot_graph *g, bool by_target)
{
    struct adjacent a = {calloc((size_t)g->n + 2, sizeof *a.first), calloc(g->nedges + 1, sizeof *a.list)};
    if (!a.first || !a.list)
        abort();
    for (size_t i = 0; i < g->nedges; i++)
        a.first[(by_target ? g->edge[i].to : g->edge[i].from) + 2]++;
    for (u32 i = 2; i <= g->n; i++)
        a.first[i] += a.first[i - 1];
    for (size_t i = 0; i < g->nedges; i++) {
        u32 from = by_target ? g->edge[i].to : g->edge[i].from, to = by_target ? g->edge[i].from : g->edge[i].to;
        a.list[a.first[from + 1]++] = to;
    }
    return a;
}

static void release(struct adjacent *a)
{
    free(a->first);
    free(a->list);
}

void knot_reduce(struct knot_graph *g)
{
    struct adjacent before = group(g, true);
    u32 *todo = calloc((size_t)g->n + 1, sizeof *todo), n = 0;
    if (!todo)
        abort();
    for (u32 i = 0; i < g->n; i++)
        if (g->free[i])
            todo[n++] = i;
    while (n) {
        u32 at = todo[--n];
        for (size_t i = before.first[at]; i < before.first[at + 1]; i++)
            if (!g->free[before.list[i]]) {
                g->free[before.list[i]] = true;
                todo[n++] = before.list[i];
            }
    }
    free(todo);
    release(&before);
}

/* Tarjan's components, without recursion. */
struct search {
    struct adjacent next;
    u32 *order, *low, *stack, *path, *part;
    size_t *at;
    u32 norder, nstack, npath, nparts;
};

static void enter(struct search *k, u32 node)
{
    k->order[node] = k->low[node] = ++k->norder;
    k->stack[k->nstack++] = node;
    k->path[k->npath++] = node;
    k->at[node] = k->next.first[node];
}

static void leave(struct search *k, u32 node)
{
    k->npath--;
    if (k->npath && k->low[node] < k->low[k->path[k->npath - 1]])
        k->low[k->path[k->npath - 1]] = k->low[node];
    if (k->low[node] != k->order[node])
        return;
    k->nparts++;
    u32 member;
    do {
        member = k->stack[--k->nstack];
        k->part[member] = k->nparts;
    } while (member != node);
}

static void search_from(struct search *k, const struct knot_graph *g, u32 root)
{
    enter(k, root);
    while (k->npath) {
        u32 node = k->path[k->npath - 1];
        if (k->at[node] == k->next.first[node + 1]) {
            leave(k, node);
            continue;
        }
        u32 to = k->next.list[k->at[node]++];
        if (g->free[to])
            continue;
        if (!k->order[to])
            enter(k, to);
        else if (!k->part[to] && k->order[to] < k->low[node])
            k->low[node] = k->order[to];
    }
}

static u32 *numbers(u32 n)
{
    u32 *p = calloc((size_t)n + 2, sizeof *p);
    if (!p)
        abort();
    return p;
}

u32 knot_sets(const struct knot_graph *g, u32 *set)
{
    struct search k = {group(g, false),
                       numbers(g->n),
                       numbers(g->n),
                       numbers(g->n),
                       numbers(g->n),
                       numbers(g->n),
                       calloc((size_t)g->n + 1, sizeof *k.at),
                       0,
                       0,
                       0,
                       0};
    if (!k.at)
        abort();
    for (u32 i = 0; i < g->n; i++)
        if (!g->free[i] && !k.order[i])
            search_from(&k, g, i);
    /* Of the parts, those that nothing leads out of. */
    u32 *leads_out = k.low, *number = k.order, n = 0;
    for (u32 i = 0; i <= k.nparts; i++)
        leads_out[i] = number[i] = 0;
    for (size_t i = 0; i < g->nedges; i++) {
        const struct knot_edge *e = &g->edge[i];
        if (!g->free[e->from] && k.part[e->from] != k.part[e->to])
            leads_out[k.part[e->from]] = 1;
    }
    for (u32 i = 0; i < g->n; i++) {
        u32 part = k.part[i];
        if (part && !leads_out[part] && !number[part])
            number[part] = ++n;
        set[i] = part ? number[part] : 0;
    }
    release(&k.next);
    free(k.order), free(k.low), free(k.stack), free(k.path), free(k.part), free(k.at);
    return n;
}
