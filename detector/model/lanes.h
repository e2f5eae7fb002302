/* Lanes of the whole run: which are in use, which have ended and when; and the times that releases have in common when
 * the arena or the lanes are full. */
#ifndef SNARL_MODEL_LANES_H
#define SNARL_MODEL_LANES_H

#include "model/clock.h"

/* A lane for a thread that comes after all that `creator` knows, and its first time there. 0; LANE_FORCED: the creator
 * does not know the end of the last owner, so the new one has to take over the common times; -ENOMEM, -EAGAIN. Takes
 * RANK_THREADS. */
#define LANE_FORCED 1
int lane_take(const struct clock *creator, u32 *lane, u64 *first);
/* All that its owner knew is in the common times. Takes RANK_THREADS. */
void lane_give(u32 lane, u64 last);
/* Lanes from here on have never been used. */
u32 lanes_used(void);

/* The common times. Whoever adds to them or takes from them does so in one piece, between begin and end (RANK_ARENA):
 * nobody may learn a time without all that was known then. */
u64 common_begin(void);
void common_end(u64 mask);
/* NULL for a lane that has never been used. */
u64 *common_time(u32 lane);

#endif
