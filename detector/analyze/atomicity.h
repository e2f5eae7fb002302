/* Lost updates: a value is read under a lock, and what is made of it is written under a later acquisition of the same
 * lock, while another thread writes in between. What a thread remembers for that. Nothing outside detector/analyze
 * includes this. */
#ifndef SNARL_ANALYZE_ATOMICITY_H
#define SNARL_ANALYZE_ATOMICITY_H

#include "analyze/accesses.h"

#define PAIR_LOCKS 4u /* of those held, innermost first; others are as if not held */
#define PAIR_TOLD 64u
#define PAIR_EPOCHS 32u    /* remembered with their locks */
#define PAIR_SEGMENTS 256u /* remembered */
#define PAIR_LOG 1024u     /* accesses remembered */
#define PAIR_INDEX_BITS 10
#define PAIR_INDEX (1u << PAIR_INDEX_BITS)
#define TAKEN 16u       /* acquires remembered: a pair spans no more */
#define TAKEN_LANES 32u /* threads beyond cannot be told apart here */

/* A lock as held at an access. Two accesses are in one critical section if its number is the same. */
struct section {
    u32 uid;    /* of the lock; 0: none, and none behind it */
    u32 number; /* lock_rec.section */
};

/* The last write of some bytes by a thread that held locks. */
struct writer {
    u64 time;
    u32 lane, number; /* number: of the thread, 0: not known */
    ref_t thread, hold, stack;
    struct section lock[PAIR_LOCKS]; /* held exclusively */
};

/* The same as a table has it (written.c). */
struct written {
    u32 turn; /* another one after each change; 0: it is being made, or there never was one */
    u32 tag;  /* of which bytes, in which generation of the memory */
    ref_t stack, hold;
    u64 time;
    struct section lock; /* the innermost one */
};
#define TURN_MORE 2u /* in `turn`: there are more locks */
#define TURN_STEP 4u
struct written_more {
    u32 turn; /* of the entry that this belongs to */
    struct section lock[PAIR_LOCKS - 1];
};

/* The locks held in an epoch. */
struct pair_locks {
    u32 serial, task;
    u32 first;          /* access of the log */
    u32 nlocks, shared; /* shared: bits */
    ref_t hold;
    struct section lock[PAIR_LOCKS];
    u32 taken[PAIR_LOCKS]; /* which acquire of the thread (pairs.ntaken) it was; 0: forgotten */
};

/* Accesses by one activation of a function (access_frames) in one epoch. */
struct pair_segment {
    u64 stamp, caller; /* of the activation, and of what called it */
    u32 depth;
    u32 locks; /* pair_locks.serial */
    u32 first; /* access of the log */
};

/* An access. `key` is granule << 8 | mask, and bits between the two. */
#define KEY_WROTE (1ULL << 8)
#define KEY_ATOMIC (1ULL << 9)
#define KEY_REST (1ULL << 10) /* not an access but the end of what is known of a range; it has a size */
#define KEY_BITS (KEY_WROTE | KEY_ATOMIC | KEY_REST)
struct pair_access {
    u64 key;
    union {
        struct {
            ref_t stack;
            u32 generation;
        };
        u64 size;
    };
};

/* A read that may be the first half of a pair. */
struct pair_read {
    struct pair_segment segment;
    u32 generation;
    ref_t stack;
};

