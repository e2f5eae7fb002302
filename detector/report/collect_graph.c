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
#define MAX_STACKS 5000u /* of contexts that differ from their edge's */
#define MAX_THREADS 1000u
#define MAX_HOLD_FRAMES 8u /* of where the held lock was taken */

struct class_node {
    const struct lock_name *name; /* of one of its locks */
    u32 locks, per_process;       /* the most of them in one process */
    u64 acquisitions;
    bool no_lock, readers_queue;
};

struct class_edge {
    u32 from, to;
    u64 count;
    u32 threads, contexts_total;
    json_t *stack, *hold_stack, *contexts;
};

struct path_step {
    const struct lock_name *name;
    ref_t lock;
    u32 mode;
    bool hidden;
};

struct graph {
    struct names *names;
    ref_t only; /* process, or 0 */
    struct refmap class_of, lock_seen, in_process, edge_of, thread_seen, segment_of;
    struct class_node *node;
    struct class_edge *edge;
    size_t nnodes, nedges, node_cap, edge_cap;
    ref_t *segments; /* to be written, in the order of their numbers */
    size_t nsegments;
    u64 cut, held, stacks;
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

/* What a reader needs to know of the locks of a class to judge cycles over classes. */
static void learn_lock(struct graph *g, u64 class, const struct lock_name *name)
{
    struct class_node *node = &g->node[class];
    u32 queue = ATTR_WRITER_NONRECURSIVE | ATTR_WRITE_LOCKED_EVER;
    u64 *n = refmap_put(&g->in_process, hash_combine(class, name->process), NULL);
    if (++*n > node->per_process)
        node->per_process = (u32)*n;
    node->locks++;
    node->acquisitions += name->acquisitions;
    node->no_lock |= strcmp(name->kind, "sem") == 0 && !(name->attrs & ATTR_LOCKLIKE);
    node->readers_queue |= strcmp(name->kind, "rwlock") == 0 && (name->attrs & queue) == queue;
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
        g->node[g->nnodes] = (struct class_node){.name = name};
        *place = g->nnodes++;
    }
    learn_lock(g, *place, name);
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
    g->edge[g->nedges] = (struct class_edge){from, to, 0, 0, 0, json_array(), json_array(), json_array()};
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
    if (at < 16 && (w->unpublished >> at & 1))
        json_object_set_new(c, "unpublished", json_true());
    json_object_set_new(c, "segment", json_integer(segment_number(g, w->segment)));
    json_object_set_new(c, "after", after_list(g, w->segment));
    return c;
}

/* The innermost frames of a stack: where a lock was taken, and on whose behalf. Steals the reference. */
static json_t *inner_frames(json_t *stack)
{
    json_t *inner = json_array(), *frame;
    size_t i;
    json_array_foreach (stack, i, frame) {
        if (json_array_size(inner) < MAX_HOLD_FRAMES && !json_is_true(json_object_get(frame, "system")))
            json_array_append(inner, frame);
    }
    json_decref(stack);
    return inner;
}

/* Where the lock was taken that is held at a witness's own acquire. New reference. */
static json_t *stack_of_hold(struct graph *g, const struct order_witness *w, ref_t lock, ref_t process)
{
    struct hold_rec hold = {0};
    view_get(w->hold, &hold, sizeof hold);
    for (u32 i = 0; i < MAX_PATH && hold.outer && view_get(hold.outer, &hold, sizeof hold); i++)
        if (hold.lock == lock)
            return inner_frames(names_stack(g->names, hold.stack, hold.site_pc, process));
    return json_array();
}

/* The stacks of a witness: the first that has any gives the edge's, others stand in their contexts. */
static void add_stacks(struct graph *g, const struct order_witness *w, ref_t from, ref_t process, struct class_edge *e,
                       json_t *context)
{
    struct hold_rec hold;
    if (!view_get(w->hold, &hold, sizeof hold) || (json_array_size(e->stack) && (!context || g->stacks >= MAX_STACKS)))
        return;
    json_t *stack = names_stack(g->names, hold.stack, hold.site_pc, process),
           *hold_stack = stack_of_hold(g, w, from, process);
    if (!json_array_size(e->stack)) {
        json_decref(e->stack);
        json_decref(e->hold_stack);
        e->stack = stack;
        e->hold_stack = hold_stack;
        return;
    }
    if (!json_equal(stack, e->stack) || !json_equal(hold_stack, e->hold_stack)) {
        g->stacks++;
        json_object_set(context, "stack", stack);
        json_object_set(context, "hold_stack", hold_stack);
    }
    json_decref(stack);
    json_decref(hold_stack);
}

static void add_witness(struct graph *g, const struct order_witness *w, const struct path_step *path, u32 n, u32 at,
                        u32 edge, const struct lock_name *to, u32 mode_to)
{
    struct class_edge *e = &g->edge[edge];
    struct thread_rec t;
    json_t *context = NULL;
    bool fresh;
    if (!view_get(w->thread, &t, sizeof t) || (g->only && t.process != g->only))
        return;
    refmap_put(&g->thread_seen, hash_combine(edge, t.number), &fresh);
    e->threads += fresh;
    e->contexts_total++;
    if (json_array_size(e->contexts) < MAX_CONTEXTS && g->held + n <= MAX_HELD) {
        g->held += n;
        context = context_json(g, w, &t, path, n, at, to, mode_to);
        json_array_append_new(e->contexts, context);
    }
    add_stacks(g, w, path[at].lock, t.process, e, context);
}

