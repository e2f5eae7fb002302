/* Live heap blocks while accesses are watched: which block lies around an address, how large was it asked for, its
 * whole allocation stack, who allocated it. Unlike the notes (alloc_notes.h), which serve all other runs, nothing is
 * overwritten: what cannot be kept is refused, and the caller counts it.
 *
 * Used by intercept/alloc_watched.c on each allocation and by locate.c. The heap is cut into regions of 1 MiB; each
 * has a table of its own that grows with its blocks (16 bytes a block, at most half empty after it has grown), keyed by
 * where in the region a block begins. What lies around an address is found by looking backwards.
 *
 * Thread safety: one of 64 spin locks for each look-up, held for some ten instructions, never across a call out of
 * blocks.c but for memory from the kernel. A caller that may have interrupted a holder on its own thread (no thread
 * state, so nothing tells) must not wait: then a lock that stays busy is a refusal. */
#ifndef SNARL_PRELOAD_BLOCKS_H
#define SNARL_PRELOAD_BLOCKS_H

#include "base/types.h"

struct block {
    u64 base, size;
    ref_t stack;  /* allocation, interned; 0 unknown */
    u32 thread;   /* number of the allocating thread, 0 unknown */
    bool waiting; /* freed by the program, not yet by us (quarantine.h) */
};

/* Adds a block, in place of one with the same base. False: no memory, or busy and not to wait. */
bool blocks_put(const struct block *b, bool may_wait) __attribute__((visibility("hidden")));
/* Removes the block that begins at base. */
bool blocks_take(u64 base, struct block *out, bool may_wait) __attribute__((visibility("hidden")));
/* Marks the block that begins at base as waiting; false when it is not there. out: as it was. It needs not be removed:
 * when it has left the quarantine it is over. */
bool blocks_wait(u64 base, struct block *out, bool may_wait) __attribute__((visibility("hidden")));
/* The block around addr: a living one, or one that waits in the quarantine. */
bool blocks_find(u64 addr, struct block *out, bool may_wait) __attribute__((visibility("hidden")));

/* The block that the thread is about to free: on its way to the quarantine, or past it. */
extern __thread u64 blocks_ending __attribute__((tls_model("initial-exec"), visibility("hidden")));
/* Asked in the place of the quarantine; tests set it. */
extern bool (*blocks_held)(u64 base) __attribute__((visibility("hidden")));

/* Around a fork: no table is half written in the child. */
void blocks_before_fork(void) __attribute__((visibility("hidden")));
void blocks_after_fork(void) __attribute__((visibility("hidden")));

#endif
