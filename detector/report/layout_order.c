/* Layers: which node is in which, in what order, and where. Called by layout.c. Takes no locks; allocates with malloc. */
#include "layout_order.h"

#include <stdlib.h>
#include <string.h>

#define SWEEPS 12
#define MOVES 10
#define JOINT_WIDTH 8.0

static void *zeroed(size_t n, size_t size)
{
    void *p = calloc(n + 1, size);
    if (!p)
        abort();
    return p;
}

/* ---- layers ---- */

/* Arrows by the node they leave: those of v are list[start[v]] to list[start[v + 1] - 1]. */
static unsigned *index_arrows(size_t nodes, const struct layer_arrow *arrow, size_t arrows, unsigned *start)
{
    unsigned *list = zeroed(arrows, sizeof *list), *fill = zeroed(nodes, sizeof *fill);
    for (size_t e = 0; e < arrows; e++)
        start[arrow[e].from + 1]++;
    for (size_t v = 0; v < nodes; v++)
        start[v + 1] += start[v];
    for (size_t e = 0; e < arrows; e++)
        list[start[arrow[e].from] + fill[arrow[e].from]++] = (unsigned)e;
    free(fill);
    return list;
}

/* Depth first: an arrow back to a node that is being visited closes a circle, and is turned. `order` gets the nodes as
 * they are left, which is against the direction of the arrows. */
static void turn_arrows(size_t nodes, const struct layer_arrow *arrow, const unsigned *start, const unsigned *list,
                        bool *turned, unsigned *order)
{
    enum { NEW, OPEN, DONE };
    unsigned char *state = zeroed(nodes, 1);
    unsigned *stack = zeroed(nodes, sizeof *stack), *next = zeroed(nodes, sizeof *next);
    size_t left = 0;
    for (size_t root = 0; root < nodes; root++) {
        size_t depth = 0;
        if (state[root] != NEW)
            continue;
        state[root] = OPEN;
        next[root] = start[root];
        stack[depth++] = (unsigned)root;
        while (depth) {
            unsigned v = stack[depth - 1];
            if (next[v] == start[v + 1]) {
                state[v] = DONE;
                order[left++] = v;
                depth--;
                continue;
            }
            unsigned e = list[next[v]++], to = arrow[e].to;
            turned[e] = state[to] == OPEN;
            if (state[to] == NEW) {
                state[to] = OPEN;
                next[to] = start[to];
                stack[depth++] = to;
            }
        }
    }
    free(state);
    free(stack);
    free(next);
}

void layers_assign(struct layers *g, const struct layer_arrow *arrow, size_t arrows, bool *turned)
{
    size_t nodes = g->spots;
    unsigned *start = zeroed(nodes + 1, sizeof *start), *order = zeroed(nodes, sizeof *order);
    unsigned *list = index_arrows(nodes, arrow, arrows, start);
    struct layer_arrow *straight = zeroed(arrows, sizeof *straight);
    turn_arrows(nodes, arrow, start, list, turned, order);
    for (size_t e = 0; e < arrows; e++)
        straight[e] = turned[e] ? (struct layer_arrow){arrow[e].to, arrow[e].from} : arrow[e];
    free(list);
    memset(start, 0, (nodes + 2) * sizeof *start);
    list = index_arrows(nodes, straight, arrows, start);
    /* A turned arrow leads from where the search was to where it had come from: its order still holds. */
    for (size_t i = nodes; i-- > 0;)
        for (unsigned k = start[order[i]]; k < start[order[i] + 1]; k++) {
            struct layer_spot *to = &g->spot[straight[list[k]].to];
            unsigned least = g->spot[order[i]].layer + 1;
            to->layer = to->layer < least ? least : to->layer;
        }
    /* What nothing leads to comes right above what it leads to. */
    bool *reached = zeroed(nodes, sizeof *reached);
    for (size_t e = 0; e < arrows; e++)
        reached[straight[e].to] = true;
    for (size_t v = 0; v < nodes; v++) {
        unsigned least = ~0u;
        for (unsigned k = start[v]; !reached[v] && k < start[v + 1]; k++)
            least = g->spot[straight[list[k]].to].layer < least ? g->spot[straight[list[k]].to].layer : least;
        if (least != ~0u)
            g->spot[v].layer = least - 1;
    }
    free(reached);
    free(straight);
    free(list);
    free(order);
    free(start);
}

