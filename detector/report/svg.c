/* The lock-order graph as SVG, drawn by ourselves. Called through graph.h. Takes no locks; allocates with malloc.
 *
 * Colours are classes of CSS: a page of its own brings a style for light and dark, inside an HTML report the report's
 * style serves. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "escape.h"
#include "format.h"
#include "graph.h"
#include "label.h"
#include "layout.h"
#include "markup.h"
#include "view.h"

#define MAX_NODES 300
#define MAX_EDGES 1500
#define MAX_LABEL 44 /* characters of a class that are shown; all of it in the tool tip */
#define CHARACTER 7.3
#define LINE 17.0

static const char style[] =
    "text{font:12px ui-monospace,\"DejaVu Sans Mono\",Menlo,Consolas,monospace;fill:#1c2430}"
    ".node rect{fill:#f4f6f8;stroke:#8793a3}.node .kind{fill:#5d6978;font-size:10.5px}"
    ".more{fill:none;stroke:#8793a3}.edge path{fill:none;stroke:#8793a3;stroke-width:1.3}.edge polygon{fill:#8793a3}"
    ".bad path{stroke:#c4281c;stroke-width:2.2}.bad polygon{fill:#c4281c}.bad "
    "rect{stroke:#c4281c}.hit{stroke:none!important}"
    ".back{fill:#fff}"
    "@media(prefers-color-scheme:dark){text{fill:#dde3ea}.node rect{fill:#222a33;stroke:#697687}.node "
    ".kind{fill:#9aa7b5}"
    ".edge path{stroke:#7d8a99}.edge polygon{fill:#7d8a99}.bad path,.bad rect{stroke:#ff7b6e}.bad polygon{fill:#ff7b6e}"
    ".back{fill:#14191f}}";

/* A class as it fits a box: its end tells more than its beginning. malloc'd. */
static char *short_label(const char *class)
{
    struct buffer b = {0};
    size_t columns = escape_columns(class);
    if (columns > MAX_LABEL) {
        buffer_put(&b, "…");
        for (; columns >= MAX_LABEL; class ++)
            columns -= ((unsigned char)class[1] & 0xc0) != 0x80;
    }
    buffer_put(&b, class);
    return buffer_take(&b);
}

static char *kind_label(const json_t *node)
{
    struct buffer b = {0};
    buffer_put(&b, label_text(node, "kind"));
    if (label_number(node, "locks") > 1)
        buffer_print(&b, ", %lld locks", (long long)label_number(node, "locks"));
    return buffer_take(&b);
}

struct drawing {
    const json_t *nodes, *edges;
    struct layout l;
};

static unsigned node_index(const json_t *index, const char *class)
{
    return (unsigned)json_integer_value(json_object_get(index, class));
}

static void prepare(struct drawing *d, const json_t *graph)
{
    const json_t *item;
    json_t *index = json_object();
    size_t i;
    d->nodes = json_object_get(graph, "nodes");
    d->edges = json_object_get(graph, "edges");
    d->l = (struct layout){
        .nodes = json_array_size(d->nodes), .edges = json_array_size(d->edges), .gap_x = 26, .gap_y = 56};
    d->l.node = calloc(d->l.nodes + 1, sizeof *d->l.node);
    d->l.edge = calloc(d->l.edges + 1, sizeof *d->l.edge);
    if (!d->l.node || !d->l.edge)
        abort();
    json_array_foreach (d->nodes, i, item) {
        char *label = short_label(label_text(item, "class")), *kind = kind_label(item);
        double width = (double)escape_columns(label) * CHARACTER,
               other = (double)escape_columns(kind) * CHARACTER * 0.87;
        d->l.node[i].w = (width > other ? width : other) + 24;
        d->l.node[i].h = 2 * LINE + 10;
        json_object_set_new(index, label_text(item, "class"), json_integer((json_int_t)i));
        free(label);
        free(kind);
    }
    json_array_foreach (d->edges, i, item) {
        d->l.edge[i].from = node_index(index, label_text(item, "from"));
        d->l.edge[i].to = node_index(index, label_text(item, "to"));
    }
    json_decref(index);
    d->l.most_width = 900 + 40 * sqrt((double)d->l.nodes) * 4;
    layout_run(&d->l);
}

static void put_arrow(struct buffer *b, double x, double y, double dx, double dy)
{
    double length = sqrt(dx * dx + dy * dy), s = length > 0 ? 1 / length : 0;
    dx *= s;
    dy *= s;
    buffer_print(b, "<polygon points=\"%.1f,%.1f %.1f,%.1f %.1f,%.1f\"/>", x, y, x - 9 * dx - 4 * dy,
                 y - 9 * dy + 4 * dx, x - 9 * dx + 4 * dy, y - 9 * dy - 4 * dx);
}

/* A lock of a class taken while another one of the class is held: a loop at the box's right side. */
static void put_loop(struct buffer *b, const struct layout_node *n)
{
    double x = n->x + n->w / 2, y = n->y;
    buffer_print(b, "<path d=\"M%.1f,%.1f c26,-14 26,24 0,12\"/>", x, y - 8);
    put_arrow(b, x, y + 4, -1, -0.5);
}

/* Smooth from joint to joint: the tangent at each is vertical. */
static void put_curve(struct buffer *b, const struct layout_edge *e)
{
    double sign = e->at[e->n - 1].y >= e->at[0].y ? 1 : -1;
    struct layout_point end = e->at[e->n - 1];
    buffer_print(b, "<path d=\"M%.1f,%.1f", e->at[0].x, e->at[0].y);
    for (size_t i = 1; i < e->n; i++) {
        struct layout_point p = e->at[i - 1], q = e->at[i];
        double stop = i + 1 == e->n ? q.y - sign * 8 : q.y, half = (stop - p.y) / 2;
        buffer_print(b, "C%.1f,%.1f %.1f,%.1f %.1f,%.1f", p.x, p.y + half, q.x, stop - half, q.x, stop);
    }
    buffer_put(b, "\"/>");
    put_arrow(b, end.x, end.y, 0, sign);
}

