/* Which objects a pointer may point to: inclusion based (Andersen 1994), by field, whole program, with the calls through
 * pointers resolved as it goes. */
#ifndef SNARL_SCAN_POINTS_H
#define SNARL_SCAN_POINTS_H

#include "known.h"

enum object_kind { OBJ_GLOBAL, OBJ_FUNCTION, OBJ_STACK, OBJ_HEAP, OBJ_UNTYPED };

struct object {
    u32 kind;
    u32 of;       /* global, function or value */
    u32 size;     /* 0: not known */
    bool many;    /* stands for several at a time */
    bool escapes; /* more than one thread may reach it */
    bool indexed; /* some element other than the first is used */
    struct list_u32 cells;
};

/* A place in an object: a field of it, arrays counted as their first element. */
struct cell {
    u32 object, offset, node;
};

struct call {
    u32 value, function;       /* in which */
    const struct known *known; /* or NULL */
    struct list_u32 targets;   /* functions with a body */
    bool unresolved;           /* through a pointer of which nothing is known */
};

struct cellset { /* sorted by word */
    u32 *word;
    u64 *bits;
    u32 n, cap;
};

/* The first cell stands for anything: pointers of which too much is possible point there. */
#define CELL_ANY 0

struct points {
    const struct program *p;
    const struct known **known;
    LIST(struct object) objects;
    LIST(struct cell) cells;
    LIST(struct call) calls;
    struct map cell_index, object_index, call_index;
    bool *allocates; /* by function: returns new memory each time, and nothing else */
    struct solver *solver;
};

void points_solve(struct points *pt, const struct program *p, const struct known **known);

/* Cells that a value may point to, ascending. */
void points_of_value(struct points *pt, u32 value, struct list_u32 *out);
/* Cells that the pointer in a cell may point to. */
void points_of_cell(struct points *pt, u32 cell, struct list_u32 *out);
/* Of any of several cells; CELL_ANY alone when there are too many. */
void points_of_cells(struct points *pt, const struct list_u32 *cells, struct list_u32 *out);
/* The cell `offset` further on, NONE when that is outside of the object. */
u32 points_shift(struct points *pt, u32 cell, int32_t offset);
/* The same for a step into a structure: NONE, too, when the object is known to be of another type. */
u32 points_step(struct points *pt, u32 cell, const struct step *s);
u32 points_cell_of_global(struct points *pt, u32 global);
/* Whether the cell stands for several elements of an array. */
bool points_in_array(const struct points *pt, u32 cell);
/* Sets `escapes`: globals, what threads are given, and all that can be reached from there. */
void points_escape(struct points *pt);
/* Sets `many` and `indexed`. repeated: by function, whether it may run more than once in the program's life; loop: by
 * value, whether it is on a cycle. */
void points_count(struct points *pt, const bool *repeated);
/* A field of some object of a type, of which nothing else is known. */
u32 points_cell_of_type(struct points *pt, u32 type, u32 offset);
/* The call made by a value of op V_CALL. */
struct call *points_call(const struct points *pt, u32 value);

#endif
