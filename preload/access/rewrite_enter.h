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
/* state: what XSAVE has written, vector registers among it. */
void rewrite_slow_deep(struct slow_frame *f, const u8 *state) __attribute__((visibility("hidden")));

/* Before the first call. False: the processor or the system cannot save its extended state (XSAVE), so nothing may be
 * rewritten. */
bool rewrite_enter_start(void) __attribute__((visibility("hidden")));
/* Bytes that saving it takes. */
extern u64 rewrite_state_bytes __attribute__((visibility("hidden")));
/* Where in it: upper halves of YMM registers, mask registers, upper halves of the first ZMM registers, the others. */
struct state_places {
    u32 ymm_upper, masks, zmm_upper, zmm_high;
};
extern struct state_places rewrite_state_at __attribute__((visibility("hidden")));

#endif
