/* The graph that is drawn: orders of the run and of its findings together. Called by the renderers of graphs. Takes no
 * locks; allocates with malloc. */
#include <stdlib.h>
#include <string.h>

#include "advice.h"
#include "graph.h"
#include "label.h"
#include "sides.h"
#include "view.h"

static char *key_of(const char *from, const char *to)
{
    struct buffer b = {0};
    buffer_print(&b, "%s\n%s", from, to); /* no class has a line break */
    return buffer_take(&b);
}

static void add_node(json_t *nodes, json_t *known, const char *class, const char *kind)
{
    if (json_object_get(known, class))
        return;
    json_object_set_new(known, class, json_true());
    json_array_append_new(nodes, json_pack("{s:s,s:s,s:i}", "class", class, "kind", kind, "locks", 1));
}

/* The step of a finding as an edge, unless the run has it; either way it gets the finding's id. */
static void add_step(json_t *edges, json_t *known, const json_t *f, const char *from, const json_t *ask)
{
    const char *to = label_text(ask, "object");
    char *key = key_of(from, to);
    json_t *edge = json_object_get(known, key), *stack = json_object_get(ask, "stack");
    if (!edge) {
        edge = json_pack("{s:s,s:s,s:i,s:i}", "from", from, "to", to, "count", 1, "threads", 1);
        if (stack)
            json_object_set(edge, "stack", stack);
        json_object_set(known, key, edge);
        json_array_append_new(edges, edge);
    }
    if (!json_object_get(edge, "finding"))
        json_object_set(edge, "finding", json_object_get(f, "id"));
    free(key);
}

/* Kind of a lock of the finding. */
static const char *kind_of(const json_t *f, const char *class)
{
    const json_t *lock;
    size_t i;
    json_array_foreach (json_object_get(f, "locks"), i, lock) {
        if (label_is(lock, "class", class))
            return label_text(lock, "kind");
    }
    return "lock";
}

static void add_finding(json_t *nodes, json_t *edges, json_t *classes, json_t *orders, const json_t *f)
{
    size_t n;
    if (!label_is(f, "kind", "deadlock") && !label_is(f, "kind", "lock-order"))
        return;
    struct advice_step *s = advice_steps(f, &n);
    for (size_t i = 0; i < n; i++) {
        const json_t *ask = s[i].ask;
        const char *to = label_text(ask, "object"),
                   *from = s[i].hold ? label_text(s[i].hold, "object") : label_text(sides_wanted(f, ask), "class");
        if (!*from || !*to)
            continue;
        add_node(nodes, classes, from, kind_of(f, from));
        add_node(nodes, classes, to, kind_of(f, to));
        add_step(edges, orders, f, from, ask);
    }
    free(s);
}

/* ---- sorting ---- */

static int compare(const void *a, const void *b)
{
    static const char *const keys[] = {"class", "from", "to"};
    const json_t *x = *(const json_t *const *)a, *y = *(const json_t *const *)b;
    int c = 0;
    for (size_t i = 0; !c && i < sizeof keys / sizeof *keys; i++)
        c = strcmp(label_text(x, keys[i]), label_text(y, keys[i]));
    return c;
}

static json_t *sorted(json_t *list)
{
    size_t n = json_array_size(list), i;
    json_t **item = view_alloc((n + 1) * sizeof *item);
    json_t *out = json_array(), *one;
    json_array_foreach (list, i, one)
        item[i] = one;
    qsort(item, n, sizeof *item, compare);
    for (i = 0; i < n; i++)
        json_array_append(out, item[i]);
    free(item);
    json_decref(list);
    return out;
}

