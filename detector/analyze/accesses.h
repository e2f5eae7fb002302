/* A thread's private state for accesses. Nothing outside detector/analyze includes this. */
#ifndef SNARL_ANALYZE_ACCESSES_H
#define SNARL_ANALYZE_ACCESSES_H

#include "analyze/access_hot.h"
#include "analyze/crowd.h"
#include "analyze/epoch.h"
#include "analyze/hb.h"
#include "analyze/internal.h"
#include "analyze/readers.h"
#include "model/clock.h"

#define SITE_MEMO 256u
#define INSTRUCTION_MEMO_BITS 10
#define INSTRUCTION_MEMO (1u << INSTRUCTION_MEMO_BITS)
#define MERGE_MEMO 2048u
#define PENDING 4u
#define SET_MEMO_BITS 6
#define SET_CREDIT 1024u
#define HOLD_MEMO_BITS 8
#define REPORTED 64u
#define TOLD_PLACES 64u
#define SHARED_MEMO 64u
#define PLACES_TOLD 16u
#define RELAXED_READS 64u

/* In `ignored`: a recycling cycle is, or was, under way: only the slow path knows what to do (recycle.h). */
#define ACCESS_DETOUR (1u << 31)

/* What an access is looked at for, beside races, as locks are held in this epoch. */
enum locked {
    LOCKED_PAIRS = 1,     /* lost updates (atomicity.h) */
    LOCKED_UNWRITTEN = 2, /* a write would be the first of the epoch that its sections show (weak.h) */
    LOCKED_WRITTEN = 4    /* it was made just now, and counts from the next access on */
};

struct accesses {
    u32 number; /* of the thread; 0: not in use */
    u32 epoch;  /* the one in access_now */
    u32 first;  /* the first of this block that an access now adds nothing to: at the present time */
    u32 next, block_first, block_end;
    u32 ignored; /* any nested ignore sections; ACCESS_DETOUR. Changed by atomic operations. */
    u32 ignored_reads, ignored_writes, ignored_order;
    bool ticked;         /* the time has moved on since `first` */
    bool over;           /* its thread has ended the process: not to begin again */
    u32 cycle;           /* recycle_cycle at the thread's last visit */
    u32 detours, blocks; /* counts: slow accesses while a cycle runs; blocks of epochs */
    u32 listed;
    struct accesses *next_state; /* in the list of all (recycle.c) */
    struct thread *owner;
    struct clock clock;
    struct sync_clock fence; /* what the last release fence has seen */
    u32 nread;               /* keys of relaxed reads since the last acquire fence */
    u64 read[RELAXED_READS];
    struct {
        u64 key;
        u32 n;              /* nread then */
    } reads[RELAXED_READS]; /* by hash: where in `read` a key is, if it still is there */
    u64 barrier;            /* key of the barrier it has arrived at last */
    u32 concurrent;         /* an epoch that is not: true until the next acquire */
    /* By block of epochs: how many of its first ones are before everything this thread does from now on, as far as it
     * has asked. True as long as the numbers mean the same. */
    u16 past[EPOCHS / EPOCH_BLOCK];
    struct {
        ref_t stack;
        u32 flags, site;
    } sites[SITE_MEMO];
    struct instruction_memo {
        u64 pc, context, sp; /* pc 0: being written, or empty */
        u32 site;
        ref_t stack;
    } instructions[INSTRUCTION_MEMO];
    struct merge_memo {
        u32 site, masks;
        ref_t stack;
        u32 merged;
    } merges[MERGE_MEMO];
    struct hold_memo {
        ref_t outer, lock, stack, hold;
        u32 mode;
    } holds[1u << HOLD_MEMO_BITS];
    u64 races; /* met, told or not */
    u64 reported[REPORTED];
    struct told_places {
        u64 key, n;
    } places[TOLD_PLACES];
    u32 npending;
    struct pending { /* a record that the shadow has no room for yet (access_quick.c); 0: none */
        u64 granule, record;
    } pending[PENDING];
    struct crowd_spares crowds;
    u32 shared_changes; /* what of them the next holds for (shared.h) */
    struct shared_memo {
        u64 page; /* of this process's memory; 0: none */
        struct shared_page *records;
    } shared[SHARED_MEMO];
    u32 locked;          /* of enum locked */
    struct weak *weak;   /* weak.h; NULL: off */
    u32 writes;          /* epochs with a write that counts for their sections */
    u64 written;         /* which one it was, with LOCKED_WRITTEN */
    u32 open_first;      /* the first epoch of this block since locks are held without a break; 0: none */
    struct pairs *pairs; /* atomicity.h; NULL before the first acquire */
    u32 set_credit; /* sets of readers that may be looked for: each look that the memo saves is worth another one */
    struct set_memo {
        u64 from, also; /* the set, or the one or two reads, that the granule had */
        u32 to;         /* the set with the thread's own read */
        u32 epoch;      /* of the thread */
        u32 mask, site;
    } sets[1u << SET_MEMO_BITS];
    u64 scratch[CROWD_MAX + 2], members[READERS_MAX + 1], moved[READERS_MAX]; /* records */
    struct access_frames frames;
};

