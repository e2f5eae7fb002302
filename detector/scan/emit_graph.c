/* The orders in which locks are taken, by class, in the form that runs write them. Called by emit.c. Takes no locks;
 * allocates with malloc. */
#include <stdlib.h>

#include "emit.h"
#include "name.h"

#define MAX_CONTEXTS 16

struct graph {
    struct emit *e;
    json_t *nodes, *edges; /* by class; by "FROM\nTO" */
    struct map threads;    /* hash of an edge and a thread */
};

static const char *mode_of(u32 element)
{
    return LOCK_SHARED(element) ? "shared" : "exclusive";
}

static void count(json_t *object, const char *key)
{
    json_t *n = json_object_get(object, key);
    json_integer_set(n, json_integer_value(n) + 1);
}

static void add_node(struct graph *g, const char *class, u32 element)
{
    if (!json_object_get(g->nodes, class)) {
        struct name n = name_of_path(g->e->w, LOCK_PATH(element));
        json_object_set_new(g->nodes, class,
                            json_pack("{s:s,s:s,s:s,s:i,s:i}", "class", class, "local", n.local, "kind",
                                      emit_lock_kind(g->e, LOCK_PATH(element)), "locks", 1, "acquisitions", 0));
        free(n.local);
        free(n.shown);
    }
    count(json_object_get(g->nodes, class), "acquisitions");
}

static json_t *context_json(struct graph *g, const struct order_step *s)
{
    struct whole *w = g->e->w;
    const struct deed *d = &w->deeds.at[s->deed];
    json_t *held = json_array();
    for (u32 i = 0, n = sets_count(&w->a->sets, d->must); i < n; i++) {
        u32 element = sets_item(&w->a->sets, d->must, i);
        char *class = emit_class(g->e, LOCK_PATH(element));
        json_array_append_new(held, json_pack("{s:s,s:s}", "class", class, "mode", mode_of(element)));
        free(class);
    }
    return json_pack("{s:i,s:i,s:o,s:s,s:s,s:b,s:b}", "thread", (int)d->root + 1, "process", 1, "held", held,
                     "mode_from", mode_of(s->held), "mode_to", mode_of(d->path), "try", 0, "timed", 0);
}

static void add_edge(struct graph *g, const struct order_step *s)
{
    const struct deed *d = &g->e->w->deeds.at[s->deed];
    char *from = emit_class(g->e, LOCK_PATH(s->held)), *to = emit_class(g->e, LOCK_PATH(d->path)), *key;
    if (asprintf(&key, "%s\n%s", from, to) < 0)
        abort();
    add_node(g, from, s->held);
    add_node(g, to, d->path);
    json_t *edge = json_object_get(g->edges, key);
    if (!edge) {
        edge = json_pack("{s:s,s:s,s:i,s:i,s:o,s:[]}", "from", from, "to", to, "count", 0, "threads", 0, "stack",
                         emit_frames(g->e, d->value, d->context), "contexts");
        json_object_set_new(g->edges, key, edge);
    }
    count(edge, "count");
    u32 *known = map_put(&g->threads, hash_bytes(key, strlen(key), d->root) >> 1);
    if (!*known)
        count(edge, "threads");
    *known = 1;
    if (json_array_size(json_object_get(edge, "contexts")) < MAX_CONTEXTS)
        json_array_append_new(json_object_get(edge, "contexts"), context_json(g, s));
    free(key);
    free(from);
    free(to);
}

static int by_text(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* The members of an object by key. */
static json_t *sorted(json_t *object)
{
    json_t *list = json_array(), *value;
    const char *key, **keys = store_alloc((json_object_size(object) + 1) * sizeof *keys);
    size_t n = 0;
    json_object_foreach (object, key, value)
        keys[n++] = key;
    if (n)
        qsort(keys, n, sizeof *keys, by_text);
    for (size_t i = 0; i < n; i++)
        json_array_append(list, json_object_get(object, keys[i]));
    free(keys);
    json_decref(object);
    return list;
}

json_t *emit_graph(struct emit *e, const struct findings *f)
{
    struct graph g = {.e = e, .nodes = json_object(), .edges = json_object()};
    for (u32 i = 0; i < f->steps.n; i++)
        add_edge(&g, &f->steps.at[i]);
    map_free(&g.threads);
    return json_pack("{s:o,s:o}", "nodes", sorted(g.nodes), "edges", sorted(g.edges));
}