static void put_edge(struct buffer *b, const struct drawing *d, size_t i)
{
    const json_t *edge = json_array_get(d->edges, i);
    const struct layout_edge *e = &d->l.edge[i];
    const char *finding = label_text(edge, "finding");
    char *place = label_place(edge);
    buffer_print(b, "<g class=\"edge%s\" data-edge=\"%lld\"><title>", *finding ? " bad" : "",
                 (long long)(json_object_get(edge, "number") ? label_number(edge, "number") : (json_int_t)i));
    markup_take(b, markup_clip(label_text(edge, "from"), 1000));
    buffer_put(b, " → ");
    markup_take(b, markup_clip(label_text(edge, "to"), 1000));
    buffer_put(b, *place ? "\n" : "");
    markup_take(b, markup_clip(place, 1000));
    if (*finding)
        buffer_print(b, "\nfinding %s", finding);
    buffer_put(b, "</title>");
    if (e->n) {
        put_curve(b, e);
    } else if (e->from == e->to) {
        put_loop(b, &d->l.node[e->from]);
    }
    buffer_put(b, "</g>\n");
    free(place);
}

static void put_node(struct buffer *b, const struct drawing *d, size_t i, bool bad)
{
    const json_t *node = json_array_get(d->nodes, i);
    const struct layout_node *n = &d->l.node[i];
    char *label = short_label(label_text(node, "class")), *kind = kind_label(node);
    double x = n->x - n->w / 2, y = n->y - n->h / 2;
    buffer_print(b, "<g class=\"node%s\" data-node=\"", bad ? " bad" : "");
    markup_take(b, markup_clip(label_text(node, "class"), 1000));
    buffer_put(b, "\"><title>");
    markup_take(b, markup_clip(label_text(node, "class"), 1000));
    buffer_print(b, "</title><rect x=\"%.1f\" y=\"%.1f\" width=\"%.1f\" height=\"%.1f\" rx=\"5\"/>", x, y, n->w, n->h);
    if (label_number(node, "locks") > 1)
        buffer_print(b, "<path class=\"more\" d=\"M%.1f,%.1fh%.1fq5,0 5,5v%.1f\"/>", x + 6, y - 4, n->w - 7, n->h - 10);
    buffer_print(b, "<text x=\"%.1f\" y=\"%.1f\" text-anchor=\"middle\">", n->x, y + LINE);
    markup_take(b, label);
    buffer_print(b, "</text><text class=\"kind\" x=\"%.1f\" y=\"%.1f\" text-anchor=\"middle\">", n->x, y + 2 * LINE);
    markup_take(b, kind);
    buffer_put(b, "</text></g>\n");
}

static void put_content(struct buffer *b, const struct drawing *d)
{
    bool *bad = calloc(d->l.nodes + 1, sizeof *bad);
    if (!bad)
        abort();
    for (int pass = 0; pass < 2; pass++) /* what matters on top */
        for (size_t i = 0; i < d->l.edges; i++) {
            bool finding = *label_text(json_array_get(d->edges, i), "finding") != 0;
            bad[d->l.edge[i].from] |= finding;
            bad[d->l.edge[i].to] |= finding;
            if (finding == (pass == 1))
                put_edge(b, d, i);
        }
    for (size_t i = 0; i < d->l.nodes; i++)
        put_node(b, d, i, bad[i]);
    free(bad);
}

static void finish(struct drawing *d)
{
    layout_free(&d->l);
    free(d->l.node);
    free(d->l.edge);
}

void graph_svg_inside(struct buffer *b, const json_t *graph)
{
    struct drawing d;
    prepare(&d, graph);
    buffer_print(b,
                 "<svg class=\"graph\" role=\"img\" aria-label=\"Lock order\" viewBox=\"0 0 %.0f %.0f\" width=\"%.0f\" "
                 "height=\"%.0f\">\n",
                 d.l.width, d.l.height, d.l.width, d.l.height);
    put_content(b, &d);
    buffer_put(b, "</svg>\n");
    finish(&d);
}

char *graph_svg(const json_t *document)
{
    json_t *whole = graph_of(document), *part = graph_part(whole, MAX_NODES, MAX_EDGES);
    struct buffer b = {0};
    struct drawing d;
    prepare(&d, part);
    json_int_t nodes = label_number(part, "left_out"), edges = label_number(part, "left_out_edges");
    bool note = nodes || edges || !d.l.nodes;
    double width = note && d.l.width < 560 ? 560 : d.l.width, height = d.l.height + (note ? 30 : 0);
    buffer_print(
        &b,
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 %.0f "
        "%.0f\" width=\"%.0f\" height=\"%.0f\">\n<title>Lock order</title>\n<style>%s</style>\n"
        "<rect class=\"back\" width=\"100%%\" height=\"100%%\"/>\n",
        width, height, width, height, style);
    put_content(&b, &d);
    if (!d.l.nodes)
        buffer_print(&b, "<text x=\"12\" y=\"%.0f\">No lock was ever taken while another one was held.</text>\n",
                     height - 14);
    else if (note)
        buffer_print(
            &b,
            "<text x=\"12\" y=\"%.0f\">Not drawn: %lld classes of locks and %lld orders without a finding.</text>\n",
            height - 12, (long long)nodes, (long long)edges);
    buffer_put(&b, "</svg>\n");
    finish(&d);
    json_decref(part);
    json_decref(whole);
    return buffer_take(&b);
}

char *format_svg(const json_t *document)
{
    return graph_svg(document);
}
