/* Fibers: stacks that the program itself switches between. Each is a struct thread of its own.
 *
 * Handles are numbers with a generation, so that a stale or foreign one is known for what it is: whoever switches to it
 * is not watched until the next switch. 0 is nobody's handle. */
#ifndef SNARL_INTERCEPT_FIBER_H
#define SNARL_INTERCEPT_FIBER_H

#include "base/types.h"

#define FIBER_HIDDEN __attribute__((visibility("hidden")))

/* fp: frame of the function that the program called. lo, size: its stack, 0 if not known. 0 where snarl does not
 * watch. */
u64 fiber_create(u64 lo, u64 size, const u64 *fp) FIBER_HIDDEN;
u64 fiber_current(const u64 *fp) FIBER_HIDDEN;
void fiber_switch(u64 fiber, bool ordered, const u64 *fp) FIBER_HIDDEN;
void fiber_destroy(u64 fiber, const u64 *fp) FIBER_HIDDEN;
void fiber_name(u64 fiber, const char *name, const u64 *fp) FIBER_HIDDEN;

/* How many of the engine's live threads are fibers that no kernel thread stands for. */
long fiber_count(void) FIBER_HIDDEN;
/* The calling kernel thread ends, whichever fiber it runs. Returns what stands for the thread itself (as snarl_thread
 * would). Signals are blocked. */
struct thread;
struct thread *fiber_thread_end(void) FIBER_HIDDEN;
/* In the child: the fiber that has forked is its only thread now, all others are the parent's. */
void fiber_after_fork(void) FIBER_HIDDEN;

#endif
