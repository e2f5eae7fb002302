/* Internal locks: ranked, robust against an owner that was killed, usable between processes (they live in the arena)
 * and inside one. Debug builds (SNARL_DEBUG) check that they are taken in rank order.
 *
 * Rules: never held across code of the watched program; signals are blocked while one is held (ilock_acquire does it),
 * so a handler can neither re-enter nor leave a section by longjmp. What a killed owner left half done must stay
 * readable: sections publish with a single store at their end. */
#ifndef SNARL_BASE_ILOCK_H
#define SNARL_BASE_ILOCK_H

#include "types.h"

/* Taken in this order, lowest first. */
enum ilock_rank {
    RANK_PRELOAD = 0, /* the preload's map of thread handles */
    RANK_TABLE = 1,   /* the process's address table and allocation notes */
    RANK_THREADS,     /* thread and process records */
    RANK_GRAPH,       /* lock-order graph, must-order segments */
    RANK_STACKS,      /* interned stacks, strings, modules */
    RANK_FINDINGS,    /* findings */
    RANK_ARENA,       /* arena chunks and free lists */
    RANK_MAX,
};

struct ilock {
    u32 word; /* 0 free, else kernel thread id of the owner | ILOCK_WAITERS */
    u32 rank;
};

#define ILOCK_INIT(r)                                                                                                  \
    {                                                                                                                  \
        0, (r)                                                                                                         \
    }

/* Returns the signal mask to hand to ilock_release; only the outermost lock's counts, so release in the opposite order.
 * Steals the lock of an owner that no longer exists. */
u64 ilock_acquire(struct ilock *l);
void ilock_release(struct ilock *l, u64 saved_mask);
/* In a forked child: a lock of the arena that was held across the fork is the parent's to release, not ours. */
void ilock_disown(const struct ilock *l);
/* In a forked child, before any other call here: its thread has another kernel id. */
void ilock_forked(void);

#endif
