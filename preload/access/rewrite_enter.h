/* Between copies and the slow path of checks. */
#ifndef SNARL_ACCESS_REWRITE_ENTER_H
#define SNARL_ACCESS_REWRITE_ENTER_H

#include "access/rewrite_insn.h"

/* The program's registers, at the instruction whose check this is. Scratch registers of the check have lost what they
 * held, but no operand's. */
struct slow_frame {
    u64 flags;   /* RFLAGS */
    u64 reg[16]; /* by the numbers of rewrite_insn.h */
    u64 return_to;
    u64 number; /* of the check */
};

/* What arena_head.slow is: calls rewrite_slow, and gives everything back as it was. */
void rewrite_enter(void) __attribute__((visibility("hidden")));

/* Called from there. May not touch vector registers (they hold the program's values); where it must, it says true, and
 * is called once more as rewrite_slow_deep, which may. */
bool rewrite_slow(struct slow_frame *f) __attribute__((visibility("hidden")));
void rewrite_slow_deep(struct slow_frame *f) __attribute__((visibility("hidden")));

/* Before the first call. False: the processor or the system cannot save its extended state (XSAVE), so nothing may be
 * rewritten. */
bool rewrite_enter_start(void) __attribute__((visibility("hidden")));
/* Bytes that saving it takes. */
extern u64 rewrite_state_bytes __attribute__((visibility("hidden")));

#endif
