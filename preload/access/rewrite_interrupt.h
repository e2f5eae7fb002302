/* What a signal handler is shown of a thread that was interrupted in a copy: the state that the original would have. */
#ifndef SNARL_ACCESS_REWRITE_INTERRUPT_H
#define SNARL_ACCESS_REWRITE_INTERRUPT_H

#include "access/rewrite_check.h"
#include "access/rewrite_map.h"

struct interrupted {
    u64 reg[16]; /* by the numbers of rewrite_insn.h */
    u64 flags;
    u64 pc;
};

/* Rolls the thread back to before the instruction that has not been executed yet, with the checks that stand before it:
 * pc is the original's, and registers that were borrowed have their values. `tls` is the thread's thread pointer. With
 * that state it can go on at *resume. False: pc is not in this module's copies; nothing has changed. Signal handlers. */
bool interrupt_roll_back(const struct rewrite_map *m, const struct check_target *to, u64 tls, struct interrupted *s,
                         u64 *resume) __attribute__((visibility("hidden")));

#endif
