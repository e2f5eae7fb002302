/* Does the run hang, as a whole or in part? Looked at from outside, while it runs: what the program does costs no more for
 * it. */
#ifndef SNARL_HANG_HANG_H
#define SNARL_HANG_HANG_H

#include "base/types.h"

struct hang;

struct hang *hang_new(void);
/* To be called every now and then; mostly returns at once. The run's arena is mapped for writing. A set of threads that
 * wait only for one another becomes a finding, and --on-deadlock is done. */
void hang_look(struct hang *h);
/* For processes that were not watched until now, but that the arena knows: looks, waits, and looks again. What the arena
 * knows holds for those threads only that are in the call they were in when it was told: same() says which. */
typedef bool hang_same_fn(u32 tid, long call, const u64 argument[6]);
void hang_look_twice(hang_same_fn *same);
void hang_free(struct hang *h);

#endif
