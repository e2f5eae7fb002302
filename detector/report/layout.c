/* Layers of a directed graph, part by part. Called by svg.c. Takes no locks; allocates with malloc.
 *
 * The parts of the graph that hang together are laid out on their own: arrows that close a circle are turned round, each
 * node comes below those that lead to it, arrows over several layers get a joint in each, the order within the layers is
 * improved from above and from below (barycentres, Eades and Wormald 1994), and then each node is moved towards the
 * middle of its neighbours as far as the others leave room. The finished parts are set into rows. */
#include "layout.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "layout_order.h"
#include "view.h"

#define PAD 12.0

static void *zeroed(size_t n, size_t size)
{
    void *p = calloc(n + 1, size);
    if (!p)
        abort();
    return p;
}

/* ---- parts ---- */

static unsigned root_of(unsigned *parent, unsigned v)
{
    while (parent[v] != v)
        v = parent[v] = parent[parent[v]];
    return v;
}

/* part[v]: number of the part that v is in. Returns how many there are; parts are numbered by their first node. */
static size_t find_parts(const struct layout *l, unsigned *part)
{
    unsigned *parent = zeroed(l->nodes, sizeof *parent);
    size_t parts = 0;
    for (size_t v = 0; v < l->nodes; v++)
        parent[v] = (unsigned)v;
    for (size_t e = 0; e < l->edges; e++) {
        unsigned a = root_of(parent, l->edge[e].from), b = root_of(parent, l->edge[e].to);
        parent[a < b ? b : a] = a < b ? a : b;
    }
    for (size_t v = 0; v < l->nodes; v++) { /* a root comes before all others of its part */
        unsigned r = root_of(parent, (unsigned)v);
        part[v] = r == v ? (unsigned)parts++ : part[r];
    }
    free(parent);
    return parts;
}

/* Moves a part that begins at (0, 0) to its place. */
static void shift(struct layout *l, const unsigned *part, unsigned which, double x, double y)
{
    for (size_t v = 0; v < l->nodes; v++)
        if (part[v] == which) {
            l->node[v].x += x;
            l->node[v].y += y;
        }
    for (size_t e = 0; e < l->edges; e++)
        for (size_t i = 0; part[l->edge[e].from] == which && i < l->edge[e].n; i++) {
            l->edge[e].at[i].x += x;
            l->edge[e].at[i].y += y;
        }
}

/* ---- joints: what an arrow over several layers goes through ---- */

static void add_link(struct layers *g, unsigned upper, unsigned lower)
{
    g->link[g->links++] = (struct layer_link){upper, lower};
}

/* Links between neighbouring layers for every arrow; first_link[e] is where those of e begin. */
static void add_joints(struct layers *g, const struct layout *l, const unsigned *edges, size_t nedges,
                       const unsigned *local, const bool *turned, size_t *first_link)
{
    for (size_t i = 0; i < nedges; i++) {
        const struct layout_edge *e = &l->edge[edges[i]];
        unsigned from = local[turned[i] ? e->to : e->from], to = local[turned[i] ? e->from : e->to], last = from;
        first_link[i] = g->links;
        for (unsigned layer = g->spot[from].layer + 1; layer < g->spot[to].layer; layer++) {
            g->spot[g->spots] = (struct layer_spot){.layer = layer, .joint = true};
            add_link(g, last, (unsigned)g->spots);
            last = (unsigned)g->spots++;
        }
        add_link(g, last, to);
    }
    first_link[nedges] = g->links;
}

/* How many joints and links there will be. */
static size_t count_links(const struct layers *g, const struct layout *l, const unsigned *edges, size_t nedges,
                          const unsigned *local)
{
    size_t n = 0;
    for (size_t i = 0; i < nedges; i++) {
        unsigned a = g->spot[local[l->edge[edges[i]].from]].layer, b = g->spot[local[l->edge[edges[i]].to]].layer;
        n += a > b ? a - b : b - a;
    }
    return n;
}

/* ---- where arrows leave and reach a box ---- */

struct port {
    unsigned node, edge;
    bool upper_end; /* of the link: it leaves below */
    double towards; /* where the other end is */
};

static int by_direction(const void *a, const void *b)
{
    const struct port *p = a, *q = b;
    if (p->node != q->node)
        return p->node < q->node ? -1 : 1;
    if (p->upper_end != q->upper_end)
        return p->upper_end ? 1 : -1;
    if (p->towards < q->towards || p->towards > q->towards)
        return p->towards < q->towards ? -1 : 1;
    return p->edge < q->edge ? -1 : p->edge > q->edge;
}

/* Spreads the ends over each side of each box, in the order of where they lead. x[2 * i] and x[2 * i + 1]: upper and lower
 * end of arrow i. */
static void spread_ports(const struct layers *g, const size_t *first_link, size_t nedges, double *x)
{
    struct port *p = zeroed(nedges * 2, sizeof *p);
    for (size_t i = 0; i < nedges; i++) {
        const struct layer_link *first = &g->link[first_link[i]], *last = &g->link[first_link[i + 1] - 1];
        p[2 * i] = (struct port){first->upper, (unsigned)i, true, g->spot[first->lower].x};
        p[2 * i + 1] = (struct port){last->lower, (unsigned)i, false, g->spot[last->upper].x};
    }
    qsort(p, nedges * 2, sizeof *p, by_direction);
    for (size_t i = 0, end; i < nedges * 2; i = end) {
        for (end = i + 1; end < nedges * 2 && p[end].node == p[i].node && p[end].upper_end == p[i].upper_end; end++)
            ;
        double room = g->spot[p[i].node].w * 0.8, step = room / (double)(end - i);
        step = step > 28 ? 28 : step;
        for (size_t k = i; k < end; k++)
            x[2 * p[k].edge + !p[k].upper_end] =
                g->spot[p[i].node].x + ((double)(k - i) - (double)(end - i - 1) / 2) * step;
    }
    free(p);
}