/* ---- order within the layers ---- */

static void index_neighbours(struct layers *g)
{
    unsigned *fill = zeroed(g->spots * 2, sizeof *fill);
    g->near_start = zeroed(g->spots * 2 + 1, sizeof *g->near_start);
    g->near = zeroed(g->links * 2, sizeof *g->near);
    for (size_t i = 0; i < g->links; i++) {
        g->near_start[2 * g->link[i].lower + 1]++;
        g->near_start[2 * g->link[i].upper + 2]++;
    }
    for (size_t i = 0; i < g->spots * 2; i++)
        g->near_start[i + 1] += g->near_start[i];
    for (size_t i = 0; i < g->links; i++) {
        unsigned up = 2 * g->link[i].lower, down = 2 * g->link[i].upper + 1;
        g->near[g->near_start[up] + fill[up]++] = g->link[i].upper;
        g->near[g->near_start[down] + fill[down]++] = g->link[i].lower;
    }
    free(fill);
}

static void fill_rows(struct layers *g)
{
    for (size_t v = 0; v < g->spots; v++)
        g->rows = g->spot[v].layer >= g->rows ? g->spot[v].layer + 1 : g->rows;
    g->row = zeroed(g->rows, sizeof *g->row);
    g->row_size = zeroed(g->rows, sizeof *g->row_size);
    for (size_t v = 0; v < g->spots; v++)
        g->row_size[g->spot[v].layer]++;
    for (unsigned r = 0; r < g->rows; r++) {
        g->row[r] = zeroed(g->row_size[r], sizeof **g->row);
        g->row_size[r] = 0;
    }
    for (size_t v = 0; v < g->spots; v++) {
        struct layer_spot *s = &g->spot[v];
        s->rank = g->row_size[s->layer]++;
        g->row[s->layer][s->rank] = (unsigned)v;
    }
}

struct ranked {
    unsigned v, rank;
    double wish;
};

static int by_wish(const void *a, const void *b)
{
    const struct ranked *p = a, *q = b;
    if (p->wish < q->wish || p->wish > q->wish)
        return p->wish < q->wish ? -1 : 1;
    return p->rank < q->rank ? -1 : p->rank > q->rank;
}

/* Sorts a row by the mean rank of the neighbours above (side 0) or below (1). */
static void sort_row(struct layers *g, unsigned r, unsigned side, struct ranked *list)
{
    for (unsigned i = 0; i < g->row_size[r]; i++) {
        unsigned v = g->row[r][i], a = g->near_start[2 * v + side], b = g->near_start[2 * v + side + 1];
        double sum = 0;
        for (unsigned k = a; k < b; k++)
            sum += g->spot[g->near[k]].rank;
        list[i] = (struct ranked){v, i, a < b ? sum / (b - a) : i};
    }
    qsort(list, g->row_size[r], sizeof *list, by_wish);
    for (unsigned i = 0; i < g->row_size[r]; i++) {
        g->row[r][i] = list[i].v;
        g->spot[list[i].v].rank = i;
    }
}

/* ---- coordinates ---- */

static double width_of(const struct layer_spot *s)
{
    return s->joint ? JOINT_WIDTH : s->w;
}

static double apart(const struct layers *g, unsigned a, unsigned b)
{
    double gap = g->spot[a].joint && g->spot[b].joint ? g->gap / 2 : g->gap;
    return (width_of(&g->spot[a]) + width_of(&g->spot[b])) / 2 + gap;
}

struct block {
    double sum, weight;
    unsigned n;
};

/* Each spot of the row to where it wishes to be, or as near as the order and the gaps allow: least squares, by joining
 * neighbours that would overlap (pool adjacent violators). */
