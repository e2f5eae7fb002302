/* Where was this object born: the engine's `locate` hook. */
#ifndef SNARL_PRELOAD_LOCATE_H
#define SNARL_PRELOAD_LOCATE_H

#include "model/thread.h"

/* Fills region, module, offset, frame and alloc_* of a birth at addr (a region of REGION_STACK beforehand: in a frame that
 * has been left meanwhile, too), seen in the call whose frame is fp (as in
 * analyze/engine.h). Marks the heap block around addr, so that its end is noticed. Takes no lock of its own; stacks
 * are interned. */
void locate_birth(struct thread *t, u64 addr, const u64 *fp, struct object_birth *birth)
    __attribute__((visibility("hidden")));

/* After engine_thread_create: keeps where the creator's stack frames end, so that a lock in one of them that the
 * child is the first to use can be named. */
void locate_thread_created(struct thread *child, const u64 *fp) __attribute__((visibility("hidden")));

#endif
