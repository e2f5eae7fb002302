/* The lock-order graph of the arena, by class: "lock_graph" of the document. Called by collect.c. Takes no locks;
 * allocates with malloc.
 *
 * The engine keeps a tree of held sets (model/order.h): a node is a lock taken while the locks on its path to the root
 * were held. Each acquired node gives an edge from every class on its path to its own, and each of its witnesses a
 * context. Locks that were never nested are not part of the graph.
 *
 * Ten thousand locks held at once would make fifty million edges. So the edges from the innermost held lock come first,
 * those from the outer ones as long as there is room; what was left out is counted ("cut"). */
#include <stdlib.h>
#include <string.h>

#include "base/hash.h"
#include "collect.h"
#include "map.h"
#include "model/order.h"
#include "names.h"
#include "view.h"

#define MAX_PATH 64u      /* locks held, counted from the innermost */
#define MAX_WITNESSES 64u /* per node */
#define MAX_CONTEXTS 16u  /* kept per edge; contexts_total counts all */
#define MAX_EDGES 20000u
#define MAX_SEGMENTS 200000u
#define MAX_HELD 100000u /* locks in the held sets of all contexts together */

struct class_node {
    const struct lock_name *name; /* of one of its locks */
    u32 locks;
    u64 acquisitions;
};

struct class_edge {
    u32 from, to;
    u64 count;
    u32 threads, contexts_total;
    json_t *stack, *contexts;
};

struct path_step {
    const struct lock_name *name;
    u32 mode;
    bool hidden;
};

struct graph {
    struct names *names;
    ref_t only; /* process, or 0 */
    struct refmap class_of, lock_seen, edge_of, thread_seen, segment_of;
    struct class_node *node;
    struct class_edge *edge;
    size_t nnodes, nedges, node_cap, edge_cap;
    ref_t *segments; /* to be written, in the order of their numbers */
    size_t nsegments;
    u64 cut, held;
};

static void *grow(void *items, size_t n, size_t *cap, size_t size)
{
    if (n < *cap)
        return items;
    *cap = *cap ? *cap * 2 : 64;
    items = realloc(items, *cap * size);
    if (!items)
        abort();
    return items;
}

/* Index of the lock's class; counts each lock once. */
static u32 class_index(struct graph *g, ref_t lock, const struct lock_name *name)
{
    bool fresh;
    u64 *known = refmap_get(&g->lock_seen, lock);
    if (known)
        return (u32)*known;
    u64 *place = refmap_put(&g->class_of, hash_bytes(name->class, strlen(name->class), 0), &fresh);
    if (fresh) {
        g->node = grow(g->node, g->nnodes, &g->node_cap, sizeof *g->node);
        g->node[g->nnodes] = (struct class_node){name, 0, 0};
        *place = g->nnodes++;
    }
    struct class_node *node = &g->node[*place];
    node->locks++;
    node->acquisitions += name->acquisitions;
    *refmap_put(&g->lock_seen, lock, &fresh) = *place;
    return (u32)*place;
}

static struct class_edge *edge_of(struct graph *g, u32 from, u32 to)
{
    bool fresh;
    u64 key = (u64)from << 32 | to, *place = refmap_get(&g->edge_of, key);
    if (place)
        return &g->edge[*place];
    if (g->nedges >= MAX_EDGES) {
        g->cut++;
        return NULL;
    }
    g->edge = grow(g->edge, g->nedges, &g->edge_cap, sizeof *g->edge);
    *refmap_put(&g->edge_of, key, &fresh) = g->nedges;
    g->edge[g->nedges] = (struct class_edge){from, to, 0, 0, 0, json_array(), json_array()};
    return &g->edge[g->nedges++];
}

/* Number of a must-order segment, from 1; 0 when there is none or there are too many. */
static u32 segment_number(struct graph *g, ref_t segment)
{
    bool fresh;
    u64 *place = segment ? refmap_get(&g->segment_of, segment) : NULL;
    if (place)
        return (u32)*place;
    if (!segment || g->nsegments >= MAX_SEGMENTS)
        return 0;
    g->segments[g->nsegments++] = segment;
    *refmap_put(&g->segment_of, segment, &fresh) = g->nsegments;
    return (u32)g->nsegments;
}

static json_t *after_list(struct graph *g, ref_t segment)
{
    struct segment_rec s;
    json_t *after = json_array();
    if (view_get(segment, &s, sizeof s)) {
        u32 a = segment_number(g, s.prev), b = segment_number(g, s.other);
        if (a)
            json_array_append_new(after, json_integer(a));
        if (b)
            json_array_append_new(after, json_integer(b));
    }
    return after;
}

