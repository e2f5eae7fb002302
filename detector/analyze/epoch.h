/* Epochs: numbers of 22 bits, for a thread at a time of its own with a set of locks held.
 *
 * A cell's slot has room for a small number only; the table behind it says who that was and when. A thread takes a
 * number when it makes the first recorded access after a release (its time has moved on) or after an acquire (it holds
 * other locks). Numbers come in blocks that belong to one thread, so that "is it mine?" needs the block's owner only. */
#ifndef SNARL_ANALYZE_EPOCH_H
#define SNARL_ANALYZE_EPOCH_H

#include "base/types.h"

#define EPOCHS (1u << 22)
#define EPOCH_BLOCK 256u
#define EPOCHS_USED (EPOCHS - EPOCHS / 4) /* numbers above are those of sets (readers.h) */

struct epoch {
    u64 time; /* on `lane`, of the thread's clock (model/clock.h) */
    u32 lane;
    u32 number; /* of the thread, never used again */
    ref_t thread;
    ref_t hold; /* hold_rec: the locks held, innermost first; 0: none */
};

extern struct epoch *epochs __attribute__((visibility("hidden")));
extern u32 epoch_owner[EPOCHS / EPOCH_BLOCK] __attribute__((visibility("hidden"))); /* thread number by block */

int epoch_start(void);
/* First number of a fresh block for the thread of that number. 0: there is none left. */
u32 epoch_block(u32 number);
/* Everything begins anew: a forked child. */
void epoch_reset(void);

#endif
