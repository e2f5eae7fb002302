/* The graph of a baseline: classes joined by its lines and rules. Called by orders.c. Takes no locks; allocates with
 * malloc.
 *
 * A rule "P < Q" speaks of all classes that match: from each class that matches P one enters the group P, from there one
 * gets to the group Q, and leaves it to each class that matches Q. Groups of the same pattern are one, so that rules
 * chain even where no class of the middle was seen. */
#include <stdlib.h>
#include <string.h>

#include "orders_internal.h"
#include "pattern.h"
#include "report/label.h"
#include "report/view.h"

#define ENTER(o, g) ((o)->nclasses + 2 * (g))
#define LEAVE(o, g) ((o)->nclasses + 2 * (g) + 1)

static void *grow(void *items, size_t n, size_t size)
{
    if (n & (n - 1))
        return items; /* room is made at powers of two */
    items = realloc(items, (n ? n * 2 : 1) * size);
    if (!items)
        abort();
    return items;
}

static bool ends_with(const char *begin, const char *end, const char *tail)
{
    size_t n = strlen(tail);
    return (size_t)(end - begin) > n && memcmp(end - n, tail, n) == 0;
}

const char *orders_bare_name(const char *class)
{
    static const char *const others[] = {"sem:", "file:", "FILE:", "python:", "thread:"}, *const sources[] = {
                                                                                              ".c",   ".cc",  ".cpp",
                                                                                              ".cxx", ".C",   ".h",
                                                                                              ".hh",  ".hpp", ".m",
                                                                                              ".py"};
    const char *colon = strchr(class, ':');
    if (!colon || colon == class || !colon[1] || colon[1] == ':')
        return class;
    for (size_t i = 0; i < ARRAY_LEN(others); i++)
        if (strncmp(class, others[i], strlen(others[i])) == 0)
            return class;
    for (size_t i = 0; i < ARRAY_LEN(sources); i++)
        if (ends_with(class, colon, sources[i]))
            return class;
    const char *so = strstr(class, ".so");
    return so && so < colon ? class : colon + 1;
}

static size_t known(const json_t *map, const char *name)
{
    const json_t *n = json_object_get(map, name);
    return n ? (size_t)json_integer_value(n) : SIZE_MAX;
}

static bool is_many(const json_t *node)
{
    return label_number(node, json_object_get(node, "per_process") ? "per_process" : "locks") > 1;
}

static size_t add_class(struct orders *o, const char *name, const char *local, const json_t *node)
{
    o->class = grow(o->class, o->nclasses, sizeof *o->class);
    o->class[o->nclasses] = (struct order_class){name, local, node, is_many(node)};
    json_object_set_new(o->by_name, name, json_integer((json_int_t)o->nclasses));
    if (!json_object_get(o->by_local, local))
        json_object_set_new(o->by_local, local, json_integer((json_int_t)o->nclasses));
    return o->nclasses++;
}

size_t orders_resolve(struct orders *o, const char *name)
{
    const char *bare = orders_bare_name(name);
    size_t c = known(o->by_name, name);
    if (c == SIZE_MAX)
        c = known(o->by_local, name);
    if (c == SIZE_MAX && bare != name) {
        c = known(o->by_local, bare);
        if (c != SIZE_MAX && o->class[c].node && o->class[c].local == o->class[c].name)
            c = SIZE_MAX; /* that one is not of a main program */
    }
    if (c == SIZE_MAX)
        c = known(o->by_short, name);
    return c != SIZE_MAX ? c : add_class(o, name, bare, NULL);
}

/* ---- the result's side ---- */

/* Nobody could wait the other way round for an order that was only tried, or seen while the lock was nobody else's. */
static bool binds(const json_t *edge)
{
    const json_t *contexts = json_object_get(edge, "contexts"), *c;
    size_t i;
    json_array_foreach (contexts, i, c) {
        if (!json_is_true(json_object_get(c, "try")) && !json_is_true(json_object_get(c, "unpublished")))
            return true;
    }
    return !json_array_size(contexts);
}

