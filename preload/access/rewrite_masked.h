/* Which bytes an instruction accesses whose elements are chosen by a mask, or lie where a vector says. */
#ifndef SNARL_ACCESS_REWRITE_MASKED_H
#define SNARL_ACCESS_REWRITE_MASKED_H

#include "access/rewrite_enter.h"

/* The instruction of such a check: its copy has another displacement, and the original is gone. */
struct masked_site {
    u32 site; /* of the module, ascending */
    u8 length;
    u8 code[INSN_LONGEST];
};

/* Bytes that follow each other. */
struct masked_run {
    u64 address;
    u32 bytes;
};
#define MASKED_RUNS 64u

static inline bool masked_is(const struct insn *in)
{
    return in->memory == MEM_VECTOR || in->memory == MEM_MASK_STORE || (in->what & OP_SOME_BYTES);
}

/* What it will access, by the registers in f and the extended state that XSAVE has written. operand: the address of its
 * operand; of a vector of addresses, what is the same for all of them. Returns how many runs. */
u32 masked_runs(const u8 *code, const struct insn *in, u64 operand, const struct slow_frame *f, const u8 *state,
                struct masked_run runs[MASKED_RUNS]) __attribute__((visibility("hidden")));

#endif
