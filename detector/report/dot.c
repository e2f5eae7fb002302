/* The lock-order graph for graphviz. Called by the verbs run and graph. Takes no locks; allocates with malloc. */
#include <stdlib.h>
#include <string.h>

#include "graph.h"
#include "label.h"
#include "markup.h"

#define MAX_LABEL 1000

/* A quoted string: nothing inside ends it or is taken for an escape. In labels graphviz also reads entities. */
static void put_quoted(struct buffer *b, const char *s, bool label)
{
    buffer_put(b, "\"");
    for (; *s; s++) {
        if (*s == '"' || *s == '\\')
            buffer_put(b, "\\");
        buffer_add(b, s, 1);
        if (*s == '&' && label)
            buffer_put(b, "amp;");
    }
    buffer_put(b, "\"");
}

static void put_label(struct buffer *b, const char *s)
{
    char *clipped = markup_clip(s, MAX_LABEL);
    put_quoted(b, clipped, true);
    free(clipped);
}

static void put_node(struct buffer *b, const json_t *node)
{
    const char *class = label_text(node, "class");
    buffer_put(b, "  ");
    put_quoted(b, class, false);
    buffer_put(b, " [label=");
    put_label(b, class);
    if (label_number(node, "locks") > 1)
        buffer_print(b, ", peripheries=2, tooltip=\"%lld locks\"", (long long)label_number(node, "locks"));
    buffer_put(b, "];\n");
}

static void put_edge(struct buffer *b, const json_t *edge)
{
    const char *finding = label_text(edge, "finding");
    char *place = label_place(edge);
    buffer_put(b, "  ");
    put_quoted(b, label_text(edge, "from"), false);
    buffer_put(b, " -> ");
    put_quoted(b, label_text(edge, "to"), false);
    buffer_put(b, " [label=");
    put_label(b, place);
    if (*finding) {
        buffer_put(b, ", color=red, fontcolor=red, penwidth=2, tooltip=");
        put_quoted(b, finding, true);
    }
    buffer_put(b, "];\n");
    free(place);
}

char *graph_dot(const json_t *document)
{
    struct buffer b = {0};
    json_t *graph = graph_of(document);
    const json_t *item;
    size_t i;
    buffer_put(
        &b,
        "// Lock order: an arrow leads from a lock that is held to one that is taken then. Red: part of a finding.\n"
        "digraph lock_order {\n  node [shape=box, fontname=\"monospace\"];\n  edge [fontname=\"monospace\", "
        "fontsize=10];\n");
    json_array_foreach (json_object_get(graph, "nodes"), i, item)
        put_node(&b, item);
    json_array_foreach (json_object_get(graph, "edges"), i, item)
        put_edge(&b, item);
    buffer_put(&b, "}\n");
    json_decref(graph);
    return buffer_take(&b);
}