/* The points of an arrow, in its own direction. */
static void set_points(const struct layers *g, struct layout_edge *e, size_t first, size_t end, bool turned,
                       double upper_x, double lower_x)
{
    size_t n = end - first + 1;
    const struct layer_spot *top = &g->spot[g->link[first].upper], *bottom = &g->spot[g->link[end - 1].lower];
    e->at = zeroed(n, sizeof *e->at);
    e->n = n;
    for (size_t i = 0; i < n; i++) {
        size_t k = turned ? n - 1 - i : i; /* i counts from above */
        if (i == 0)
            e->at[k] = (struct layout_point){upper_x, top->y + top->h / 2};
        else if (i == n - 1)
            e->at[k] = (struct layout_point){lower_x, bottom->y - bottom->h / 2};
        else
            e->at[k] =
                (struct layout_point){g->spot[g->link[first + i - 1].lower].x, g->spot[g->link[first + i - 1].lower].y};
    }
}

/* ---- one part ---- */

struct part {
    unsigned *nodes, *edges; /* indices into the whole */
    size_t nnodes, nedges;
};

static void lay_part(struct layout *l, const struct part *p, unsigned *local, struct layout_point *size)
{
    struct layers g = {.gap = l->gap_x};
    bool *turned = zeroed(p->nedges, sizeof *turned);
    size_t *first_link = zeroed(p->nedges + 1, sizeof *first_link);
    struct layer_arrow *arrow = zeroed(p->nedges, sizeof *arrow);
    for (size_t i = 0; i < p->nnodes; i++)
        local[p->nodes[i]] = (unsigned)i;
    for (size_t i = 0; i < p->nedges; i++)
        arrow[i] = (struct layer_arrow){local[l->edge[p->edges[i]].from], local[l->edge[p->edges[i]].to]};
    g.spot = zeroed(p->nnodes, sizeof *g.spot);
    g.spots = p->nnodes;
    layers_assign(&g, arrow, p->nedges, turned);
    size_t links = count_links(&g, l, p->edges, p->nedges, local);
    g.spot = realloc(g.spot, (p->nnodes + links + 1) * sizeof *g.spot);
    if (!g.spot)
        abort();
    g.link = zeroed(links, sizeof *g.link);
    for (size_t i = 0; i < p->nnodes; i++) {
        g.spot[i].w = l->node[p->nodes[i]].w;
        g.spot[i].h = l->node[p->nodes[i]].h;
    }
    add_joints(&g, l, p->edges, p->nedges, local, turned, first_link);
    layers_place(&g, l->gap_y, &size->x, &size->y);
    for (size_t i = 0; i < p->nnodes; i++) {
        l->node[p->nodes[i]].x = g.spot[i].x;
        l->node[p->nodes[i]].y = g.spot[i].y;
    }
    double *x = zeroed(p->nedges * 2, sizeof *x);
    spread_ports(&g, first_link, p->nedges, x);
    for (size_t i = 0; i < p->nedges; i++)
        set_points(&g, &l->edge[p->edges[i]], first_link[i], first_link[i + 1], turned[i], x[2 * i], x[2 * i + 1]);
    free(x);
    free(arrow);
    free(first_link);
    free(turned);
    layers_free(&g);
}

/* Which nodes and arrows each part has; loops are in none. */
static struct part *collect_parts(const struct layout *l, const unsigned *part, size_t parts)
{
    struct part *p = zeroed(parts, sizeof *p);
    for (int pass = 0; pass < 2; pass++) { /* counted, then filled */
        for (size_t i = 0; pass && i < parts; i++) {
            p[i].nodes = zeroed(p[i].nnodes, sizeof *p[i].nodes);
            p[i].edges = zeroed(p[i].nedges, sizeof *p[i].edges);
            p[i].nnodes = p[i].nedges = 0;
        }
        for (size_t v = 0; v < l->nodes; v++) {
            struct part *of = &p[part[v]];
            if (pass)
                of->nodes[of->nnodes] = (unsigned)v;
            of->nnodes++;
        }
        for (size_t e = 0; e < l->edges; e++) {
            struct part *of = &p[part[l->edge[e].from]];
            if (l->edge[e].from == l->edge[e].to)
                continue;
            if (pass)
                of->edges[of->nedges] = (unsigned)e;
            of->nedges++;
        }
    }
    return p;
}

void layout_run(struct layout *l)
{
    unsigned *part = zeroed(l->nodes, sizeof *part), *local = zeroed(l->nodes, sizeof *local);
    size_t parts = find_parts(l, part);
    struct part *p = collect_parts(l, part, parts);
    double x = 0, y = 0, row = 0;
    l->width = l->height = 0;
    for (size_t i = 0; i < parts; i++) {
        struct layout_point size = {0, 0};
        lay_part(l, &p[i], local, &size);
        if (x > 0 && x + size.x > l->most_width) {
            y += row + l->gap_y;
            x = row = 0;
        }
        shift(l, part, (unsigned)i, x + PAD, y + PAD);
        x += size.x + l->gap_x * 1.5;
        row = size.y > row ? size.y : row;
        l->width = x > l->width ? x : l->width;
        free(p[i].nodes);
        free(p[i].edges);
    }
    l->width += PAD * 2 - (parts ? l->gap_x * 1.5 : 0);
    l->height = y + row + PAD * 2;
    free(p);
    free(part);
    free(local);
}

void layout_free(struct layout *l)
{
    for (size_t e = 0; e < l->edges; e++)
        free(l->edge[e].at);
}
