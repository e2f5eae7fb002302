/* Numbers of epochs and of sets of readers serve again (recycle.c; what is chosen and moved: recycle_move.c).
 *
 * A cycle: count which numbers the shadow still refers to; condemn the used-up blocks that have the fewest; wait until
 * every thread that was inside the engine by then has left it; give what refers to a condemned number another one of the
 * same meaning, all over the shadow (or drop it, where all living threads know of it); wait for those who were inside
 * again; then the blocks are free. Meanwhile threads go on, by the slow path alone (ACCESS_DETOUR), which replaces the
 * condemned numbers that it meets. Nobody waits for the thread that does this; it gives up for now when a thread does
 * not leave, and whoever next needs numbers goes on.
 *
 * Sets of readers all move: their numbers are in two halves, used in turn.
 *
 * When more is alive than there are numbers, the oldest are forgotten, counted as LOSS_epochs_reused. */
#ifndef SNARL_ANALYZE_RECYCLE_H
#define SNARL_ANALYZE_RECYCLE_H

#include "analyze/accesses.h"

extern u32 recycle_cycle __attribute__((visibility("hidden"))); /* odd: there are condemned numbers */

/* Forgets what the thread's tables say of numbers that may serve again. */
SNARL_COLD void recycle_notice(struct accesses *a);
/* At the start of every visit to the shadow in the slow path, inside (thread.h), behind epoch_begin. */
static inline void recycle_visit(struct accesses *a)
{
    if (snarl_unlikely(a->cycle != __atomic_load_n(&recycle_cycle, __ATOMIC_ACQUIRE)))
        recycle_notice(a);
}
/* Between visits: numbers run low, or a cycle is to be gone on with. Not while the thread looks at the shadow. */
void recycle_try(struct accesses *a);
bool recycle_wanted(void);

/* What this record, met in the shadow, is called now; 0: it no longer matters. Only while a->cycle is odd. */
u64 recycle_record(struct accesses *a, u64 record);

/* The state is that of a living thread. */
void recycle_join(struct accesses *a);
/* All states there have been, through next_state. */
const struct accesses *recycle_states(void);
/* Around the copying of a clock for a new thread. */
void recycle_thread_begins(void);
void recycle_thread_begun(void);
/* In a forked child: no other thread, nothing under way. */
void recycle_forked(void);

/* ---- recycle_move.c; for recycle.c ---- */
bool move_start(void);
/* Chooses what to condemn; false: nothing is worth it. */
bool move_choose(struct accesses *a);
void move_condemn(void);
/* All over the shadow. */
void move_all(struct accesses *a);
void move_finish(void);
/* There is so much memory in use that cycles are to be rare. */
bool move_costs_much(void);
void move_forked(void);
/* Up to which time of a lane all living threads know, by lane; recycle.c. */
extern u64 *recycle_floor __attribute__((visibility("hidden")));

#endif
