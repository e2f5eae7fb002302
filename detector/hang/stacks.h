/* Stacks of threads that stand still, read from outside. */
#ifndef SNARL_HANG_STACKS_H
#define SNARL_HANG_STACKS_H

#include "inspect/subject.h"
#include "model/stack.h"
#include "snapshot.h"

/* Not in the arena yet: a frame of Python's is FRAME_PYTHON | its index in `python`. */
struct outside_stack {
    u64 frame[STACK_MAX_FRAMES];
    u32 n;
    bool cut;
    struct python_frame *python; /* [npython] */
    u32 npython;
};

/* For each thread of `part` whose wait has no stack in the arena; out: [nthreads], zeroed before. doomed: the processes are
 * going to be ended, so their system calls may end, too. */
void stacks_read(const struct snapshot *s, const bool *part, bool doomed, struct outside_stack *out);
void stacks_free(struct outside_stack *all, u32 n);

#endif
