/* The program as its threads run it: every context of every function, and what is done there in terms of the whole program.
 * Made by context.c from the functions' summaries; read by threads.c and by the rules. */
#ifndef SNARL_SCAN_WHOLE_H
#define SNARL_SCAN_WHOLE_H

#include "analysis.h"

/* A thread, or several that are created at one place with one purpose. */
struct root {
    u32 thread;    /* name, as created; NONE for main and for what a library's users call */
    u32 function;  /* that it starts with */
    u32 parent;    /* root of the first creation */
    u32 context;   /* its first */
    bool many;     /* more than one at a time */
    u32 under;     /* locks that `holder` holds from before it is created until it has ended */
    u32 holder;    /* root: its creator, or whose lock its creator runs under */
    u32 flags;     /* facts about global variables at each of its creations */
    bool distinct; /* each of them is given memory, or a number, of its own */
};

struct context {
    u32 function, root, must, may, live, joined, binding;
    u32 flags;    /* facts about global variables that are in force */
    u32 up, call; /* the context that calls it, and where; NONE at a thread's start */
    bool merged;  /* one of many that became one */
    bool dying;   /* called where nothing comes after: what reports a failure and ends the program */
    bool guessed; /* a call on the way goes through a pointer that may reach many functions */
};

/* A record, seen from the whole program. */
struct deed {
    u8 kind, flags;
    u32 value, path;
    u32 must, may, live, joined;
    u32 root, context;
    u32 facts; /* about variables that decide whether threads are created */
};

struct whole {
    struct analysis *a;
    LIST(struct root) roots;
    LIST(struct context) contexts;
    LIST(struct deed) deeds;
    struct map root_index, context_index, deed_index, counts;
    struct map lock_index, changes;
    struct map starting;               /* paths of variables that decide whether threads are created */
    u32 current;                       /* the context that is looked at */
    struct list_u32 lock_paths;        /* by lock node: a path of it */
    struct list_u32 created;           /* deeds of kind R_CREATE; path: root */
    struct list_u32 acquired;          /* deeds of kind R_ACQUIRE */
    bool library;                      /* no main: every function that nobody calls is an entry */
    u8 *related, *concurrent, *leaves; /* roots x roots; see threads.c */
};

void whole_run(struct whole *w, struct analysis *a);

/* flag.c: those of the facts that the function, and what it calls, leave alone. */
u32 flags_kept(struct whole *w, u32 function, u32 facts);
void flags_find_starting(struct whole *w);
u32 flags_of_starting(struct whole *w, u32 facts);
/* Facts about global variables whenever the context comes to the instruction, a creation, its callers' too. */
u32 flags_each_time(struct whole *w, u32 value, u32 context);
/* Whether the deed is a part of an initialisation that a flag lets happen once. */
bool flags_initialise(struct whole *w, u32 value, u32 context);
/* Those that are in force in a thread that is created there. */
u32 flags_at_creation(struct whole *w, u32 facts, u32 call, u32 context);

/* threads.c */
void threads_relate(struct whole *w);
/* Whether another thread can do y while one does x. */
bool threads_meet(const struct whole *w, const struct deed *x, const struct deed *y);

/* same.c */
/* Whether two locks, each as its deed names it, are surely the same one. */
bool same_lock(struct whole *w, u32 x, u32 y);
/* Whether a lock that both hold keeps the two accesses apart. */
bool same_guard(struct whole *w, const struct deed *x, const struct deed *y);

#endif
