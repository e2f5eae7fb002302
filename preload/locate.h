/* Where was this object born: the engine's `locate` hook. */
#ifndef SNARL_PRELOAD_LOCATE_H
#define SNARL_PRELOAD_LOCATE_H

#include "model/thread.h"

/* Fills region, module, offset, frame and alloc_* of a birth at addr, seen in the call whose frame is fp (as in
 * analyze/engine.h). Marks the heap block around addr, so that its end is noticed. Takes no lock of its own; stacks
 * are interned. */
void locate_birth(struct thread *t, u64 addr, const u64 *fp, struct object_birth *birth)
    __attribute__((visibility("hidden")));

/* The same for bytes that an access touches (the engine's `locate_access` hook): on the stack of the thread that created
 * this one, a frame counts that existed at the create, even if its function has returned. frame 0xffff: on some stack. */
void locate_access(struct thread *t, u64 addr, const u64 *fp, struct object_birth *birth)
    __attribute__((visibility("hidden")));

/* After engine_thread_create: keeps where the creator's stack frames end, so that a lock in one of them that the
 * child is the first to use can be named. */
void locate_thread_created(struct thread *child, const u64 *fp) __attribute__((visibility("hidden")));
/* For bytes of a shared mapping: what the program calls them (locate_shared.c). */
struct object_birth;
void locate_shared(u64 addr, struct object_birth *birth) __attribute__((visibility("hidden")));

#endif
