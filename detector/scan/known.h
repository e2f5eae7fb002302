/* What functions that the program only calls do: the C library's, other libraries', and those of a model file. */
#ifndef SNARL_SCAN_KNOWN_H
#define SNARL_SCAN_KNOWN_H

#include "program.h"

enum known_op {
    K_NONE,
    K_PLAIN,   /* nothing that matters here */
    K_LOCK,    /* arg: the lock; an annotation's other: how it is taken */
    K_TRYLOCK, /* may fail; `result` tells when it has the lock */
    K_UNLOCK,
    K_WAIT,   /* condition: arg is the condition, other the lock */
    K_SIGNAL, /* condition */
    K_INIT,   /* arg: the lock, other: its attributes or NONE */
    K_DESTROY,
    K_RECURSIVE, /* arg: attributes, other: the kind; marks attributes */
    K_CREATE,    /* arg: the handle, other: the function, third: its argument */
    K_JOIN,      /* arg: the handle's value */
    K_DETACH,
    K_ONCE,         /* arg: the control, other: the function */
    K_BARRIER,      /* arg */
    K_BARRIER_INIT, /* arg, other: how many */
    K_SEM_WAIT,     /* arg */
    K_SEM_POST,
    K_SEM_INIT, /* arg, other: the initial value */
    K_ALLOC,    /* new memory */
    K_REALLOC,
    K_FREE, /* arg */
    K_EXIT, /* of the thread or the process */
    K_FORK,
    K_EXEC,
    K_SIGNAL_HANDLER, /* other: the function */
    K_CALLBACK,       /* other: called on this thread, with what it gets */
    K_SAME,           /* the result is arg */
    K_ATOMIC_BEGIN,   /* one lock for all */
    K_ATOMIC_END,
    K_READS, /* the memory that arg points to */
    K_WRITES,
    K_COPIES,   /* arg: to, other: from */
    K_INTENDED, /* races on what arg points to are meant */
};

enum lock_kind { LOCK_MUTEX, LOCK_RWLOCK, LOCK_SPIN, LOCK_SEM, LOCK_FILE, LOCK_CUSTOM, LOCK_ONCE, LOCK_KIND_COUNT };

struct known {
    const char *name;
    u8 op, arg, other, third;
    u8 kind;         /* enum lock_kind */
    bool shared;     /* taken by readers */
    bool timed;      /* gives up after some time */
    bool true_means; /* K_TRYLOCK: has the lock when the result is not 0 */
    bool recursive;  /* this kind of lock may be taken again by its owner */
};

/* NULL when nothing is known. */
const struct known *known_find(const char *name);

/* Adds the lines of a model file: "NAME ACTION [KEY=VALUE...]". 0, or -EINVAL and "line: what is wrong" in err. */
int known_read(const char *path, char *err, size_t errlen);

/* The X of each function of a program, from its name; NULL entries for those with a body of their own. */
const struct known **known_table(const struct program *p);

#endif