/* The locks held before a node, innermost first. */
static u32 path_of(struct graph *g, ref_t parent, struct path_step *path, u32 *class)
{
    u32 n = 0;
    struct order_node p;
    for (; n < MAX_PATH && view_get(parent, &p, sizeof p) && p.lock; parent = p.parent, n++) {
        const struct lock_name *name = names_lock(g->names, p.lock);
        bool hidden = (name->attrs & ATTR_INTERPRETER) != 0;
        path[n] = (struct path_step){name, p.lock, p.mode, hidden};
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

static json_t *node_json(const struct class_node *n)
{
    json_t *j = json_pack("{s:s,s:s,s:I,s:I}", "class", n->name->class, "kind", n->name->kind, "locks",
                          (json_int_t)n->locks, "acquisitions", (json_int_t)n->acquisitions);
    if (strcmp(n->name->local, n->name->class) != 0)
        json_object_set_new(j, "local", json_string(n->name->local));
    if (n->per_process != n->locks)
        json_object_set_new(j, "per_process", json_integer(n->per_process));
    if (n->no_lock)
        json_object_set_new(j, "no_lock", json_true());
    if (n->readers_queue)
        json_object_set_new(j, "readers_queue", json_true());
    return j;
}

static json_t *nodes_json(const struct graph *g)
{
    json_t *list = json_array();
    const struct class_node **order = view_alloc((g->nnodes + 1) * sizeof(void *));
    for (size_t i = 0; i < g->nnodes; i++)
        order[i] = &g->node[i];
    qsort(order, g->nnodes, sizeof(void *), by_class);
    for (size_t i = 0; i < g->nnodes; i++)
        json_array_append_new(list, node_json(order[i]));
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
        if (json_array_size(e->hold_stack))
            json_object_set(j, "hold_stack", e->hold_stack);
        if (e->contexts_total > json_array_size(e->contexts))
            json_object_set_new(j, "contexts_total", json_integer(e->contexts_total));
        json_array_append_new(list, j);
    }
    free(order);
    return list;
}

/* The must order behind the contexts' and threads' segments, so that a reader can tell what comes before what. Grows while it is
 * written. */
static json_t *segments_json(struct graph *g)
{
    json_t *list = json_array();
    for (size_t i = 0; i < g->nsegments; i++)
        json_array_append_new(
            list, json_pack("{s:I,s:o}", "segment", (json_int_t)(i + 1), "after", after_list(g, g->segments[i])));
    return list;
}

/* First and last segment of each thread's life, by thread record. */
static void lives(const struct graph *g, struct refmap *first, struct refmap *last)
{
    struct view_walk walk = {0};
    struct segment_rec s;
    for (ref_t at; (at = view_next(POOL_SEGMENT, &walk, &s, sizeof s));) {
        struct thread_rec t;
        if (!s.thread || !s.number || (g->only && (!view_get(s.thread, &t, sizeof t) || t.process != g->only)))
            continue;
        bool fresh;
        u64 *place = refmap_put(first, s.thread, &fresh), key = (u64)s.number << 32 | at;
        if (fresh || key < *place)
            *place = key;
        place = refmap_put(last, s.thread, &fresh);
        if (key > *place)
            *place = key;
    }
}

/* The threads and where their lives lie in the must order: tells which of them can run at the same time. */
static json_t *threads_json(struct graph *g)
{
    struct refmap first = {0}, last = {0};
    json_t *list = json_array();
    lives(g, &first, &last);
    for (const struct refmap_item *i = refmap_next(&first, NULL); i; i = refmap_next(&first, i)) {
        struct thread_rec t;
        const u64 *end = refmap_get(&last, i->key);
        if (json_array_size(list) >= MAX_THREADS) {
            g->cut++;
            break;
        }
        if (!end || !view_get((ref_t)i->key, &t, sizeof t))
            continue;
        json_t *j = json_pack("{s:I,s:I,s:I,s:I}", "thread", (json_int_t)t.number, "process",
                              (json_int_t)collect_process_number(t.process), "first",
                              (json_int_t)segment_number(g, (ref_t)i->value), "last",
                              (json_int_t)segment_number(g, (ref_t)*end));
        char *start = t.start_pc ? names_function_at(g->names, t.start_pc, t.process) : NULL;
        if (start)
            json_object_set_new(j, "start", json_string(start));
        if (t.is_main)
            json_object_set_new(j, "main", json_true());
        free(start);
        json_array_append_new(list, j);
    }
    refmap_free(&first);
    refmap_free(&last);
    return list;
}

static void free_graph(struct graph *g)
{
    for (size_t i = 0; i < g->nedges; i++) {
        json_decref(g->edge[i].stack);
        json_decref(g->edge[i].hold_stack);
        json_decref(g->edge[i].contexts);
    }
    free(g->node);
    free(g->edge);
    free(g->segments);
    refmap_free(&g->class_of);
    refmap_free(&g->lock_seen);
    refmap_free(&g->in_process);
    refmap_free(&g->edge_of);
    refmap_free(&g->thread_seen);
    refmap_free(&g->segment_of);
}

json_t *collect_graph(struct names *n, ref_t only)
{
    struct graph g = {.names = n, .only = only};
    g.segments = view_alloc(MAX_SEGMENTS * sizeof *g.segments);
    add_nodes(&g);
    json_t *graph = json_object();
    json_object_set_new(graph, "nodes", nodes_json(&g));
    json_object_set_new(graph, "edges", edges_json(&g));
    if (g.nedges)
        json_object_set_new(graph, "threads", threads_json(&g));
    json_object_set_new(graph, "segments", segments_json(&g));
    if (g.cut)
        json_object_set_new(graph, "cut", json_integer((json_int_t)(g.cut & INT64_MAX)));
    free_graph(&g);
    return graph;
}
