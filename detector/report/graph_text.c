/* The lock-order graph as text. Called by the verb graph. Takes no locks; allocates with malloc. */
#include <stdlib.h>
#include <string.h>

#include "graph.h"
#include "label.h"

static void put_edge(struct text *t, const json_t *edge)
{
    const char *finding = label_text(edge, "finding");
    char *place = label_place(edge);
    buffer_put(&t->out, "    before ");
    text_put(t, *finding ? STYLE_ALARM : STYLE_NONE, label_text(edge, "to"));
    if (*place)
        buffer_put(&t->out, "   in ");
    text_put(t, STYLE_PLACE, place);
    free(place);
    if (label_number(edge, "threads"))
        buffer_print(&t->out, ", by %lld thread%s", (long long)label_number(edge, "threads"),
                     label_number(edge, "threads") == 1 ? "" : "s");
    if (*finding) {
        buffer_put(&t->out, "   ");
        text_put(t, STYLE_ALARM, "finding ");
        text_put(t, STYLE_ALARM, finding);
    }
    buffer_put(&t->out, "\n");
}

char *graph_text(const json_t *document, const struct text_options *o)
{
    struct text t = {{0}, o};
    json_t *graph = graph_of(document);
    const json_t *nodes = json_object_get(graph, "nodes"), *edges = json_object_get(graph, "edges"), *node;
    size_t i, first = 0;
    json_array_foreach (nodes, i, node) {
        const char *class = label_text(node, "class");
        json_int_t locks = label_number(node, "locks");
        text_put(&t, STYLE_STRONG, class);
        buffer_print(&t.out, "  (%s", label_text(node, "kind"));
        if (locks > 1)
            buffer_print(&t.out, ", %lld locks", (long long)locks);
        buffer_put(&t.out, ")\n");
        /* Both lists are sorted by class. */
        for (; first < json_array_size(edges) && label_is(json_array_get(edges, first), "from", class); first++)
            put_edge(&t, json_array_get(edges, first));
    }
    if (!json_array_size(nodes))
        buffer_put(&t.out, "No lock was ever taken while another one was held: there is no order to draw.\n");
    else
        buffer_print(&t.out,
                     "\n%zu classes of locks, %zu orders. \"before\" means: taken while the lock above is held.\n",
                     json_array_size(nodes), json_array_size(edges));
    if (label_number(graph, "cut"))
        buffer_put(&t.out, "Not complete: too many orders, or too many locks held at once.\n");
    json_decref(graph);
    return text_take(&t);
}
