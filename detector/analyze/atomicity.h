/* Lost updates: a value is read under a lock, and what is made of it is written under a later acquisition of the same
 * lock, while another thread writes in between. What a thread remembers for that. Nothing outside detector/analyze
 * includes this. */
#ifndef SNARL_ANALYZE_ATOMICITY_H
#define SNARL_ANALYZE_ATOMICITY_H

#include "analyze/accesses.h"

#define PAIR_LOCKS 4u /* of those held, innermost first; others are as if not held */
#define PAIR_SETS 64u /* of reads, by granule */
#define PAIR_WAYS 4u
#define PAIR_TOLD 64u
#define PAIR_EPOCHS 32u /* remembered with their locks */
#define TAKEN 16u       /* acquires remembered: a pair spans no more */
#define TAKEN_LANES 32u /* threads beyond cannot be told apart here */

/* A lock as held at an access. Two accesses are in one critical section if its number is the same. */
struct section {
    u32 uid;    /* of the lock */
    u32 number; /* lock_rec.section */
};

/* The last write of some bytes by a thread that held locks. */
struct writer {
    u64 time;
    u32 lane, number; /* number: of the thread, 0: none */
    ref_t thread, hold, stack;
    u32 nlocks;
    struct section lock[PAIR_LOCKS]; /* held exclusively */
};

/* The locks held in an epoch. */
struct pair_locks {
    u32 serial, task;
    u32 nlocks, shared; /* shared: bits */
    struct section lock[PAIR_LOCKS];
    u32 taken[PAIR_LOCKS]; /* which acquire of the thread (pairs.ntaken) it was; 0: forgotten */
    struct writer writer;  /* what a write in this epoch is */
};

/* A read that may be the first half of a pair. */
struct pair_read {
    u64 stamp, caller; /* activations (access_frames): where it was made, and what called that */
    u32 depth;
    u32 locks; /* pair_locks.serial */
    u32 generation;
    ref_t stack;
    bool opens; /* else it only tells a re-validation */
    u8 news;    /* bits: of which locks it was the taking that told of another thread's write */
};

/* An acquire. */
struct taken {
    u32 uid, number;
    bool shared;
    u32 validated; /* section of the same lock of which something that others write was read again in this one */
    u64 first;     /* key of the first such thing that was touched in this section */
    bool more;     /* another one, too */
    /* Of the thread's clock, before it learned what the lock's last holder has left: the first lanes; nothing of others. */
    u32 lanes;
    u64 known[TAKEN_LANES];
};

/* A pair whose write has not been made yet. */
struct pair_found {
    u64 address;
    u32 mask, verdict; /* mask 0: none */
    u64 before;        /* what is overwritten */
    u32 generation, kind;
    bool across; /* the function that read has returned */
    ref_t stack, lock;
    struct pair_read read;
    ref_t hold; /* at the read */
    struct writer writer;
    struct object_birth memory;
};

struct pairs {
    bool busy; /* a signal handler's accesses are not looked at meanwhile */
    u32 task;  /* what was read in an earlier one is not written back in this */
    u32 epoch; /* that the newest of `epochs` is for */
    u32 serial;
    struct pair_locks epochs[PAIR_EPOCHS];
    u32 ntaken;
    struct taken taken[TAKEN];
    struct pair_reads {
        u64 key[PAIR_WAYS]; /* granule << 8 | mask; 0: empty */
        struct pair_read read[PAIR_WAYS];
    } reads[PAIR_SETS];
    u64 told[PAIR_TOLD];
    struct pair_found found;
};

/* The thread has acquired l; before it learns what was left there. Counts the section. */
void atomicity_acquired(struct thread *t, struct accesses *a, struct lock_rec *l, enum lock_mode mode);
/* Before the release of any lock. */
void atomicity_released_slow(struct thread *t, struct pairs *p);
static inline void atomicity_release(struct thread *t, struct accesses *a)
{
    if (snarl_unlikely(a->pairs && a->pairs->found.mask))
        atomicity_released_slow(t, a->pairs);
}
/* A new epoch begins. Are its accesses to be looked at? */
static inline bool atomicity_epoch(const struct thread *t, struct accesses *a)
{
    if (!t->rec->nheld || !a->pairs)
        return false;
    a->pairs->epoch = 0; /* the number may have stood for another one */
    return true;
}
/* The thread waits for something to do: what it has read is not what it will write. */
static inline void atomicity_new_task(struct thread *t)
{
    if (t->accesses && t->accesses->pairs)
        t->accesses->pairs->task++;
}
/* An access with a lock held (a->locked), before it is recorded. pc: of its instruction, 0 if that is not known.
 * complete: fp is there. False: nothing was done, it has to come again with fp. */
bool atomicity_access(struct thread *t, struct accesses *a, u64 addr, u32 mask, u32 kind, ref_t stack, u64 pc,
                      const u64 *fp, bool complete);
/* The bytes behind the first granule of a larger one. */
void atomicity_rest(struct accesses *a, u64 addr, u64 size);
/* The bytes are another thing from now on. */
void atomicity_forget(u64 addr, u64 size);
void atomicity_forked(void);

/* ---- lost_update.c ---- */
bool writing_begin(void);
void writing_forget(void);
/* Does this instruction write to this address only, under this lock? Unknown when another one has its place. Notes it. */
bool writes_one(u64 pc, u32 uid, u64 address);
/* Does the instruction at pc, or one of the next that only load, store a constant? */
bool stores_constant(u64 pc);
/* A pair: t is about to write. Reported now if another write has been seen in between, else at the release, when the
 * write has changed something. */
void pair_found(struct thread *t, struct pairs *p, const struct pair_found *f, const u64 *fp);
u32 atomicity_generation(u64 addr);

#endif
