/* Which watched thread a pthread_t means at this moment. The C library reuses the values as soon as a thread is gone,
 * so they are no identity: an entry is replaced when a new thread gets the same value. Own memory, one lock
 * (RANK_PRELOAD). */
#ifndef SNARL_PRELOAD_THREAD_MAP_H
#define SNARL_PRELOAD_THREAD_MAP_H

#include <pthread.h>

#include "base/types.h"

/* The record of the thread, 0 when unknown. */
ref_t thread_map_get(pthread_t id) __attribute__((visibility("hidden")));
void thread_map_set(pthread_t id, ref_t thread) __attribute__((visibility("hidden")));
/* Forgets id if it still means this thread. */
void thread_map_drop(pthread_t id, ref_t thread) __attribute__((visibility("hidden")));

/* The lock itself: for fork (held across it), and for a section that includes a thread_map_set_locked. */
u64 thread_map_lock(void) __attribute__((visibility("hidden")));
void thread_map_unlock(u64 mask) __attribute__((visibility("hidden")));
void thread_map_set_locked(pthread_t id, ref_t thread) __attribute__((visibility("hidden")));

#endif
