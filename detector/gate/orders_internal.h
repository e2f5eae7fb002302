/* The graph that orders.c searches, for orders*.c only. */
#ifndef SNARL_GATE_ORDERS_INTERNAL_H
#define SNARL_GATE_ORDERS_INTERNAL_H

#include "base/types.h"
#include "orders.h"

struct order_class {
    const char *name,
        *local;         /* as in the result; of classes that only the baseline knows, local is what is left of it */
    const json_t *node; /* NULL: not in the result */
    bool many;          /* several locks of it in one process */
};

/* Patterns that stand for one side of a rule. */
struct order_group {
    const char *pattern; /* NULL: a level's */
    long level;
    const struct baseline_entry *entry;
};

struct order_link {
    size_t to, next; /* next: index + 1 of the next link of the same place */
    const struct baseline_entry *entry;
};

struct order_seen {
    size_t from, to;
    const json_t *edge;
};

/* Places: a class c is place c; group g is entered at ENTER(g) and left at LEAVE(g). */
struct orders {
    struct baseline *b;
    struct order_class *class;
    struct order_group *group;
    struct order_seen *seen;
    struct order_link *link;
    size_t nclasses, ngroups, nseen, nlinks;
    size_t *first; /* by place: index + 1 of its first link */
    json_t *by_name, *by_local, *by_short;
};

/* One step of a way through the baseline. */
struct order_step {
    size_t place;
    const struct baseline_entry *entry; /* by which it is reached */
};

void orders_open(struct orders *o, struct baseline *b, const json_t *document);
void orders_close(struct orders *o);
/* The class that a name of the baseline means. */
size_t orders_resolve(struct orders *o, const char *name);
/* The shortest way from one class to another; malloc'd, without the start, *n steps. NULL: there is none. declared: by
 * rules alone. */
struct order_step *orders_way(const struct orders *o, size_t from, size_t to, bool declared, size_t *n);
/* The order is listed as it is. */
struct baseline_entry *orders_listed(struct orders *o, const struct order_seen *seen);

#endif
