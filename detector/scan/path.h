/* Access paths: how the program names a place in memory. A path has a root (a global, a parameter, new memory, ...) and
 * steps from there: a field, an element, what a pointer points to. Equal paths have equal numbers. Paths of a function
 * begin at its parameters; a binding puts the caller's paths in their place. */
#ifndef SNARL_SCAN_PATH_H
#define SNARL_SCAN_PATH_H

#include "points.h"

enum path_kind {
    P_NONE,
    P_GLOBAL,   /* a: global */
    P_FUNCTION, /* a: function */
    P_CONST,    /* a: value */
    P_ARG,      /* a: value (of a parameter) */
    P_STACK,    /* a: value */
    P_HEAP,     /* a: value (of the call) */
    P_FRESH,    /* a: value; memory that no other thread can know yet */
    P_OWN,      /* a: value; what a thread was given, seen from that thread; one of many threads at this place */
    P_VALUE,    /* a: value; nothing better is known */
    P_OLD,      /* a: value; the same, from an earlier round of a loop */
    P_ATOMIC,   /* the one lock of atomic sections */
    P_FIELD,    /* base; step */
    P_INDEX,    /* base; a: path of the index, 0: an earlier one */
    P_DEREF,    /* base; a: 1 when what it points to has changed since */
    P_AGAIN,    /* base; the same lock, taken once more */
};
#define P_IS_ROOT(kind) ((kind) < P_FIELD)

struct path {
    u8 kind, depth;
    bool has_arg, has_deref, has_index; /* anywhere in it */
    u32 base, a;
    int32_t offset;
    u32 element, type, within;
    bool resolved;
    struct list_u32 cells;
};

struct paths {
    const struct program *p;
    struct points *pt;
    LIST(struct path) at; /* 0: none */
    struct map index, memo, bindings;
    u32 *of_value;
    struct list_u32 args; /* of bindings */
    LIST(struct binding {
        u32 first;
        u32 n;
    })
    binding;
    u32 *result;        /* by function: the path it returns, 0 when there is not one; set as functions are done */
    bool *fresh_result; /* by function: that is new memory which nobody else knows */
};

void paths_begin(struct paths *ps, struct points *pt);
u32 path_root(struct paths *ps, enum path_kind kind, u32 a);
u32 path_field(struct paths *ps, u32 base, const struct step *s);
u32 path_index(struct paths *ps, u32 base, u32 index);
u32 path_deref(struct paths *ps, u32 base, bool changed);
u32 path_of(struct paths *ps, u32 value);

u32 path_again(struct paths *ps, u32 base);

/* Paths for the parameters of a callee, kept once. 0 binds nothing. */
u32 binding_make(struct paths *ps, const u32 *args, u32 n);
/* The arguments of a call as the caller names them. */
u32 binding_of_call(struct paths *ps, u32 call_value, const struct known *k);
u32 binding_arg(const struct paths *ps, u32 binding, u32 i);
u32 path_bind(struct paths *ps, u32 path, u32 binding);

/* Cells that it may stand for, ascending. Valid until the next call of anything here. */
const struct list_u32 *path_cells(struct paths *ps, u32 path);
/* The one cell it surely stands for, NONE when there are several, or several objects in one. */
u32 path_single(struct paths *ps, u32 path);
/* Which element of an array it is: 0 the first, NONE when that is not known. */
u32 path_element(struct paths *ps, u32 path);
u32 path_root_of(const struct paths *ps, u32 path);
/* Whether the value appears in it. */
bool path_mentions(const struct paths *ps, u32 path, u32 value);
/* The same path as it was before the value was computed anew. */
u32 path_age(struct paths *ps, u32 path, u32 value);
/* The same steps from another root; paths with a pointer on the way stay as they are. */
u32 path_reroot(struct paths *ps, u32 path, u32 root);
/* Whether both can stand for the same place. */
bool path_meets(struct paths *ps, u32 a, u32 b);

static inline const struct path *path_at(const struct paths *ps, u32 path)
{
    return &ps->at.at[path];
}

#endif