json_t *graph_of(const json_t *document)
{
    const json_t *graph = json_object_get(document, "lock_graph"), *item;
    json_t *nodes = json_array(), *edges = json_array(), *classes = json_object(), *orders = json_object();
    size_t i;
    json_array_foreach (json_object_get(graph, "nodes"), i, item) {
        if (json_object_get(classes, label_text(item, "class")))
            continue;
        json_object_set_new(classes, label_text(item, "class"), json_true());
        json_array_append(nodes, (json_t *)item);
    }
    json_array_foreach (json_object_get(graph, "edges"), i, item) {
        json_t *edge = json_copy((json_t *)item); /* it may get a mark */
        char *key = key_of(label_text(item, "from"), label_text(item, "to"));
        add_node(nodes, classes, label_text(item, "from"), "lock");
        add_node(nodes, classes, label_text(item, "to"), "lock");
        json_object_set(orders, key, edge);
        json_array_append_new(edges, edge);
        free(key);
    }
    json_array_foreach (json_object_get(document, "findings"), i, item)
        add_finding(nodes, edges, classes, orders, item);
    json_decref(classes);
    json_decref(orders);
    json_t *out = json_pack("{s:o,s:o}", "nodes", sorted(nodes), "edges", sorted(edges));
    if (json_object_get(graph, "cut"))
        json_object_set(out, "cut", json_object_get(graph, "cut"));
    return out;
}

/* ---- a part of it ---- */

/* Keeps the edge's ends while there is room. */
static void keep_ends(json_t *kept, const json_t *edge, size_t most)
{
    static const char *const ends[] = {"from", "to"};
    for (size_t i = 0; i < 2; i++)
        if (json_object_size(kept) < most)
            json_object_set_new(kept, label_text(edge, ends[i]), json_true());
}

static int by_count(const void *a, const void *b)
{
    const json_t *x = *(const json_t *const *)a, *y = *(const json_t *const *)b;
    json_int_t m = label_number(x, "count"), n = label_number(y, "count");
    return m != n ? (m > n ? -1 : 1) : compare(a, b);
}

static json_t *choose_nodes(const json_t *edges, size_t most)
{
    size_t n = json_array_size(edges), i;
    json_t *kept = json_object(), *near, *edge;
    const json_t **order = view_alloc((n + 1) * sizeof *order);
    json_array_foreach (edges, i, edge) {
        order[i] = edge;
        if (json_object_get(edge, "finding"))
            keep_ends(kept, edge, most);
    }
    near = json_copy(kept);
    json_array_foreach (edges, i, edge) {
        if (json_object_get(near, label_text(edge, "from")) || json_object_get(near, label_text(edge, "to")))
            keep_ends(kept, edge, most);
    }
    qsort(order, n, sizeof *order, by_count);
    for (i = 0; i < n && json_object_size(kept) < most; i++)
        keep_ends(kept, order[i], most);
    json_decref(near);
    free(order);
    return kept;
}

json_t *graph_part(const json_t *graph, size_t most_nodes, size_t most_edges)
{
    json_t *nodes = json_object_get(graph, "nodes"), *edges = json_object_get(graph, "edges"), *item;
    size_t all_nodes = json_array_size(nodes), all_edges = json_array_size(edges), i;
    json_t *some_nodes = json_array(), *some_edges = json_array();
    json_t *kept = all_nodes > most_nodes ? choose_nodes(edges, most_nodes) : NULL;
    json_array_foreach (nodes, i, item) {
        if (!kept || json_object_get(kept, label_text(item, "class")))
            json_array_append(some_nodes, item);
    }
    for (int pass = 0; pass < 2; pass++) /* those of findings first */
        json_array_foreach (edges, i, item) {
            bool ends = !kept || (json_object_get(kept, label_text(item, "from")) &&
                                  json_object_get(kept, label_text(item, "to")));
            if (ends && (pass == 0) == (json_object_get(item, "finding") != NULL) &&
                json_array_size(some_edges) < most_edges)
                json_array_append(some_edges, item);
        }
    json_decref(kept);
    json_t *out = json_pack("{s:o,s:o}", "nodes", some_nodes, "edges", sorted(some_edges));
    json_object_set_new(out, "left_out", json_integer((json_int_t)(all_nodes - json_array_size(some_nodes))));
    json_object_set_new(out, "left_out_edges",
                        json_integer((json_int_t)(all_edges - json_array_size(json_object_get(out, "edges")))));
    return out;
}