static const char *mode_name(u32 mode)
{
    return mode == MODE_SHARED ? "shared" : "exclusive";
}

static json_t *held_json(const struct path_step *path, u32 n)
{
    json_t *held = json_array();
    for (u32 i = n; i-- > 0;)
        if (!path[i].hidden)
            json_array_append_new(held, json_pack("{s:s,s:I,s:s}", "class", path[i].name->class, "instance",
                                                  (json_int_t)path[i].name->instance, "mode", mode_name(path[i].mode)));
    return held;
}

/* One way in which `to` was taken below path[at]. */
static json_t *context_json(struct graph *g, const struct order_witness *w, const struct thread_rec *t,
                            const struct path_step *path, u32 n, u32 at, const struct lock_name *to, u32 mode_to)
{
    json_t *c = json_object();
    json_object_set_new(c, "thread", json_integer(t->number));
    json_object_set_new(c, "process", json_integer(collect_process_number(t->process)));
    json_object_set_new(c, "instance_from", json_integer(path[at].name->instance));
    json_object_set_new(c, "instance_to", json_integer(to->instance));
    json_object_set_new(c, "held", held_json(path, n));
    json_object_set_new(c, "mode_from", json_string(mode_name(path[at].mode)));
    json_object_set_new(c, "mode_to", json_string(mode_name(mode_to)));
    json_object_set_new(c, "try", json_boolean(w->how & HOW_TRY));
    json_object_set_new(c, "timed", json_boolean(w->how & HOW_TIMED));
    json_object_set_new(c, "segment", json_integer(segment_number(g, w->segment)));
    json_object_set_new(c, "after", after_list(g, w->segment));
    return c;
}

static void add_witness(struct graph *g, const struct order_witness *w, const struct path_step *path, u32 n, u32 at,
                        u32 edge, const struct lock_name *to, u32 mode_to)
{
    struct thread_rec t;
    bool fresh;
    if (!view_get(w->thread, &t, sizeof t) || (g->only && t.process != g->only))
        return;
    refmap_put(&g->thread_seen, hash_combine(edge, t.number), &fresh);
    g->edge[edge].threads += fresh;
    g->edge[edge].contexts_total++;
    if (json_array_size(g->edge[edge].contexts) < MAX_CONTEXTS && g->held + n <= MAX_HELD) {
        g->held += n;
        json_array_append_new(g->edge[edge].contexts, context_json(g, w, &t, path, n, at, to, mode_to));
    }
    struct hold_rec hold;
    if (!json_array_size(g->edge[edge].stack) && view_get(w->hold, &hold, sizeof hold)) {
        json_decref(g->edge[edge].stack);
        g->edge[edge].stack = names_stack(g->names, hold.stack, hold.site_pc, t.process);
    }
}

/* The locks held before a node, innermost first. */
static u32 path_of(struct graph *g, ref_t parent, struct path_step *path, u32 *class)
{
    u32 n = 0;
    struct order_node p;
    for (; n < MAX_PATH && view_get(parent, &p, sizeof p) && p.lock; parent = p.parent, n++) {
        const struct lock_name *name = names_lock(g->names, p.lock);
        bool hidden = (name->attrs & ATTR_INTERPRETER) != 0;
        path[n] = (struct path_step){name, p.mode, hidden};
        class[n] = hidden ? 0 : class_index(g, p.lock, name);
    }
    g->cut += n == MAX_PATH && parent;
    return n;
}

/* The edges of a node: from its innermost held lock, or from all others. */
static void add_node(struct graph *g, const struct order_node *o, bool innermost)
{
    struct path_step path[MAX_PATH];
    struct order_witness w;
    u32 class[MAX_PATH];
    const struct lock_name *name = names_lock(g->names, o->lock);
    if ((name->attrs & ATTR_INTERPRETER) || (g->only && name->process && name->process != g->only))
        return;
    u32 n = path_of(g, o->parent, path, class), to = n ? class_index(g, o->lock, name) : 0, at = 0;
    while (at < n && path[at].hidden)
        at++;
    u32 end = innermost && at < n ? at + 1 : n;
    for (at = innermost ? at : at + 1; at < end; at++) {
        struct class_edge *e = path[at].hidden ? NULL : edge_of(g, class[at], to);
        if (!e)
            continue;
        u32 edge = (u32)(e - g->edge), seen = 0;
        e->count += o->count ? o->count : 1;
        for (ref_t r = o->witnesses; seen < MAX_WITNESSES && view_get(r, &w, sizeof w); r = w.next, seen++)
            add_witness(g, &w, path, n, at, edge, name, o->mode);
    }
}

