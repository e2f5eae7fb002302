/* What rewriting must know of an opcode, and how the table of them is indexed. The table is made while building by
 * preload/opcodes, which asks Zydis; the decoder (rewrite_decode.c) reads it. Both include this file. Pure.
 *
 * An opcode's facts depend on some of what surrounds it: prefixes, REX.W, the register field of ModRM and so on, its
 * dimensions. A row of the table says which of them matter; the facts of its cases follow each other, the first
 * dimension moving fastest.
 *
 *     rows[encoding and map][opcode] = {which dimensions, first}
 *     cases[first + d0 + n0 * (d1 + n1 * ...)] = number of an entry of facts[] */
#ifndef SNARL_ACCESS_REWRITE_OPCODE_H
#define SNARL_ACCESS_REWRITE_OPCODE_H

#include "base/types.h"

/* Where an opcode byte stands: legacy maps 0 to 3 (none, 0F, 0F38, 0F3A), VEX maps 1 to 3, EVEX maps 1 to 6. */
enum opcode_map {
    MAP_LEGACY = 0,
    MAP_VEX = 3,  /* + map */
    MAP_EVEX = 6, /* + map */
    MAPS = 13
};

/* Dimensions and how many cases each has. PREFIX: of legacy opcodes operand size (66) + 2 * (none, F3, F2); of the
 * others the prefix field. FORM: 0 for memory, 1 for a register. */
#define OPCODE_DIMENSIONS(X)                                                                                           \
    X(FORM, 2)                                                                                                         \
    X(REG, 8)                                                                                                          \
    X(RM, 8)                                                                                                           \
    X(PREFIX, 6)                                                                                                       \
    X(WIDE, 2)                                                                                                         \
    X(LENGTH, 4)                                                                                                       \
    X(BROADCAST, 2)                                                                                                    \
    X(MASKED, 2)
enum opcode_dimension {
#define X(name, n) DIM_##name,
    OPCODE_DIMENSIONS(X)
#undef X
        DIMS
};

struct opcode_row {
    u16 dims; /* bits */
    u32 first;
};

/* How an instruction uses a general register that its encoding names. */
enum {
    USE_READ = 1,
    USE_WRITE = 2,
    USE_WHOLE = 4, /* all 64 bits are written whatever happens: nothing of the old value is left */
    USE_BYTE = 8,  /* an 8-bit register: without REX 4 to 7 are AH, CH, DH, BH */
};

/* Where execution goes on. */
enum opcode_flow {
    FLOW_NEXT,
    FLOW_JUMP,          /* to a relative target */
    FLOW_BRANCH,        /* there or on */
    FLOW_LOOP,          /* the same, with an 8-bit displacement only: jrcxz, loop */
    FLOW_CALL,          /* relative */
    FLOW_CALL_INDIRECT, /* through a register or memory */
    FLOW_JUMP_INDIRECT,
    FLOW_RETURN,
    FLOW_STOP, /* traps: ud2, hlt */
};

/* What memory it accesses, beside what calls, returns and push and pop do on the stack. */
enum opcode_memory {
    MEM_NONE,       /* the operand's address only, if there is one: lea, nop, prefetches */
    MEM_OPERAND,    /* ModRM's */
    MEM_STRING_SRC, /* [rsi], moves on */
    MEM_STRING_DST, /* [rdi], moves on */
    MEM_STRING_TWO, /* both: movs (reads rsi, writes rdi) and cmps (reads both) */
    MEM_ABSOLUTE,   /* a 64-bit address in the code */
    MEM_TABLE,      /* xlat: [rbx + al] */
    MEM_MASK_STORE, /* maskmovdqu: bytes of [rdi] */
    MEM_VECTOR,     /* gather and scatter */
    MEM_OTHER       /* which memory is not to be told before: xsave, bt with a register, tiles, two operands */
};

enum {
    OP_VALID = 1,
    OP_MODRM = 2,
    OP_BARRED = 4,   /* the function that has it is left alone */
    OP_MEM_READ = 8, /* the access of `memory` */
    OP_MEM_WRITE = 16,
    OP_LOCKED = 32,      /* atomic without a prefix: xchg with memory */
    OP_SAME_ZERO = 64,   /* with twice the same register it reads none: xor, sub */
    OP_SOME_BYTES = 128, /* a mask chooses elements of the operand */
    OP_COUNT_CL = 256,   /* shifts by cl: with a count of 0 no flag changes */
    OP_COUNT_IMM = 512,  /* the same by an immediate */
    OP_REPEATS = 1024,   /* string instruction with rep */
    OP_ALL_READ = 2048,  /* counts as reading every register and flag: system calls, interrupts */
    OP_PACKED = 8192,    /* as many elements as the mask has, side by side: compress, expand */
    OP_STACK = 4096,     /* moves the stack pointer by itself: push, pop, call, leave ... */
};

struct opcode_facts {
    u16 what; /* OP_* */
    u8 flow, memory;
    u8 immediate;                 /* bytes of immediates, of a relative target too */
    u8 disp8_shift;               /* EVEX: an 8-bit displacement counts units of 1 << this */
    u16 size;                     /* of each element that is accessed at a time, bytes; 0: not known */
    u8 element;                   /* of OP_SOME_BYTES: bytes of each element in memory */
    u8 bits;                      /* of OP_SOME_BYTES: of the mask that count; more than elements: they are broadcast */
    u8 reg, rm, opcode_reg, vvvv; /* USE_* of the registers that these fields name, 0 for none */
    u16 reads, writes, wholes;    /* fixed registers beside them, bits; wholes: as USE_WHOLE */
    u8 flags_read, flags_written; /* FLAG_* */
};

enum { FLAG_CF = 1, FLAG_PF = 2, FLAG_AF = 4, FLAG_ZF = 8, FLAG_SF = 16, FLAG_OF = 32, FLAGS_ALL = 63 };

extern const struct opcode_row opcode_rows[MAPS][256] __attribute__((visibility("hidden")));
extern const u16 opcode_cases[] __attribute__((visibility("hidden")));
extern const struct opcode_facts opcode_facts[] __attribute__((visibility("hidden")));

#endif
