/* Internal locks: ranked, robust against an owner that was killed, usable between processes (they live in the arena)
 * and inside one. Debug builds (SNARL_DEBUG) check that they are taken in rank order.
 *
 * Rules: never held across code of the watched program; no handler of the program runs while one is held, so none can
 * re-enter or leave a section by longjmp: whoever installs the handlers puts them off (ilock_signals below), or the
 * signals are blocked. What a killed owner left half done must stay readable: sections publish with a single store at
 * their end. */
#ifndef SNARL_BASE_ILOCK_H
#define SNARL_BASE_ILOCK_H

#include "types.h"

/* Taken in this order, lowest first. */
enum ilock_rank {
    RANK_PRELOAD = 0, /* the preload's map of thread handles */
    RANK_MAPPINGS,    /* the process's table of shared mappings */
    RANK_TABLE,       /* the process's address table and allocation notes */
    RANK_THREADS,     /* thread and process records */
    RANK_GRAPH,       /* lock-order graph, must-order segments */
    RANK_STACKS,      /* interned stacks, strings, modules */
    RANK_FINDINGS,    /* findings */
    RANK_SHARED,      /* accesses to memory that processes share, releases that reach other processes */
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

/* Returns what to hand to ilock_release; only the outermost lock's counts, so release in the opposite order.
 * Steals the lock of an owner that no longer exists. */
u64 ilock_acquire(struct ilock *l);
void ilock_release(struct ilock *l, u64 saved_mask);
/* No process of that number is left, or it has ended and nobody has waited for it yet. */
bool ilock_process_gone(u32 pid);
/* In a forked child: a lock of the arena that was held across the fork is the parent's to release, not ours. */
void ilock_disown(const struct ilock *l);
/* In a forked child, before any other call here: its thread has another kernel id. */
void ilock_forked(void);

/* The same protection from handlers without a lock. Nests, with locks too. */
u64 ilock_guard(void);
void ilock_unguard(u64 saved_mask);
/* This thread is in a section: what interrupts it must not enter. */
bool ilock_guarded(void);

/* While `deferred`, sections leave the signals as they are: every handler of the program is entered through code that
 * puts it off in a section and notes so in ilock_signals_wait. `deliver` is called at the end of a section where
 * something waits; `check` now and then, outside of sections, whether every handler still is. */
struct ilock_signals {
    bool deferred;
    void (*deliver)(void);
    void (*check)(void);
};
extern struct ilock_signals ilock_signals;
/* From now on sections block the signals. */
void ilock_signals_block(void);
extern __thread u32 ilock_signals_wait __attribute__((tls_model("initial-exec"), visibility("hidden")));

#endif