/* An acquire. */
struct taken {
    u32 uid, number;
    bool shared;
    u32 serial; /* the accesses of its section are in epochs after that */
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

#define PAIR_NO_STAMP (~0ULL)
struct pairs {
    bool busy;    /* a signal handler's accesses are not looked at meanwhile */
    bool renewed; /* a new epoch has begun */
    bool beyond;  /* writes count, but there is no table for them */
    u32 task;     /* what was read in an earlier one is not written back in this */
    u32 nlocks;   /* in this epoch */
    u32 serial;   /* of the newest of `epochs` */
    u32 nsegments, nlog;
    u32 ntaken;
    u32 reach; /* what was done before this access of the log is no part of a pair any more */
    u32 noted; /* accesses of the log from here on were made with the same locks held as those of this epoch */
    u64 stamp; /* of the newest segment; PAIR_NO_STAMP: the next access begins one */
    struct written_lane *table; /* NULL: it has none */
    struct written *writes;     /* NULL: of this epoch none is kept */
    u32 turn;
    struct writer now; /* what a write in this epoch is */
    struct pair_access log[PAIR_LOG];
    /* By key: its last access. Where two keys have the same place, the other one, if it was a read, is in `displaced`. */
    u32 index[PAIR_INDEX], displaced[PAIR_INDEX];
    struct pair_segment segments[PAIR_SEGMENTS];
    struct pair_locks epochs[PAIR_EPOCHS];
    struct taken taken[TAKEN];
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
/* The next access is in another epoch. */
static inline void pairs_renew(struct pairs *p)
{
    p->renewed = true;
    p->stamp = PAIR_NO_STAMP;
}
/* A new epoch begins. Are its accesses to be looked at? */
static inline bool atomicity_epoch(const struct thread *t, struct accesses *a)
{
    if (!t->rec->nheld || !a->pairs)
        return false;
    pairs_renew(a->pairs);
    return true;
}
/* The thread waits for something to do: what it has read is not what it will write. */
static inline void atomicity_new_task(struct thread *t)
{
    if (t->accesses && t->accesses->pairs)
        t->accesses->pairs->task++;
}
/* An access with a lock held (LOCKED_PAIRS), before it is recorded. pc: of its instruction, 0 if that is not known. False:
 * nothing was done, it has to come again, to atomicity_seen. */
bool atomicity_access(struct accesses *a, u64 addr, u32 mask, u32 kind, ref_t stack, u64 pc);
void atomicity_seen(struct accesses *a, u64 addr, u32 mask, u32 kind, ref_t stack, u64 pc, const u64 *fp);
/* The bytes behind the first granule of a larger one. */
void atomicity_rest(struct accesses *a, u64 addr, u64 size);

/* ---- written.c ---- */
/* What lives at an address has a generation: two counts by parts of the address, small ones for blocks, large ones for
 * mappings and stacks. Addresses 16 MB apart share a small one. A large one is for every MB of 4 TB: more than the span
 * over which the kernel spreads what it maps, so the end of a thread's stack is nothing to the program's variables. */
#define GENERATIONS (1u << 18)
#define GENERATION_BITS 6
#define LARGE_GENERATIONS (1u << 22)
#define LARGE_BITS 20
extern u32 *pair_generations
    __attribute__((visibility("hidden"))); /* small, then large; NULL: nothing is looked at yet */
static SNARL_HOT u32 atomicity_generation(u64 addr)
{
    return pair_generations[(addr >> GENERATION_BITS) % GENERATIONS] +
           pair_generations[GENERATIONS + (addr >> LARGE_BITS) % LARGE_GENERATIONS];
}
/* The bytes are another thing from now on. */
void atomicity_forget(u64 addr, u64 size);
void atomicity_forked(void);

#define WRITTEN_BITS 13
#define WRITTEN (1u << WRITTEN_BITS)
#define WRITTEN_OWNERS 8u /* of a lane, remembered */
static SNARL_HOT u64 pair_hash(u64 key)
{
    return key * 0x9e3779b97f4a7c15ULL;
}
static SNARL_HOT u32 written_tag(u64 hash, u32 generation)
{
    return (u32)(hash >> (64 - WRITTEN_BITS - 32)) + generation * 0x9e3779b1u;
}
static SNARL_HOT u32 written_index(u64 hash)
{
    return (u32)(hash >> (64 - WRITTEN_BITS));
}
struct written_lane {
    struct written *writes; /* WRITTEN */
    struct written_more *more;
    u32 nowners;
    struct written_owner {
        u64 since; /* time on the lane */
        u32 number;
        ref_t thread;
    } owners[WRITTEN_OWNERS];
};
/* The table of this thread's lane; NULL: it has none. */
struct written_lane *written_table(u32 lane, u32 number, ref_t thread, u64 time);
void written_beyond(u64 key, u32 generation, u32 number);
/* Has another thread than that of this number, on this lane, written there, holding locks? */
bool written_by_others(u64 key, u32 generation, u32 lane, u32 number);
/* The last such write under this lock. */
bool written_last(u64 key, u32 generation, u32 lane, u32 uid, struct writer *out);
bool written_start(void);
/* Which of these it is, or -1. */
static inline int section_index(const struct section *list, u32 uid)
{
    for (u32 i = 0; i < PAIR_LOCKS && list[i].uid; i++)
        if (list[i].uid == uid)
            return (int)i;
    return -1;
}

/* ---- the log ---- */
static inline const struct pair_access *log_at(const struct pairs *p, u32 n)
{
    return &p->log[n % PAIR_LOG];
}
static inline bool log_has(const struct pairs *p, u32 n)
{
    return p->nlog - n - 1 < PAIR_LOG;
}

/* The place in one of the two indices. */
static SNARL_HOT u32 index_of(u64 hash)
{
    return (u32)(hash >> (64 - PAIR_INDEX_BITS));
}
static SNARL_HOT u32 displaced_of(u64 hash)
{
    return (u32)(hash >> (64 - 2 * PAIR_INDEX_BITS)) % PAIR_INDEX;
}
static SNARL_HOT bool index_has(const struct pairs *p, u32 n, u64 key)
{
    return log_at(p, n)->key == key && log_has(p, n);
}

/* Does it touch any of these bytes? */
static inline bool overlaps(const struct pair_access *x, u64 key)
{
    if (x->key & KEY_REST)
        return (key >> 11 << 3) - (x->key >> 11 << 3) < x->size;
    return x->key >> 11 == key >> 11 && (x->key & key & SLOT_MASK);
}

/* ---- whose value may still be around ---- */
/* Is the thread still in the activation that had this stamp at this depth? */
static inline bool pair_is_active(const struct access_frames *f, u32 depth, u64 stamp)
{
    u32 inner = f->depth - depth;
    return inner < FRAMES_KEPT && stamp && (inner ? f->outer[depth % FRAMES_KEPT] : f->stamp) == stamp;
}

/* The value read may still be in the variables of a function that is active: of the one that read, or of its caller,
 * who has got it and hands it to the one that writes. */
static inline bool pair_value_lives(const struct access_frames *f, const struct pair_segment *r)
{
    if (pair_is_active(f, r->depth, r->stamp))
        return true;
    return pair_is_active(f, r->depth - 1, r->caller) && f->depth - (r->depth - 1) <= 2;
}

/* ---- lost_update.c ---- */
#define WRITING_BITS 13
#define WRITING (1u << WRITING_BITS)
/* An instruction that writes under a lock: to which address? */
struct writing {
    u64 pc;
    u32 uid;
    u32 many; /* to several */
    u64 address;
};
extern struct writing *pair_writing __attribute__((visibility("hidden")));
static SNARL_HOT struct writing *writing_of(u64 pc, u32 uid)
{
    return &pair_writing[(pc ^ (u64)uid << 40) * 0x9e3779b97f4a7c15ULL >> (64 - WRITING_BITS)];
}
bool writing_begin(void);
void writing_forget(void);
/* Does this instruction write to this address only, under this lock? Unknown when another one has its place. Notes it. */
bool writes_one(u64 pc, u32 uid, u64 address);
static SNARL_HOT void writes_note(u64 pc, u32 uid, u64 address)
{
    const struct writing *g = writing_of(pc, uid);
    if (snarl_unlikely(g->pc != pc || g->uid != uid || (g->address != address && !g->many)))
        writes_one(pc, uid, address);
}
/* Does the instruction at pc, or one of the next that only load, store a constant? */
bool stores_constant(u64 pc);
/* A pair: t is about to write. Reported now if another write has been seen in between, else at the release, when the
 * write has changed something. */
void pair_found(struct thread *t, struct pairs *p, const struct pair_found *f, const u64 *fp);

#endif
