/* Epochs: numbers of 22 bits, for a thread at a time of its own with a set of locks held.
 *
 * A cell's slot has room for a small number only; the table behind it says who that was and when. A thread takes a
 * number when it makes the first recorded access after a release (its time has moved on) or after an acquire (it holds
 * other locks). Numbers come in blocks that belong to one thread, so that "is it mine?" needs the block's owner only.
 * Blocks that are used up serve again when nothing refers to their numbers any more (recycle.h). */
#ifndef SNARL_ANALYZE_EPOCH_H
#define SNARL_ANALYZE_EPOCH_H

#include "base/types.h"

#define EPOCHS (1u << 22)
#define EPOCH_BLOCK 256u
#define EPOCHS_USED (EPOCHS - EPOCHS / 4) /* numbers above are those of sets (readers.h) */
#define EPOCH_BLOCKS (EPOCHS_USED / EPOCH_BLOCK)
#define EPOCH_MIXED ~0u /* owner of a block with numbers of several threads, all past */

struct epoch {
    u64 time; /* on `lane`, of the thread's clock (model/clock.h) */
    u32 lane;
    u32 number; /* of the thread, never used again */
    ref_t thread;
    ref_t hold; /* hold_rec: the locks held, innermost first; 0: none */
    u64 end;    /* with hold: when the last of them was released; 0: not yet, or not known. Atomic. */
};

enum epoch_block_state {
    BLOCK_FREE = 0,
    BLOCK_CURRENT,   /* a thread takes numbers from it */
    BLOCK_FULL,      /* no more numbers are taken from it */
    BLOCK_CONDEMNED, /* its numbers are being replaced */
};
struct epoch_block {
    u8 state;
    u32 age; /* less: taken earlier */
};

extern struct epoch *epochs __attribute__((visibility("hidden")));
extern u32 epoch_owner[EPOCHS / EPOCH_BLOCK] __attribute__((visibility("hidden"))); /* thread number by block */
extern struct epoch_block epoch_blocks[EPOCH_BLOCKS] __attribute__((visibility("hidden")));
/* Blocks that serve at present: few at first, so that their table stays small; more as recycling finds most of them in
 * use, or too much memory to look through for so few. */
extern u32 epoch_limit __attribute__((visibility("hidden")));
extern u32 epoch_most __attribute__((visibility("hidden"))); /* tests lower it */
#define EPOCH_BLOCKS_FIRST 1024u

int epoch_start(void);
/* A free block for the thread of that number, 0: there is none. Block 0 is never one: number 0 is "no access". */
u32 epoch_block_take(u32 number);
void epoch_block_give(u32 block);
/* A quarter more serve from now on, if there are. */
void epoch_limit_raise(void);
u32 epoch_blocks_free(void);
static inline void epoch_block_full(u32 block)
{
    __atomic_store_n(&epoch_blocks[block].state, BLOCK_FULL, __ATOMIC_RELEASE);
}
/* Everything begins anew: a forked child. */
void epoch_reset(void);

#endif
