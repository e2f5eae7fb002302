/* Shared by the files that follow the program's code: what is known of it as a whole, of each function, and of each
 * point. See flow.c for the states, context.c for what becomes of them. */
#ifndef SNARL_SCAN_ANALYSIS_H
#define SNARL_SCAN_ANALYSIS_H

#include "path.h"

/* An element of a lock set: path * 2, and one more when it is held shared. */
#define LOCK_ELEMENT(path, shared) ((path)*2 + (u32)(shared))
#define LOCK_PATH(element) ((element) / 2)
#define LOCK_SHARED(element) ((element)&1)
/* In `may` and `rel`: some lock or other, where they are too many to be told apart. */
#define LOCK_ANY 0

/* What is known at a point of a function, relative to the function's start. */
struct state {
    u32 must, may; /* locks taken since: surely, perhaps; must is a part of may */
    u32 rel;       /* locks of the caller that may have been released */
    u32 live;      /* threads created and perhaps still running */
    u32 joined;    /* threads that have surely ended */
    u32 facts;     /* of values */
};

/* What is known of a value: it is, or is not, a number. */
struct fact {
    u32 value;
    bool is_not;
    int64_t number;
};

/* A thread as its creator names it. */
/* Also a promise that whoever has a handle is joined: then there is no call, and `given` tells of a loop. */
struct thread_name {
    u32 call;                 /* value of the call that creates it; NONE: a promise */
    u32 start, given, handle; /* paths */
    u32 joined_at;            /* of a promise: the call that joins, 0: one or another */
};

enum record_kind {
    R_ACCESS,
    R_ACQUIRE,
    R_RELEASE,
    R_CALL,
    R_CREATE,
    R_DESTROY,
    R_WAIT,
    R_FORK,
    R_HANDLER,
    R_LEAVE,
    R_SIGNAL
};
/* R_SIGNAL: of a condition or a semaphore; with R_AFTER_WAIT it is waited for. */
/* R_UP, R_DOWN: the lock is taken after another whose object was compared as less, or greater. */
enum record_flags {
    R_WRITE = 1,
    R_ATOMIC = 2,
    R_TRY = 4,
    R_AFTER_WAIT = 8,
    R_TIMED = 16,
    R_WHOLE = 32,
    R_UP = 64,
    R_DOWN = 128
};

/* Something that a function does, where, and in which state. */
struct record {
    u8 kind, flags;
    u32 value;       /* the instruction */
    u32 path;        /* access: the place; acquire, release: element; call: function; create: thread name */
    struct state at; /* facts: those of parameters and of flags */
};

/* One way a function can end. */
struct outcome {
    struct state at; /* facts: those of parameters */
    u8 result;       /* enum result */
    int64_t number;
};
enum result { RESULT_ANY, RESULT_IS, RESULT_NOT };

struct summary {
    bool known, returns; /* returns: some way leads back to the caller */
    LIST(struct outcome) outcome;
    LIST(struct record) record;
    struct map index; /* of records */
    bool matters;     /* it, or what it calls, has a record other than calls */
};

struct analysis {
    const struct program *p;
    const struct known **known;
    struct points pt;
    struct paths ps;
    struct sets sets; /* of locks, of threads, of facts: all numbers */
    LIST(struct fact) facts;
    struct map fact_index;
    LIST(struct thread_name) threads;
    struct map thread_index;
    struct summary *summary;  /* by function */
    struct list_u32 order;    /* functions, callees first; those of a cycle twice */
    bool *repeated;           /* by function: may run more than once */
    u32 *block_of, *place_of; /* by value that stands in code: block, position */
    struct list_u32 *sites;   /* by function: calls of it (index in pt.calls) */
    struct map recursive;     /* cells of recursive mutexes */
    struct map spins;         /* cells that are locks made of atomic instructions */
    struct map success;       /* compare and exchange -> the value that tells whether it was done */
    struct map intended;      /* cells on which races are meant */
    struct map binary;        /* cells of semaphores that begin with 1 */
    struct map fresh;         /* memo of fresh.c */
    LIST(struct list_u32 *) published;
    const struct map *deciding; /* of the function that is followed: facts that keep states apart; see decide.c */
    struct map tested;          /* cells of global variables that decide branches */
    bool *creates;              /* by function: it, or what it calls, creates threads */
    struct list_u32 *calls_of;  /* by function: calls in it (index in pt.calls) */
    u32 *changes;               /* by function: which of the tested cells it, or what it calls, stores to; a set */
};