static void add_nodes(struct orders *o, const json_t *graph)
{
    const json_t *node;
    size_t i;
    json_array_foreach (json_object_get(graph, "nodes"), i, node) {
        const char *name = label_text(node, "class"), *local = label_text(node, "local"), *brief = label_short(name);
        size_t same = *local ? known(o->by_local, local) : SIZE_MAX;
        if (json_object_get(o->by_name, name))
            continue;
        if (same != SIZE_MAX) { /* of another main program */
            json_object_set_new(o->by_name, name, json_integer((json_int_t)same));
            o->class[same].many |= is_many(node);
            continue;
        }
        size_t c = add_class(o, name, *local ? local : name, node);
        /* A short name that several classes have means none of them. */
        json_object_set_new(o->by_short, brief,
                            json_integer(json_object_get(o->by_short, brief) ? (json_int_t)SIZE_MAX : (json_int_t)c));
    }
}

static void add_seen(struct orders *o, const json_t *graph)
{
    const json_t *edge;
    size_t i;
    json_array_foreach (json_object_get(graph, "edges"), i, edge) {
        size_t from = known(o->by_name, label_text(edge, "from")), to = known(o->by_name, label_text(edge, "to"));
        if (from == SIZE_MAX || to == SIZE_MAX || !binds(edge) ||
            json_is_true(json_object_get(o->class[from].node, "no_lock")) ||
            json_is_true(json_object_get(o->class[to].node, "no_lock")))
            continue;
        o->seen = grow(o->seen, o->nseen, sizeof *o->seen);
        o->seen[o->nseen++] = (struct order_seen){from, to, edge};
    }
}

/* ---- the baseline's side ---- */

static size_t group_of(struct orders *o, const struct baseline_entry *e, const char *pattern)
{
    for (size_t g = 0; g < o->ngroups; g++)
        if (pattern ? o->group[g].pattern && strcmp(o->group[g].pattern, pattern) == 0
                    : !o->group[g].pattern && o->group[g].level == e->level)
            return g;
    o->group = grow(o->group, o->ngroups, sizeof *o->group);
    o->group[o->ngroups] = (struct order_group){pattern, e->level, e};
    return o->ngroups++;
}

static bool fits(const struct order_class *c, const char *pattern)
{
    return pattern_class(pattern, c->name) || pattern_class(pattern, c->local) ||
           pattern_class(pattern, label_short(c->name)) || pattern_class(pattern, orders_bare_name(c->name));
}

static bool in_group(const struct orders *o, size_t class, size_t g)
{
    if (o->group[g].pattern)
        return fits(&o->class[class], o -> group[g].pattern);
    for (size_t i = 0; i < o->b->n; i++) {
        const struct baseline_entry *e = &o->b->entry[i];
        if (e->kind == BASELINE_LEVEL && e->level == o->group[g].level && fits(&o->class[class], e -> name[0]))
            return true;
    }
    return false;
}

static void add_link(struct orders *o, size_t from, size_t to, const struct baseline_entry *e)
{
    o->link = grow(o->link, o->nlinks, sizeof *o->link);
    o->link[o->nlinks] = (struct order_link){to, o->first[from], e};
    o->first[from] = ++o->nlinks;
}

static void link_orders(struct orders *o)
{
    for (size_t i = 0; i < o->b->n; i++) {
        const struct baseline_entry *e = &o->b->entry[i];
        if (e->kind == BASELINE_ORDER)
            add_link(o, orders_resolve(o, e->name[0]), orders_resolve(o, e->name[1]), e);
        for (size_t k = 1; e->kind == BASELINE_RULE && k < e->nnames; k++)
            add_link(o, ENTER(o, group_of(o, e, e->name[k - 1])), LEAVE(o, group_of(o, e, e->name[k])), e);
    }
}

