/* Modules and stacks of a subject, as the engine has those of a run. */
#ifndef SNARL_INSPECT_FEED_STACK_H
#define SNARL_INSPECT_FEED_STACK_H

#include "base/arena.h"
#include "python.h"
#include "subject.h"

/* Once per process of snarl, after engine_start. */
void feed_modules(const struct subject *s);
/* From the call into the C library outwards; skipped: how many frames lie before that. */
ref_t feed_stack(const struct subject *s, const struct subject_thread *t, u32 *skipped);
/* Where a lock of Python's was taken. */
ref_t feed_stack_of_hold(const struct subject *s, const struct python_hold *h);
/* A py_frame in the arena; 0: there is no room. */
ref_t feed_python_frame(const struct python_frame *f, u32 line);

#endif