static void add_nodes(struct graph *g)
{
    struct order_node o;
    for (int pass = 0; pass < 2; pass++) {
        struct view_walk walk = {0};
        while ((pass == 0 || g->nedges < MAX_EDGES) && view_next(POOL_NODE, &walk, &o, sizeof o))
            if (o.lock && o.parent && o.acquired)
                add_node(g, &o, pass == 0);
    }
    g->cut += g->nedges >= MAX_EDGES;
}

static const struct graph *sorted_graph;

static int by_class(const void *a, const void *b)
{
    const struct class_node *x = *(const struct class_node *const *)a, *y = *(const struct class_node *const *)b;
    return strcmp(x->name->class, y->name->class);
}

static int by_classes(const void *a, const void *b)
{
    const struct class_edge *x = *(const struct class_edge *const *)a, *y = *(const struct class_edge *const *)b;
    const struct class_node *n = sorted_graph->node;
    int from = strcmp(n[x->from].name->class, n[y->from].name->class);
    return from ? from : strcmp(n[x->to].name->class, n[y->to].name->class);
}

static json_t *nodes_json(const struct graph *g)
{
    json_t *list = json_array();
    const struct class_node **order = view_alloc((g->nnodes + 1) * sizeof(void *));
    for (size_t i = 0; i < g->nnodes; i++)
        order[i] = &g->node[i];
    qsort(order, g->nnodes, sizeof(void *), by_class);
    for (size_t i = 0; i < g->nnodes; i++)
        json_array_append_new(list, json_pack("{s:s,s:s,s:I,s:I}", "class", order[i]->name->class, "kind",
                                              order[i]->name->kind, "locks", (json_int_t)order[i]->locks,
                                              "acquisitions", (json_int_t)order[i]->acquisitions));
    free(order);
    return list;
}

static json_t *edges_json(const struct graph *g)
{
    json_t *list = json_array();
    const struct class_edge **order = view_alloc((g->nedges + 1) * sizeof(void *));
    for (size_t i = 0; i < g->nedges; i++)
        order[i] = &g->edge[i];
    sorted_graph = g;
    qsort(order, g->nedges, sizeof(void *), by_classes);
    for (size_t i = 0; i < g->nedges; i++) {
        const struct class_edge *e = order[i];
        json_t *j = json_pack("{s:s,s:s,s:I,s:I,s:O,s:O}", "from", g->node[e->from].name->class, "to",
                              g->node[e->to].name->class, "count", (json_int_t)(e->count & INT64_MAX), "threads",
                              (json_int_t)e->threads, "stack", e->stack, "contexts", e->contexts);
        if (e->contexts_total > json_array_size(e->contexts))
            json_object_set_new(j, "contexts_total", json_integer(e->contexts_total));
        json_array_append_new(list, j);
    }
    free(order);
    return list;
}

/* The must order behind the contexts' segments, so that a reader can tell what comes before what. Grows while it is
 * written. */
static json_t *segments_json(struct graph *g)
{
    json_t *list = json_array();
    for (size_t i = 0; i < g->nsegments; i++)
        json_array_append_new(
            list, json_pack("{s:I,s:o}", "segment", (json_int_t)(i + 1), "after", after_list(g, g->segments[i])));
    return list;
}

json_t *collect_graph(struct names *n, ref_t only)
{
    struct graph g = {.names = n, .only = only};
    g.segments = view_alloc(MAX_SEGMENTS * sizeof *g.segments);
    add_nodes(&g);
    json_t *graph = json_object();
    json_object_set_new(graph, "nodes", nodes_json(&g));
    json_object_set_new(graph, "edges", edges_json(&g));
    json_object_set_new(graph, "segments", segments_json(&g));
    if (g.cut)
        json_object_set_new(graph, "cut", json_integer((json_int_t)(g.cut & INT64_MAX)));
    for (size_t i = 0; i < g.nedges; i++) {
        json_decref(g.edge[i].stack);
        json_decref(g.edge[i].contexts);
    }
    free(g.node);
    free(g.edge);
    free(g.segments);
    refmap_free(&g.class_of);
    refmap_free(&g.lock_seen);
    refmap_free(&g.edge_of);
    refmap_free(&g.thread_seen);
    refmap_free(&g.segment_of);
    return graph;
}
