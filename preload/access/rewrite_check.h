/* The code of a check, and what it refers to. */
#ifndef SNARL_ACCESS_REWRITE_CHECK_H
#define SNARL_ACCESS_REWRITE_CHECK_H

#include "access/rewrite.h"
#include "access/rewrite_emit.h"

enum check_kind {
    CHECK_SMALL, /* 1, 2 or 4 bytes, anywhere in a granule */
    CHECK_WHOLE, /* 8: a granule */
    CHECK_WIDE,  /* 16, 32, 64: several */
    CHECK_CALL,  /* what is not to be told by a few instructions: always calls */
};

/* Where the code of checks finds things. TLS: offsets from the thread pointer. */
struct check_target {
    int32_t now;      /* u32: access_now */
    int32_t spare[3]; /* u16[8] each, for 1, 2 and 4 bytes: by the address within its granule, the bits that a slot may
                       * have or not (SLOT_ATOMIC where the bytes do not lie in one granule: then none fits) */
    int32_t saved[3]; /* u64: two registers and rax while a check uses them */
    int32_t address;  /* u64: for the slow path */
    u64 cells;        /* address of a u64 nearby: shadow_cells */
    u64 slow;         /* address of code nearby: gets the check's number on the stack, keeps every register and flag */
};

#define RED_ZONE 128

/* address: of a rip-relative operand. */
static inline enum check_kind check_kind(const struct insn *in, u64 address)
{
    if (in->memory != MEM_OPERAND || in->lock || in->segment || (in->what & OP_SOME_BYTES))
        return CHECK_CALL;
    switch (in->size) {
    case 1:
    case 2:
    case 4:
        return in->rip && address % 8 + in->size > 8 ? CHECK_CALL : CHECK_SMALL;
    case 8:
        return CHECK_WHOLE;
    case 16:
    case 32:
    case 64:
        return CHECK_WIDE;
    default:
        return CHECK_CALL;
    }
}

/* What is known where a check is to stand. */
struct check_site {
    u32 number; /* for the slow path */
    u16 live;   /* registers that it must keep */
    u8 flags_live;
    struct insn in; /* the access */
    u64 address;    /* of a rip-relative operand */
};

/* What has been written: as far as signals and faults in it must know. Offsets from the beginning of the hot code. */
struct check_code {
    u16 back; /* the check is done; what it has borrowed is given back from here on */
    u16 end;
    bool saves_flags;
    u8 spills;
};

/* Behind a locked instruction, once more with CHECK_AFTER in the number: what the check before has begun ends. */
#define CHECK_AFTER (1u << 30)
void check_emit_after(struct emit *hot, const struct check_target *to, u32 number)
    __attribute__((visibility("hidden")));

/* Writes the check's code to hot, and its way out to cold. */
void check_emit(struct emit *hot, struct emit *cold, const struct check_target *to, const struct check_site *site,
                struct check_code *out) __attribute__((visibility("hidden")));

#endif
