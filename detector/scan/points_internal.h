/* Shared by the files of the points-to solver. */
#ifndef SNARL_SCAN_POINTS_INTERNAL_H
#define SNARL_SCAN_POINTS_INTERNAL_H

#include "cellset.h"

struct copy {
    u32 to;
    int32_t offset;
    u32 type, within; /* the structure that is stepped into, 0: not known */
};

struct node {
    u32 same; /* itself, or the node it has become a part of */
    bool queued;
    bool top;                 /* may be anything: see TOP_LIMIT */
    struct cellset all, done; /* done: what has been passed on */
    LIST(struct copy) copy;
    struct list_u32 load, store, call;
};

struct memory_copy {
    u32 to, from, size; /* nodes; size 0: not known */
};

struct solver {
    LIST(struct node) nodes;
    u32 work; /* nodes in the queue */
    LIST(struct memory_copy) memory;
    u32 *of_value; /* node + 1 */
    struct map copies, tried;
    struct cellset functions; /* cells of functions */
    u32 *heap_type;           /* by value: of new memory, 0: not known */
    struct map fields;        /* points_field.c: member of a structure -> node of what is stored there + 1 */
    struct map fits;          /* memo of points_type.c */
};

/* points_order.c: makes cycles of copies one, and lists what is left, successors first. */
void solver_order(struct points *pt, struct list_u32 *order);

void solver_queue(struct solver *s, u32 node);
u32 solver_find(struct solver *s, u32 node);
u32 solver_node(struct points *pt, u32 value);
u32 solver_cell(struct points *pt, u32 object, u32 offset);
u32 solver_object(struct points *pt, enum object_kind kind, u32 of, u32 size);
void solver_add(struct points *pt, u32 node, u32 cell);
void solver_copy(struct points *pt, u32 from, u32 to, int32_t offset);
void solver_step(struct points *pt, u32 from, u32 to, const struct step *s);
void solver_load(struct points *pt, u32 pointer, u32 to);
void solver_store(struct points *pt, u32 pointer, u32 from);

u32 solver_new_node(struct solver *s);
/* Calls what a node points to, now and later. */
void solver_call(struct points *pt, u32 call, u32 node);

/* points_field.c */
void fields_find(struct points *pt);
void fields_store(struct points *pt, u32 pointer, u32 value);
void fields_init(struct points *pt, const struct global *g, const struct init *init);
/* The node that a call through a pointer's value goes by, NONE when it is no member's. */
u32 fields_called(struct points *pt, u32 pointer);
/* When all is solved: calls that reach nothing that way go by points-to. Whether there are any. */
bool fields_fall_back(struct points *pt);

/* points_type.c: which structure new memory is used as, from its first use. */
void points_types(struct points *pt);

/* points_code.c: what the program's code says. */
void solver_constraints(struct points *pt);
/* What a value that is asked for the first time is made of. */
void solver_seed(struct points *pt, u32 value, u32 node);
void solver_bind_cell(struct points *pt, u32 call, u32 cell);

#endif
