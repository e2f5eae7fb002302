/* Knots of the wait-for graph against a slow check of their definition. */
#include "hang/knot.h"

#include <stdlib.h>
#include <string.h>

#include "unit.h"

#define NODES 9u
#define EDGES 24u
#define ROUNDS 20000

static void prepare(struct knot_graph *g, bool *is_free, struct knot_edge *edges)
{
    g->n = 1 + (u32)rand() % NODES;
    g->nedges = (size_t)rand() % EDGES;
    g->free = is_free;
    g->edge = edges;
    for (u32 i = 0; i < g->n; i++)
        is_free[i] = rand() % 12 == 0;
    for (size_t i = 0; i < g->nedges; i++)
        edges[i] = (struct knot_edge){(u32)rand() % g->n, (u32)rand() % g->n};
}

/* reach[a][b]: there is a path, of length 0 too. */
static void closure(const struct knot_graph *g, bool reach[NODES][NODES])
{
    memset(reach, 0, NODES * sizeof *reach);
    for (u32 i = 0; i < g->n; i++)
        reach[i][i] = true;
    for (u32 k = 0; k < g->n; k++)
        for (size_t e = 0; e < g->nedges; e++)
            for (u32 b = 0; b < g->n; b++)
                reach[g->edge[e].from][b] |= reach[g->edge[e].to][b];
}

/* In a knot: whatever it reaches is not free and reaches it. */
static bool in_knot(const struct knot_graph *g, const bool *was_free, bool reach[NODES][NODES], u32 node)
{
    for (u32 b = 0; b < g->n; b++)
        if (reach[node][b] && (was_free[b] || !reach[b][node]))
            return false;
    return true;
}

static void random_graphs(void)
{
    srand(7);
    for (int round = 0; round < ROUNDS; round++) {
        struct knot_graph g;
        struct knot_edge edges[EDGES];
        bool is_free[NODES], was_free[NODES], reach[NODES][NODES], good = true;
        u32 set[NODES];
        prepare(&g, is_free, edges);
        memcpy(was_free, is_free, sizeof was_free);
        closure(&g, reach);
        knot_reduce(&g);
        u32 n = knot_sets(&g, set);
        for (u32 i = 0; i < g.n; i++) {
            bool can = false;
            for (u32 b = 0; b < g.n; b++)
                can |= reach[i][b] && was_free[b];
            good &= can == is_free[i] && in_knot(&g, was_free, reach, i) == (set[i] != 0) && set[i] <= n;
            for (u32 b = 0; b < g.n && set[i]; b++)
                good &= (set[b] == set[i]) == (reach[i][b] && reach[b][i]);
        }
        CU_ASSERT_TRUE_FATAL(good);
    }
}

static void two_and_who_waits_for_them(void)
{
    /* 0 and 1 wait for each other, 2 for them; 3 waits for 4, who can go on */
    struct knot_edge edges[] = {{0, 1}, {1, 0}, {2, 0}, {3, 4}};
    bool is_free[] = {false, false, false, false, true};
    struct knot_graph g = {5, is_free, edges, 4};
    u32 set[5];
    knot_reduce(&g);
    CU_ASSERT_EQUAL(knot_sets(&g, set), 1);
    CU_ASSERT_TRUE(set[0] == 1 && set[1] == 1 && !set[2] && !set[3] && !set[4]);
    CU_ASSERT_TRUE(is_free[3] && !is_free[2]);
}

UNIT_TESTS("knot", {"random_graphs", random_graphs}, {"two_and_who_waits_for_them", two_and_who_waits_for_them})