/* spin.c */
void spin_find(struct analysis *a);
/* Whether the instruction at this path takes such a lock when it succeeds; gives it back. */
bool spin_takes(struct analysis *a, u32 value, u32 path);
bool spin_gives_back(struct analysis *a, u32 value, u32 path);

/* graph.c */
void graph_cycles(struct program *p);
void graph_order(struct analysis *a);
bool graph_reaches(const struct program *p, u32 from, u32 to, u32 without);

/* flow.c */
void flow_function(struct analysis *a, u32 function);

/* effect.c: what single instructions do to a state */
bool effect_is_recursive(struct analysis *a, u32 path);
void effect_acquire(struct analysis *a, struct state *s, u32 element);
/* Returns whether a lock taken since the function's start was released. */
bool effect_release(struct analysis *a, struct state *s, u32 path);
void effect_outcome(struct analysis *a, struct state *s, const struct outcome *o, u32 binding);
/* Sets that have become too large are cut down to what is sure. */
void effect_cut(struct analysis *a, struct state *s);
u32 effect_bind_locks(struct analysis *a, u32 set, u32 binding);
u32 effect_bind_threads(struct analysis *a, u32 set, u32 binding);
/* Everything that depends on a value loses it: the value is computed anew. */
void effect_redefine(struct analysis *a, struct state *s, u32 value);
void effect_stored(struct analysis *a, struct state *s, u32 path);
u32 thread_name_make(struct analysis *a, struct thread_name t);
/* What of the live threads is left when those joined are gone: named ones, and by promise whoever has that handle. */
u32 effect_still_live(struct analysis *a, u32 live, u32 joined);

/* What of the joined is left when this thread is created once more: the promise was for the one before. */
u32 effect_created(struct analysis *a, u32 joined, u32 thread);

/* Whoever has the handle has ended. How: once; in a loop, each of an array; the handle is an object that may have been moved. */
enum { JOINS_ONE, JOINS_EACH, JOINS_OBJECT };
void effect_join(struct analysis *a, struct state *s, u32 handle, u32 how, u32 call);
/* Where they were joined keeps states apart in the function only. */
u32 effect_joined_anywhere(struct analysis *a, u32 joined);

/* fact.c */
/* The number that facts about the memory of a path are kept by. */
u32 fact_of_memory(const struct analysis *a, u32 path);
void fact_add(struct analysis *a, struct state *s, u32 value, bool is_not, int64_t number);
/* A load: what is known of the memory is known of the value. A store: what it may change is known no more, but what is stored. */
void fact_loaded(struct analysis *a, struct state *s, u32 value);
void fact_stored(struct analysis *a, struct state *s, u32 path, u32 stored);
void fact_drop(struct analysis *a, struct state *s, u32 value);
/* 1 true, 0 false, -1 not known */
int fact_truth(struct analysis *a, const struct state *s, u32 condition);
bool fact_number(struct analysis *a, const struct state *s, u32 value, int64_t *number);
enum result fact_result(struct analysis *a, const struct state *s, u32 value, int64_t *number);
/* What of a set of facts is about the function's parameters. */
u32 fact_of_parameters(struct analysis *a, u32 facts);
/* flag.c: what of it is about global variables. */
u32 flags_in(struct analysis *a, u32 facts);
/* Whether two sets of facts cannot both be true. */
bool fact_contradicts(struct analysis *a, u32 x, u32 y);
/* Whether a call with these paths for its parameters contradicts such facts. */
bool fact_refuted(struct analysis *a, u32 facts, u32 binding);
/* The same at the call itself, where the caller's state knows more of its values. */
bool fact_refuted_at(struct analysis *a, u32 facts, const struct state *s, u32 call);
/* The condition is true (or false) from here on. */
void fact_assume(struct analysis *a, struct state *s, u32 condition, bool truth);

/* keep.c: facts that outlive a call. */
void keep_begin(struct analysis *a);
/* Its callees are done. */
void keep_function(struct analysis *a, u32 function);
/* All are done. */
void keep_settle(struct analysis *a);
void keep_call(struct analysis *a, struct state *s, u32 function);
/* A global variable, reached without a pointer. */
bool keep_variable(struct analysis *a, u32 place);

/* fresh.c */
/* Whether memory named by a value (new memory, a local variable, a parameter) is known to this thread alone when
 * the instruction is reached, as far as this function goes. */
bool fresh_at(struct analysis *a, u32 base, u32 instruction);

#endif
