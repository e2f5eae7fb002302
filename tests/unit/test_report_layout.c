/* Layers of graphs: boxes that do not overlap, arrows that begin and end at their boxes. */
#include "report/layout.h"

#include <math.h>
#include <stdlib.h>

#include "report_fixture.h"

static struct layout make(size_t nodes, size_t edges)
{
    struct layout l = {.nodes = nodes, .edges = edges, .gap_x = 10, .gap_y = 30, .most_width = 600};
    l.node = calloc(nodes + 1, sizeof *l.node);
    l.edge = calloc(edges + 1, sizeof *l.edge);
    for (size_t i = 0; i < nodes; i++) {
        l.node[i].w = 20 + (double)(i * 37 % 50);
        l.node[i].h = 20;
    }
    return l;
}

static void drop(struct layout *l)
{
    layout_free(l);
    free(l->node);
    free(l->edge);
}

static bool apart(const struct layout_node *a, const struct layout_node *b)
{
    return fabs(a->x - b->x) >= (a->w + b->w) / 2 - 0.01 || fabs(a->y - b->y) >= (a->h + b->h) / 2 - 0.01;
}

static bool at_border(const struct layout_node *n, struct layout_point p)
{
    return fabs(p.x - n->x) <= n->w / 2 + 0.01 && fabs(fabs(p.y - n->y) - n->h / 2) < 0.01;
}

/* What holds of every drawing. */
static void check(const struct layout *l)
{
    size_t bad = 0;
    for (size_t i = 0; i < l->nodes; i++) {
        const struct layout_node *n = &l->node[i];
        bad += !(n->x - n->w / 2 >= 0 && n->y - n->h / 2 >= 0 && n->x + n->w / 2 <= l->width + 0.01 &&
                 n->y + n->h / 2 <= l->height + 0.01);
        for (size_t k = 0; k < i; k++)
            bad += !apart(n, &l->node[k]);
    }
    for (size_t i = 0; i < l->edges; i++) {
        const struct layout_edge *e = &l->edge[i];
        if (e->from == e->to) {
            bad += e->n != 0;
            continue;
        }
        bad += e->n < 2 || !at_border(&l->node[e->from], e->at[0]) || !at_border(&l->node[e->to], e->at[e->n - 1]);
        bad += l->node[e->from].y == l->node[e->to].y; /* never side by side */
    }
    CU_ASSERT_EQUAL(bad, 0);
}

static void nothing(void)
{
    struct layout l = make(0, 0);
    layout_run(&l);
    CU_ASSERT(l.width >= 0 && l.height >= 0);
    drop(&l);
}

/* a before b and b before a: two arrows, one down and one up, side by side. */
static void abba(void)
{
    struct layout l = make(2, 2);
    l.edge[0] = (struct layout_edge){.from = 0, .to = 1};
    l.edge[1] = (struct layout_edge){.from = 1, .to = 0};
    layout_run(&l);
    check(&l);
    CU_ASSERT(l.node[0].y < l.node[1].y);
    CU_ASSERT(l.edge[0].at[0].y < l.edge[0].at[1].y && l.edge[1].at[0].y > l.edge[1].at[1].y);
    CU_ASSERT(l.edge[0].at[0].x < l.edge[1].at[1].x && l.edge[0].at[1].x < l.edge[1].at[0].x); /* they do not cross */
    drop(&l);
}

/* Every node below those that lead to it; an arrow over three layers goes round the boxes between. */
static void layers(void)
{
    static const unsigned char pairs[][2] = {{0, 1}, {1, 2}, {2, 3}, {0, 3}, {4, 4}};
    struct layout l = make(5, 5);
    for (size_t i = 0; i < 5; i++)
        l.edge[i] = (struct layout_edge){.from = pairs[i][0], .to = pairs[i][1]};
    layout_run(&l);
    check(&l);
    CU_ASSERT(l.node[0].y < l.node[1].y && l.node[1].y < l.node[2].y && l.node[2].y < l.node[3].y);
    CU_ASSERT_EQUAL(l.edge[3].n, 4);
    for (size_t i = 1; i < 3; i++)
        CU_ASSERT(fabs(l.edge[3].at[i].x - l.node[i].x) > l.node[i].w / 2);
    drop(&l);
}

/* Pairs that have nothing to do with each other are set into rows. */
static void parts(void)
{
    struct layout l = make(80, 40);
    for (size_t i = 0; i < 40; i++)
        l.edge[i] = (struct layout_edge){.from = (unsigned)(2 * i), .to = (unsigned)(2 * i + 1)};
    layout_run(&l);
    check(&l);
    CU_ASSERT(l.width < 760 && l.height > 150);
    drop(&l);
}

static void any_graph(void)
{
    srand(7);
    for (int round = 0; round < 300; round++) {
        size_t nodes = 1 + (size_t)rand() % 30, edges = (size_t)rand() % 60;
        struct layout l = make(nodes, edges);
        for (size_t i = 0; i < edges; i++)
            l.edge[i] = (struct layout_edge){.from = (unsigned)rand() % (unsigned)nodes,
                                             .to = (unsigned)rand() % (unsigned)nodes};
        layout_run(&l);
        check(&l);
        drop(&l);
    }
}

UNIT_TESTS("report: layout of graphs", {"nothing", nothing}, {"abba", abba}, {"layers", layers}, {"parts", parts},
           {"any_graph", any_graph})
