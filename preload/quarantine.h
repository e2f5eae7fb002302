/* Freed heap blocks wait here for their real free, so that memory is not used again at once and a thread that still
 * uses a block is seen to do so. A first-in-first-out queue of at most 256 blocks and some 1 MiB; larger blocks do not
 * come here.
 *
 * Only while accesses are watched (intercept/alloc_watched.c). No locks, no allocation: each slot is exchanged
 * atomically, so a block is handed out once. */
#ifndef SNARL_PRELOAD_QUARANTINE_H
#define SNARL_PRELOAD_QUARANTINE_H

#include "base/types.h"

#define QUARANTINE_LARGEST (128u << 10)
#define QUARANTINE_OUT 16u

/* Takes in a block of at most QUARANTINE_LARGEST bytes, aligned to 8. out gets those whose time is over. */
u32 quarantine_put(u64 addr, u64 size, u64 out[QUARANTINE_OUT]) __attribute__((visibility("hidden")));
/* Takes this block out again; false when it is not here. */
bool quarantine_take(u64 addr) __attribute__((visibility("hidden")));
/* Takes out any one, 0 when there is none: memory is short. */
u64 quarantine_any(void) __attribute__((visibility("hidden")));

#endif
