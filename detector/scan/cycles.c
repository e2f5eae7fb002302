/* Strongly connected components (Tarjan 1972), without recursion. Called by graph.c and the points-to solver. Takes no locks;
 * allocates with malloc. */
#include "cycles.h"

#include <stdlib.h>

void walk_begin(struct walk *w, u32 n)
{
    *w = (struct walk){.n = n};
    w->number = store_alloc(n * sizeof *w->number);
    w->low = store_alloc(n * sizeof *w->low);
    w->open = store_alloc(n + 1);
}

void walk_end(struct walk *w)
{
    free(w->number);
    free(w->low);
    free(w->open);
    free(w->stack.at);
    free(w->path.at);
    free(w->next.at);
}

static void enter(struct walk *w, u32 node)
{
    w->number[node] = w->low[node] = ++w->count;
    w->open[node] = true;
    LIST_ADD(&w->stack, node);
    LIST_ADD(&w->path, node);
    LIST_ADD(&w->next, 0);
}

void walk_components(struct walk *w, u32 from, u32 (*edge)(const void *arg, u32 node, u32 i), const void *arg,
                     void (*close)(void *out, const u32 *members, u32 n), void *out)
{
    if (w->number[from])
        return;
    enter(w, from);
    while (w->path.n) {
        u32 node = w->path.at[w->path.n - 1], to = edge(arg, node, w->next.at[w->next.n - 1]++);
        if (to != CYCLES_END) {
            if (!w->number[to])
                enter(w, to);
            else if (w->open[to] && w->number[to] < w->low[node])
                w->low[node] = w->number[to];
            continue;
        }
        w->path.n--;
        w->next.n--;
        if (w->path.n) {
            u32 up = w->path.at[w->path.n - 1];
            if (w->low[node] < w->low[up])
                w->low[up] = w->low[node];
        }
        if (w->low[node] != w->number[node])
            continue;
        u32 first = w->stack.n;
        do
            w->open[w->stack.at[--first]] = false;
        while (w->stack.at[first] != node);
        close(out, w->stack.at + first, w->stack.n - first);
        w->stack.n = first;
    }
}
