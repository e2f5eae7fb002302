/* The joined lock graph. Called by merge.c. Takes no locks; allocates with malloc.
 *
 * Classes join by their names without the main program's module: two test binaries of one code base meet. Of each edge
 * the ways to it are kept, each once however many runs took it; that is what keeps ten thousand results small. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/hash.h"
#include "internal.h"
#include "report/label.h"
#include "report/view.h"

static char *copy(const char *text)
{
    char *c = strdup(text);
    if (!c)
        abort();
    return c;
}

static u32 class_index(struct merge *m, const char *name, const char *local, const char *kind)
{
    const json_t *known = json_object_get(m->class_of, local);
    if (known)
        return (u32)json_integer_value(known);
    m->class = merge_grow(m->class, m->nclasses, sizeof *m->class);
    m->class[m->nclasses] = (struct merged_class){.name = copy(name), .local = copy(local), .kind = copy(kind)};
    json_object_set_new(m->class_of, local, json_integer((json_int_t)m->nclasses));
    return (u32)m->nclasses++;
}

static u64 positive(const json_t *object, const char *key)
{
    json_int_t n = label_number(object, key);
    return n > 0 ? (u64)n : 0;
}

static void add_nodes(struct reading *r)
{
    const json_t *node;
    size_t i;
    json_array_foreach (json_object_get(r->graph, "nodes"), i, node) {
        const char *name = label_text(node, "class");
        u32 at = class_index(r->m, name, reading_local(r, name), label_text(node, "kind"));
        struct merged_class *c = &r->m->class[at];
        u64 most = positive(node, json_object_get(node, "per_process") ? "per_process" : "locks");
        c->locks += positive(node, "locks");
        c->acquisitions += positive(node, "acquisitions");
        c->per_process = most > c->per_process ? (u32)most : c->per_process;
        c->no_lock |= json_is_true(json_object_get(node, "no_lock"));
        c->readers_queue |= json_is_true(json_object_get(node, "readers_queue"));
    }
}

static struct merged_edge *edge_of(struct merge *m, u32 from, u32 to)
{
    bool fresh;
    u64 *place = refmap_put(&m->edge_of, (u64)from << 32 | to, &fresh);
    if (fresh) {
        m->edge = merge_grow(m->edge, m->nedges, sizeof *m->edge);
        m->edge[m->nedges] = (struct merged_edge){.from = from, .to = to};
        *place = m->nedges++;
    }
    return &m->edge[*place];
}

/* What was held, with the names by which locks of several runs are compared. */
static json_t *own_held(const struct reading *r, const json_t *context)
{
    json_t *held = json_deep_copy(json_object_get(context, "held")), *lock;
    size_t i;
    json_array_foreach (held, i, lock) {
        if (json_is_object(lock))
            json_object_set_new(lock, "local", json_string(reading_local(r, label_text(lock, "class"))));
    }
    return held ? held : json_array();
}

/* The context as it will stand in the merged result: nothing of it refers to the rest of its document. */
static json_t *own_context(const struct reading *r, const struct merged_edge *e, const json_t *edge,
                           const json_t *context, u32 run)
{
    static const char *const stacks[] = {"stack", "hold_stack"};
    json_t *c = json_copy((json_t *)(uintptr_t)context);
    json_object_set_new(c, "held", own_held(r, context));
    json_object_del(c, "segment");
    json_object_del(c, "after");
    json_object_set_new(c, "run", json_integer((json_int_t)run + 1));
    json_object_set_new(c, "role", json_string(reading_role(r, context)));
    for (size_t i = 0; i < ARRAY_LEN(stacks); i++) {
        json_t *own = json_object_get(context, stacks[i]), *shared = json_object_get(edge, stacks[i]),
               *first = i ? e->hold_stack : e->stack;
        if (!own && shared && !json_equal(shared, first))
            json_object_set(c, stacks[i], shared);
    }
    return c;
}

static void add_way(struct reading *r, struct merged_edge *e, const json_t *edge, const json_t *context)
{
    struct merge *m = r->m;
    bool fresh;
    bool alone, single;
    u64 key = reading_key(r, edge, context), *known = refmap_get(&m->way_of, key);
    together_solitude(r, context, &alone, &single);
    if (known) {
        m->way[*known].seen++;
        m->way[*known].alone &= alone;
        m->way[*known].single &= single;
        return;
    }
    if (e->nways >= MAX_WAYS) {
        e->cut = true;
        return;
    }
    u32 run = reading_run(r, context);
    const char *role = reading_role(r, context);
    m->way = merge_grow(m->way, m->nways, sizeof *m->way);
    m->way[m->nways] = (struct merged_way){.key = key,
                                           .edge = (u32)(e - m->edge),
                                           .run = run,
                                           .next = e->first_way,
                                           .seen = 1,
                                           .main = strcmp(role, "main") == 0,
                                           .alone = alone,
                                           .single = single,
                                           .context = own_context(r, e, edge, context, run)};
    *refmap_put(&m->way_of, key, &fresh) = m->nways++;
    e->first_way = (u32)m->nways;
    e->nways++;
}

