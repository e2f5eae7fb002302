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

#define KNOWN 1024u
#define SITE_MEMO 256u
#define INSTRUCTION_MEMO_BITS 10
#define INSTRUCTION_MEMO (1u << INSTRUCTION_MEMO_BITS)
#define MERGE_MEMO 128u
#define PENDING 4u
#define SET_MEMO 64u
#define STEP_MEMO 64u
#define HOLD_MEMO 64u
#define REPORTED 64u
#define TOLD_PLACES 64u
#define PLACES_TOLD 16u
#define RELAXED_READS 64u

/* In `ignored`: a recycling cycle is, or was, under way: only the slow path knows what to do (recycle.h). */
#define ACCESS_DETOUR (1u << 31)

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
    u64 barrier;    /* key of the barrier it has arrived at last */
    u32 concurrent; /* an epoch that is not: true until the next acquire */
    /* Epochs that are before everything this thread does from now on: true as long as the number means the same. */
    u32 known[KNOWN];
    struct {
        ref_t stack;
        u32 site;
    } sites[SITE_MEMO];
    struct instruction_memo {
        u64 pc, context, sp; /* pc 0: being written, or empty */
        u32 site;
        ref_t stack;
    } instructions[INSTRUCTION_MEMO];
    struct {
        u32 site, masks;
        ref_t stack;
        u32 merged;
    } merges[MERGE_MEMO];
    struct {
        ref_t outer, lock, stack, hold;
        u32 mode;
    } holds[HOLD_MEMO];
    u64 races; /* met, told or not */
    u64 reported[REPORTED];
    struct told_places {
        u64 key, n;
    } places[TOLD_PLACES];
    u32 npending;
    struct pending { /* an access that a cell has no room for yet (access.c) */
        u64 granule;
        u32 slot, word;
    } pending[PENDING];
    struct crowd_spares crowds;
    bool locked;         /* locks are held in this epoch, and lost updates are looked for */
    struct weak *weak;   /* weak.h; NULL: off */
    u32 wrote, writes;   /* the last epoch with a write that counts for its sections, or without locks; how many */
    u32 open_first;      /* the first epoch of this block since locks are held without a break; 0: none */
    struct pairs *pairs; /* atomicity.h; NULL before the first acquire */
    /* What an access makes of a cell: in a loop the same for one granule after the other. */
    struct step_memo {
        u64 cell, words;
        u32 slot, site, waiting, waiting_word;
        u64 new_cell, new_words;
        u32 new_waiting, new_waiting_word;
        bool own;
    } steps[STEP_MEMO];
    struct set_memo {
        u32 from, to; /* slots */
        u32 epoch;    /* of the thread */
        u32 mask, site;
    } sets[SET_MEMO];
    struct crowd_slot scratch[CROWD_MAX + 2], members[READERS_MAX + 1], moved[READERS_MAX];
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
/* Gives back the crowds of cells that are about to be cleared. */
void crowds_end(struct accesses *a, u64 addr, u64 size);

/* LUCKY: before, but only because locks happened to be taken in this order (weak.h). */
enum relation { SAME_EPOCH, BEFORE, LUCKY, UNORDERED };
enum relation epoch_relation_slow(struct accesses *a, u32 epoch);
static inline enum relation epoch_relation(struct accesses *a, u32 epoch)
{
    if (epoch_owner[epoch / EPOCH_BLOCK] == a->number)
        return epoch >= a->first && epoch <= a->epoch ? SAME_EPOCH : BEFORE;
    if (a->known[epoch % KNOWN] == epoch)
        return BEFORE;
    return epoch_relation_slow(a, epoch);
}

/* What the thread does from now on is later than what it has let others know (ticked), or done with other locks held:
 * the next recorded access takes a new epoch. */
static inline struct set_memo *set_memo(struct accesses *a, u32 from, u32 mask)
{
    return &a->sets[(from >> SLOT_EPOCH_SHIFT ^ mask * 5) % SET_MEMO];
}
/* Before the clock learns or ticks, and before the shadow is looked at in any other way. */
void accesses_flush_slow(struct thread *t, struct accesses *a);
static inline void accesses_flush(struct thread *t, struct accesses *a)
{
    if (snarl_unlikely(a->npending))
        accesses_flush_slow(t, a);
}
/* The thread has learned of others' pasts. */
static inline void accesses_learned(struct accesses *a)
{
    a->concurrent = 0;
}
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
/* `slot` of the granule at addr, made at site, and t's access now touch the same bytes in no order. */
typedef void found_fn(struct thread *t, struct accesses *a, u64 addr, u32 mask, u32 kind, ref_t stack, const u64 *fp,
                      u32 slot, u32 site);
found_fn race_found;
/* Nothing else is to be told of: another finding says so, or the program means it. */
bool access_is_told(struct accesses *a, u64 addr, u32 mask, ref_t stack, u32 site);
/* Where the memory is: equal for the same variable. */
u64 memory_place(const struct object_birth *b);
/* Fills what findings of two accesses have in common. */
void accesses_fill(struct finding_rec *f, struct thread *t, const struct object_birth *memory, u64 addr, u32 mask,
                   u32 kind, ref_t stack, u32 slot, u32 site);

#endif