static void settle_row(struct layers *g, unsigned r, struct block *block)
{
    double offset = 0;
    size_t blocks = 0;
    for (unsigned i = 0; i < g->row_size[r]; i++) {
        struct layer_spot *s = &g->spot[g->row[r][i]];
        offset += i ? apart(g, g->row[r][i - 1], g->row[r][i]) : 0;
        double weight = s->joint ? 2 : 1;
        block[blocks++] = (struct block){(s->wish - offset) * weight, weight, 1};
        while (blocks > 1 &&
               block[blocks - 1].sum / block[blocks - 1].weight < block[blocks - 2].sum / block[blocks - 2].weight) {
            block[blocks - 2].sum += block[blocks - 1].sum;
            block[blocks - 2].weight += block[blocks - 1].weight;
            block[blocks - 2].n += block[blocks - 1].n;
            blocks--;
        }
    }
    offset = 0;
    for (size_t b = 0, i = 0; b < blocks; b++)
        for (unsigned k = 0; k < block[b].n; k++, i++) {
            offset += i ? apart(g, g->row[r][i - 1], g->row[r][i]) : 0;
            g->spot[g->row[r][i]].x = block[b].sum / block[b].weight + offset;
        }
}

/* Wishes from both sides, or from one while the first rows are still where they happened to be. */
static void wish_row(struct layers *g, unsigned r, bool above, bool below)
{
    for (unsigned i = 0; i < g->row_size[r]; i++) {
        unsigned v = g->row[r][i], a = g->near_start[2 * v + !above], b = g->near_start[2 * v + 1 + below];
        double sum = 0;
        for (unsigned k = a; k < b; k++)
            sum += g->spot[g->near[k]].x;
        g->spot[v].wish = a < b ? sum / (b - a) : g->spot[v].x;
    }
}

static void move_rows(struct layers *g)
{
    struct block *block = zeroed(g->spots, sizeof *block);
    for (unsigned r = 0; r < g->rows; r++)
        for (unsigned i = 1; i < g->row_size[r]; i++)
            g->spot[g->row[r][i]].x = g->spot[g->row[r][i - 1]].x + apart(g, g->row[r][i - 1], g->row[r][i]);
    for (unsigned move = 0; move < MOVES; move++) {
        bool down = move % 2 == 0, both = move >= MOVES - 4;
        for (unsigned k = 0; k < g->rows; k++) {
            unsigned r = down ? k : g->rows - 1 - k;
            wish_row(g, r, down || both, !down || both);
            settle_row(g, r, block);
        }
    }
    free(block);
}

void layers_place(struct layers *g, double gap_y, double *width, double *height)
{
    double left = 0, y = 0;
    index_neighbours(g);
    fill_rows(g);
    struct ranked *list = zeroed(g->spots, sizeof *list);
    for (unsigned sweep = 0; sweep < SWEEPS; sweep++)
        for (unsigned k = 0; k < g->rows; k++)
            sort_row(g, sweep % 2 ? g->rows - 1 - k : k, sweep % 2, list);
    free(list);
    move_rows(g);
    for (size_t v = 0; v < g->spots; v++) {
        double edge = g->spot[v].x - width_of(&g->spot[v]) / 2;
        left = v == 0 || edge < left ? edge : left;
    }
    *width = 0;
    for (unsigned r = 0; r < g->rows; r++) {
        double tallest = 0;
        for (unsigned i = 0; i < g->row_size[r]; i++)
            tallest = g->spot[g->row[r][i]].h > tallest ? g->spot[g->row[r][i]].h : tallest;
        for (unsigned i = 0; i < g->row_size[r]; i++) {
            struct layer_spot *s = &g->spot[g->row[r][i]];
            s->x -= left;
            s->y = y + tallest / 2;
            *width = s->x + width_of(s) / 2 > *width ? s->x + width_of(s) / 2 : *width;
        }
        *height = y + tallest;
        y += tallest + gap_y;
    }
}

void layers_free(struct layers *g)
{
    for (unsigned r = 0; r < g->rows; r++)
        free(g->row[r]);
    free(g->row);
    free(g->row_size);
    free(g->near_start);
    free(g->near);
    free(g->link);
    free(g->spot);
}
