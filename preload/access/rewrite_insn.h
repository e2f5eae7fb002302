/* One machine instruction, decoded: its parts, and what it does to registers, flags and memory as far as rewriting must
 * know. Pure: bytes in, facts out; allocates nothing, takes no lock. */
#ifndef SNARL_ACCESS_REWRITE_INSN_H
#define SNARL_ACCESS_REWRITE_INSN_H

#include "access/rewrite_opcode.h"

#define INSN_LONGEST 15u
#define REG_NONE 16u

/* General registers by their numbers in encodings. */
enum { RAX, RCX, RDX, RBX, RSP, RBP, RSI, RDI, R8, R9, R10, R11, R12, R13, R14, R15 };
#define REG_BIT(r) ((r) < REG_NONE ? 1u << (r) : 0u)
#define REGS_ALL 0xffffu

struct insn {
    u8 length;
    u8 flow;               /* FLOW_* */
    u8 memory;             /* MEM_* */
    u8 opcode_at;          /* where its last opcode byte is */
    u8 disp_at, disp_size; /* the operand's displacement; size 0: none */
    u8 imm_at, imm_size;

    /* ModRM's memory operand: valid when has_operand. */
    bool has_operand;
    bool rip;        /* relative to the end of the instruction; no base and index then */
    bool address_32; /* computed in 32 bits */
    u8 segment;      /* 0, or the prefix byte of fs or gs */
    u8 base, index;  /* REG_NONE: none. Not the index of MEM_VECTOR */
    u8 shift;        /* of the index */
    int64_t disp;    /* also MEM_ABSOLUTE's address */

    bool lock;      /* atomic: by prefix, or xchg */
    u8 rep;         /* 0, F3 or F2 */
    u8 element;     /* of OP_SOME_BYTES: bytes of each element in memory, */
    u8 bits;        /* and how many bits of the mask count */
    u16 size;       /* bytes of an access, 0 not known */
    u16 what;       /* OP_* */
    int64_t target; /* relative to the end of the instruction */

    u16 reads, writes; /* registers, bits; writes: any part */
    u16 wholes;        /* of which nothing is left afterwards */
    u8 flags_read, flags_written;
};

/* Decodes what stands at code, of which n bytes may be read. False: no instruction that rewriting knows. */
bool insn_decode(const u8 *code, u64 n, struct insn *in) __attribute__((visibility("hidden")));

#endif
