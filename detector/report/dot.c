/* The lock-order graph for graphviz. Called by the verbs run and graph. Takes no locks; allocates with malloc. */
#include <stdlib.h>
#include <string.h>

#include "graph.h"
#include "label.h"

/* A quoted string: nothing inside ends it or is taken for an escape. */
static void put_quoted(struct buffer *b, const char *s)
{
    buffer_put(b, "\"");
    for (; *s; s++) {
        if (*s == '"' || *s == '\\')
            buffer_put(b, "\\");
        buffer_add(b, s, 1);
    }
    buffer_put(b, "\"");
}

static void put_node(struct buffer *b, const json_t *node)
{
    buffer_put(b, "  ");
    put_quoted(b, label_text(node, "class"));
    if (label_number(node, "locks") > 1)
        buffer_print(b, " [peripheries=2, tooltip=\"%lld locks\"]", (long long)label_number(node, "locks"));
    buffer_put(b, ";\n");
}

static void put_edge(struct buffer *b, const json_t *marks, const json_t *edge)
{
    const char *finding = graph_mark(marks, edge);
    char *place = label_place(edge);
    buffer_put(b, "  ");
    put_quoted(b, label_text(edge, "from"));
    buffer_put(b, " -> ");
    put_quoted(b, label_text(edge, "to"));
    buffer_put(b, " [label=");
    put_quoted(b, place);
    if (finding) {
        buffer_put(b, ", color=red, fontcolor=red, penwidth=2, tooltip=");
        put_quoted(b, finding);
    }
    buffer_put(b, "];\n");
    free(place);
}

char *graph_dot(const json_t *document)
{
    struct buffer b = {0};
    json_t *marks = graph_marks(document);
    const json_t *graph = json_object_get(document, "lock_graph"), *item;
    size_t i;
    buffer_put(
        &b,
        "// Lock order: an arrow leads from a lock that is held to one that is taken then. Red: part of a finding.\n"
        "digraph lock_order {\n  node [shape=box, fontname=\"monospace\"];\n  edge [fontname=\"monospace\", "
        "fontsize=10];\n");
    json_array_foreach (json_object_get(graph, "nodes"), i, item)
        put_node(&b, item);
    json_array_foreach (json_object_get(graph, "edges"), i, item)
        put_edge(&b, marks, item);
    buffer_put(&b, "}\n");
    json_decref(marks);
    return buffer_take(&b);
}
