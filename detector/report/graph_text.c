/* The lock-order graph as text. Called by the verb graph. Takes no locks; allocates with malloc. */
#include <stdlib.h>
#include <string.h>

#include "advice.h"
#include "graph.h"
#include "label.h"

static char *mark_key(const char *from, const char *to)
{
    struct buffer b = {0};
    buffer_print(&b, "%s\n%s", from, to); /* no class has a line break */
    return buffer_take(&b);
}

json_t *graph_marks(const json_t *document)
{
    json_t *marks = json_object(), *f;
    size_t i;
    json_array_foreach (json_object_get(document, "findings"), i, f) {
        size_t n;
        if (!label_is(f, "kind", "deadlock") && !label_is(f, "kind", "lock-order"))
            continue;
        struct advice_step *s = advice_steps(f, &n);
        for (size_t k = 0; k < n; k++) {
            char *key = s[k].hold ? mark_key(label_text(s[k].hold, "object"), label_text(s[k].ask, "object")) : NULL;
            if (key && !json_object_get(marks, key))
                json_object_set(marks, key, json_object_get(f, "id"));
            free(key);
        }
        free(s);
    }
    return marks;
}

const char *graph_mark(const json_t *marks, const json_t *edge)
{
    char *key = mark_key(label_text(edge, "from"), label_text(edge, "to"));
    const char *id = json_string_value(json_object_get(marks, key));
    free(key);
    return id;
}

static void put_edge(struct text *t, const json_t *marks, const json_t *edge)
{
    const char *finding = graph_mark(marks, edge);
    char *place = label_place(edge);
    buffer_put(&t->out, "    before ");
    text_put(t, finding ? STYLE_ALARM : STYLE_NONE, label_text(edge, "to"));
    if (*place)
        buffer_put(&t->out, "   in ");
    text_put(t, STYLE_PLACE, place);
    free(place);
    if (label_number(edge, "threads"))
        buffer_print(&t->out, ", by %lld thread%s", (long long)label_number(edge, "threads"),
                     label_number(edge, "threads") == 1 ? "" : "s");
    if (finding) {
        buffer_put(&t->out, "   ");
        text_put(t, STYLE_ALARM, "finding ");
        text_put(t, STYLE_ALARM, finding);
    }
    buffer_put(&t->out, "\n");
}

char *graph_text(const json_t *document, const struct text_options *o)
{
    struct text t = {{0}, o};
    const json_t *graph = json_object_get(document, "lock_graph"), *nodes = json_object_get(graph, "nodes");
    const json_t *edges = json_object_get(graph, "edges"), *node, *edge;
    json_t *marks = graph_marks(document);
    size_t i, first = 0;
    json_array_foreach (nodes, i, node) {
        const char *class = label_text(node, "class");
        json_int_t locks = label_number(node, "locks");
        text_put(&t, STYLE_STRONG, class);
        buffer_print(&t.out, "  (%s", label_text(node, "kind"));
        if (locks > 1)
            buffer_print(&t.out, ", %lld locks", (long long)locks);
        buffer_put(&t.out, ")\n");
        /* Both lists are sorted by class; one from elsewhere may not be, so a miss starts over. */
        size_t k, n = json_array_size(edges);
        for (k = first; k < n && label_is(json_array_get(edges, k), "from", class); k++)
            put_edge(&t, marks, json_array_get(edges, k));
        if (k == first) {
            json_array_foreach (edges, k, edge) {
                if (label_is(edge, "from", class))
                    put_edge(&t, marks, edge);
            }
        } else {
            first = k;
        }
    }
    if (!json_array_size(nodes))
        buffer_put(&t.out, "No lock was ever taken while another one was held: there is no order to draw.\n");
    else
        buffer_print(&t.out,
                     "\n%zu classes of locks, %zu orders. \"before\" means: taken while the lock above is held.\n",
                     json_array_size(nodes), json_array_size(edges));
    if (label_number(graph, "cut"))
        buffer_put(&t.out, "Not complete: too many orders, or too many locks held at once.\n");
    json_decref(marks);
    return buffer_take(&t.out);
}
