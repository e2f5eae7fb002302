/* Freed heap blocks wait here for their real free, so that memory is not used again at once and a thread that still
 * uses a block is seen to do so. At most 1024 blocks of up to 1 KiB (256 of one thread), 32 of up to 16 KiB, 2 of up to
 * 128 KiB: 1.75 MiB. Larger ones do not come here. What one thread frees alone leaves first in, first out.
 *
 * Only while accesses are watched (intercept/alloc_watched.c). No locks, no allocation: each slot is exchanged
 * atomically, so a block is handed out once. */
#ifndef SNARL_PRELOAD_QUARANTINE_H
#define SNARL_PRELOAD_QUARANTINE_H

#include "base/types.h"

#define QUARANTINE_LARGEST (128u << 10)
#define QUARANTINE_FILTER 8192u

/* Takes in a block of at most QUARANTINE_LARGEST bytes. Returns one whose time is over, or 0. */
u64 quarantine_put(u64 addr, u64 size) __attribute__((visibility("hidden")));
/* Is this block here? The filter answers for many: true also for some that are not. */
bool quarantine_holds(u64 addr) __attribute__((visibility("hidden")));
void quarantine_filter(u64 bits[QUARANTINE_FILTER / 64]) __attribute__((visibility("hidden")));
bool quarantine_may_hold(const u64 *filter, u64 addr) __attribute__((visibility("hidden")));
/* Takes this block out again; false when it is not here. */
bool quarantine_take(u64 addr) __attribute__((visibility("hidden")));
/* Takes out any one, 0 when there is none: memory is short. */
u64 quarantine_any(void) __attribute__((visibility("hidden")));

#endif