static void add_edges(struct reading *r)
{
    const json_t *edge, *context;
    size_t i, k;
    json_array_foreach (json_object_get(r->graph, "edges"), i, edge) {
        const char *from = label_text(edge, "from"), *to = label_text(edge, "to");
        u32 a = class_index(r->m, from, reading_local(r, from), "custom"),
            b = class_index(r->m, to, reading_local(r, to), "custom");
        struct merged_edge *e = edge_of(r->m, a, b);
        e->count += positive(edge, "count");
        e->threads += positive(edge, "threads");
        if (!e->stack && !e->hold_stack) {
            e->stack = json_incref(json_object_get(edge, "stack"));
            e->hold_stack = json_incref(json_object_get(edge, "hold_stack"));
        }
        json_array_foreach (json_object_get(edge, "contexts"), k, context) {
            if (json_is_object(context))
                add_way(r, e, edge, context);
        }
    }
}

void graph_add(struct reading *r)
{
    add_nodes(r);
    add_edges(r);
    if (json_array_size(json_object_get(r->graph, "edges")))
        together_roles(r);
}

/* ---- written ---- */

static const struct merge *sorting;

static int by_class(const void *a, const void *b)
{
    return strcmp((*(const struct merged_class *const *)a)->name, (*(const struct merged_class *const *)b)->name);
}

static int by_edge(const void *a, const void *b)
{
    const struct merged_edge *x = *(const struct merged_edge *const *)a, *y = *(const struct merged_edge *const *)b;
    int from = strcmp(sorting->class[x->from].name, sorting->class[y->from].name);
    return from ? from : strcmp(sorting->class[x->to].name, sorting->class[y->to].name);
}

static json_t *node_json(const struct merged_class *c)
{
    json_t *j =
        json_pack("{s:s,s:s,s:I,s:I,s:I}", "class", c->name, "kind", c->kind, "locks", (json_int_t)c->locks,
                  "acquisitions", (json_int_t)(c->acquisitions & INT64_MAX), "per_process", (json_int_t)c->per_process);
    if (strcmp(c->local, c->name) != 0)
        json_object_set_new(j, "local", json_string(c->local));
    if (c->no_lock)
        json_object_set_new(j, "no_lock", json_true());
    if (c->readers_queue)
        json_object_set_new(j, "readers_queue", json_true());
    return j;
}

static json_t *edge_json(const struct merge *m, const struct merged_edge *e)
{
    json_t *contexts = json_array(),
           *j = json_pack("{s:s,s:s,s:I,s:I}", "from", m->class[e->from].name, "to", m->class[e->to].name, "count",
                          (json_int_t)(e->count & INT64_MAX), "threads", (json_int_t)(e->threads & INT64_MAX));
    json_object_set_new(j, "stack", e->stack ? json_incref(e->stack) : json_array());
    if (e->hold_stack)
        json_object_set(j, "hold_stack", e->hold_stack);
    for (u32 i = e->first_way; i; i = m->way[i - 1].next) {
        const struct merged_way *w = &m->way[i - 1];
        json_t *c = json_copy(w->context);
        json_object_set_new(c, "seen", json_integer((json_int_t)(w->seen & INT64_MAX)));
        if (w->alone)
            json_object_set_new(c, "alone", json_true());
        if (w->single)
            json_object_set_new(c, "single", json_true());
        json_array_insert_new(contexts, 0, c);
    }
    json_object_set_new(j, "contexts", contexts);
    if (e->cut)
        json_object_set_new(j, "cut", json_true());
    return j;
}

/* What is known of ways that cycles are made of, for the next merge. */
static json_t *together_json(const struct merge *m)
{
    json_t *list = json_array();
    u64 *key = view_alloc((m->ncore + 1) * sizeof *key);
    for (size_t i = 0; i < m->nways; i++)
        key[m->way[i].number] = m->way[i].key;
    for (const struct refmap_item *i = refmap_next(&m->together, NULL); i; i = refmap_next(&m->together, i)) {
        char a[20], b[20];
        snprintf(a, sizeof a, "%016llx", (unsigned long long)key[i->key >> 32]);
        snprintf(b, sizeof b, "%016llx", (unsigned long long)key[i->key & ~0u]);
        json_array_append_new(list, json_pack("{s:s,s:s,s:b}", "a", a, "b", b, "possible", (int)(i->value >> 1 & 1)));
    }
    free(key);
    return list;
}

json_t *graph_finish(struct merge *m)
{
    const void **order = view_alloc((m->nclasses + m->nedges + 1) * sizeof(void *));
    json_t *nodes = json_array(), *edges = json_array();
    for (size_t i = 0; i < m->nclasses; i++)
        order[i] = &m->class[i];
    qsort(order, m->nclasses, sizeof(void *), by_class);
    for (size_t i = 0; i < m->nclasses; i++)
        json_array_append_new(nodes, node_json(order[i]));
    for (size_t i = 0; i < m->nedges; i++)
        order[i] = &m->edge[i];
    sorting = m;
    qsort(order, m->nedges, sizeof(void *), by_edge);
    for (size_t i = 0; i < m->nedges; i++)
        json_array_append_new(edges, edge_json(m, order[i]));
    free(order);
    return json_pack("{s:o,s:o,s:o,s:o}", "nodes", nodes, "edges", edges, "together", together_json(m), "roles",
                     together_roles_json(m));
}