/* Of locks of one level nothing is said. */
static void link_levels(struct orders *o)
{
    for (size_t g = 0; g < o->ngroups; g++) {
        size_t next = SIZE_MAX;
        if (o->group[g].pattern)
            continue;
        for (size_t h = 0; h < o->ngroups; h++)
            if (!o->group[h].pattern && o->group[h].level > o->group[g].level &&
                (next == SIZE_MAX || o->group[h].level < o->group[next].level))
                next = h;
        if (next != SIZE_MAX)
            add_link(o, ENTER(o, g), LEAVE(o, next), o->group[g].entry);
    }
}

static void link_groups(struct orders *o)
{
    for (size_t g = 0; g < o->ngroups; g++) {
        add_link(o, LEAVE(o, g), ENTER(o, g), o->group[g].entry);
        for (size_t c = 0; c < o->nclasses; c++) {
            if (!in_group(o, c, g))
                continue;
            add_link(o, c, ENTER(o, g), o->group[g].entry);
            add_link(o, LEAVE(o, g), c, o->group[g].entry);
        }
    }
}

void orders_open(struct orders *o, struct baseline *b, const json_t *document)
{
    const json_t *graph = json_object_get(document, "lock_graph");
    *o = (struct orders){.b = b, .by_name = json_object(), .by_local = json_object(), .by_short = json_object()};
    add_nodes(o, graph);
    add_seen(o, graph);
    /* All classes and groups first: their numbers are places. */
    for (size_t i = 0; i < b->n; i++) {
        struct baseline_entry *e = &b->entry[i];
        for (size_t k = 0; k < e->nnames && e->kind != BASELINE_ACCEPT; k++) {
            if (e->kind == BASELINE_ORDER)
                orders_resolve(o, e->name[k]);
            else
                group_of(o, e, e->kind == BASELINE_RULE ? e->name[k] : NULL);
        }
    }
    o->first = view_alloc((o->nclasses + 2 * o->ngroups + 1) * sizeof *o->first);
    link_orders(o);
    link_levels(o);
    link_groups(o);
}

void orders_close(struct orders *o)
{
    free(o->class);
    free(o->group);
    free(o->seen);
    free(o->link);
    free(o->first);
    json_decref(o->by_name);
    json_decref(o->by_local);
    json_decref(o->by_short);
}

struct order_step *orders_way(const struct orders *o, size_t from, size_t to, bool declared, size_t *n)
{
    size_t places = o->nclasses + 2 * o->ngroups, head = 0, tail = 0;
    size_t *queue = view_alloc((places + 1) * sizeof *queue), *before = view_alloc((places + 1) * sizeof *before);
    const struct order_link **by = view_alloc((places + 1) * sizeof(void *));
    struct order_step *way = NULL;
    queue[tail++] = from;
    while (head < tail && !by[to]) {
        size_t at = queue[head++];
        if (declared && at != from && at < o->nclasses)
            continue;
        for (size_t l = o->first[at]; l; l = o->link[l - 1].next) {
            const struct order_link *link = &o->link[l - 1];
            if (link->to == from || by[link->to] || (declared && link->entry->kind == BASELINE_ORDER))
                continue;
            by[link->to] = link;
            before[link->to] = at;
            queue[tail++] = link->to;
        }
    }
    *n = 0;
    for (size_t at = to; by[to] && at != from; at = before[at])
        ++*n;
    if (by[to]) {
        way = view_alloc((*n + 1) * sizeof *way);
        size_t i = *n;
        for (size_t at = to; at != from; at = before[at])
            way[--i] = (struct order_step){at, by[at]->entry};
    }
    free(queue);
    free(before);
    free(by);
    return way;
}

struct baseline_entry *orders_listed(struct orders *o, const struct order_seen *seen)
{
    for (size_t l = o->first[seen->from]; l; l = o->link[l - 1].next)
        if (o->link[l - 1].to == seen->to && o->link[l - 1].entry->kind == BASELINE_ORDER)
            return &o->b->entry[o->link[l - 1].entry - o->b->entry];
    return NULL;
}