/* The thread's state; makes it when accesses are watched and the thread has none. NULL: it is not watched. */
SNARL_COLD struct accesses *accesses_begin(struct thread *t);
static inline struct accesses *accesses_of(struct thread *t)
{
    return snarl_likely(t->accesses && t->accesses->number) ? t->accesses : accesses_begin(t);
}
/* For a thread that is about to start after everything `creator` knows (NULL: nothing). */
struct accesses *accesses_start(struct thread *t, const struct accesses *creator);
void accesses_end(struct accesses *a);
/* The record of a write of whole granules by t now; of a heap block's allocator (its stack, 0: from fp). 0: it does not
 * count. access.c */
u64 access_as_written(struct thread *t, ref_t stack, const u64 *fp);
/* access_range, or access_range_by_call. access.c */
void access_range_from(struct thread *t, u64 addr, u64 size, u32 kind, bool call, const u64 *fp);
/* Gives back the crowds of cells that are about to be cleared. */
void crowds_end(struct accesses *a, u64 addr, u64 size);

/* LUCKY: before, but only because locks happened to be taken in this order (weak.h). */
enum relation { SAME_EPOCH, BEFORE, LUCKY, UNORDERED };
enum relation epoch_relation_slow(struct accesses *a, u32 epoch);
#define PAST_OWN 0x8000u /* with EPOCH_BLOCK: all of the block are this thread's */
#define PAST_COUNT 0x1ffu
static SNARL_HOT u32 epoch_past(const struct accesses *a, u32 epoch)
{
    return a->past[epoch / EPOCH_BLOCK];
}
/* By this thread, or known to be before it. Never for sets of readers. */
static SNARL_HOT bool epoch_is_past(const struct accesses *a, u32 epoch)
{
    return (epoch_past(a, epoch) & PAST_COUNT) > epoch % EPOCH_BLOCK;
}
static SNARL_HOT bool epoch_is_own(const struct accesses *a, u32 epoch)
{
    return epoch_past(a, epoch) & PAST_OWN;
}
static inline enum relation epoch_relation(struct accesses *a, u32 epoch)
{
    if (epoch_is_own(a, epoch))
        return epoch >= a->first && epoch <= a->epoch ? SAME_EPOCH : BEFORE;
    return epoch_is_past(a, epoch) ? BEFORE : epoch_relation_slow(a, epoch);
}

static inline struct set_memo *set_memo(struct accesses *a, u64 from, u32 mask)
{
    return &a->sets[(from ^ (u64)mask << SITE_SHIFT) * 0x9e3779b97f4a7c15ULL >> (64 - SET_MEMO_BITS)];
}
/* Before the clock learns or ticks, and before the shadow is looked at in any other way. */
void accesses_flush_slow(struct thread *t, struct accesses *a);
static inline void accesses_flush(struct thread *t, struct accesses *a)
{
    if (snarl_unlikely(a->npending))
        accesses_flush_slow(t, a);
}
/* ---- lives.c ---- */
extern bool lives_on __attribute__((visibility("hidden"))); /* there are other processes, or will be */
/* The thread's time has moved on, or it has learned of others: for those who outlive it. */
static inline void lives_tick(struct accesses *a)
{
    __atomic_store_n(&a->owner->rec->clock_now, clock_now(&a->clock), __ATOMIC_RELEASE);
}
void lives_told(struct accesses *a);

/* The thread has learned of others' pasts. */
static inline void accesses_learned(struct accesses *a)
{
    a->concurrent = 0;
    if (snarl_unlikely(lives_on))
        lives_told(a);
}
/* What the thread does from now on is later than what it has let others know (ticked), or done with other locks held:
 * the next recorded access takes a new epoch. */
static inline void accesses_new_epoch(struct accesses *a, bool ticked)
{
    a->ticked |= ticked;
    if (access_now)
        access_now = ACCESS_NO_EPOCH;
}

/* ---- race.c ---- */
/* The memory has another life: what was intended there is over. */
void intended_forget(u64 addr, u64 size);
/* Locks held, as a blob for a finding. */
ref_t holds_snapshot(ref_t hold, u32 *n);
void access_event_fill(struct finding_event *e, ref_t thread, u32 kind, u64 addr, u32 mask, ref_t stack);
/* Of two places that touch this memory, in any order. */
u64 memory_signature(const struct object_birth *b, ref_t stack, ref_t other);
bool access_is_intended(u64 addr, u32 size);
/* `record` of the granule at addr and t's access now touch the same bytes in no order. */
typedef void found_fn(struct thread *t, struct accesses *a, u64 addr, u32 mask, u32 kind, ref_t stack, const u64 *fp,
                      u64 record);
found_fn race_found;
/* Nothing else is to be told of: another finding says so, or the program means it, or can do nothing about it. */
bool access_is_told(struct accesses *a, u64 addr, u32 mask, ref_t stack, u32 site);
/* Where the memory is: equal for the same variable. */
u64 memory_place(const struct object_birth *b);
/* Fills what findings of two accesses have in common. */
void accesses_fill(struct finding_rec *f, struct thread *t, const struct object_birth *memory, u64 addr, u32 mask,
                   u32 kind, ref_t stack, u64 record);

#endif
