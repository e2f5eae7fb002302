/* The decoder's answers on single instructions: what compilers emit, and the corners that the table cannot hold. */
#include "unit.h"

#include "access/rewrite_insn.h"

#define CODE(...) (const u8[]){__VA_ARGS__}, sizeof((const u8[]){__VA_ARGS__})

static struct insn decoded(const u8 *code, u64 n)
{
    struct insn in;
    CU_ASSERT_TRUE_FATAL(insn_decode(code, n, &in));
    CU_ASSERT_EQUAL(in.length, n);
    return in;
}

static bool refused(const u8 *code, u64 n)
{
    struct insn in;
    return !insn_decode(code, n, &in);
}

static void operands(void)
{
    struct insn in = decoded(CODE(0x8b, 0x44, 0x8b, 0xfc)); /* mov eax, [rbx + rcx * 4 - 4] */
    CU_ASSERT_TRUE(in.has_operand && in.memory == MEM_OPERAND && in.size == 4);
    CU_ASSERT_TRUE(in.base == RBX && in.index == RCX && in.shift == 2 && in.disp == -4);
    CU_ASSERT_EQUAL(in.what & (OP_MEM_READ | OP_MEM_WRITE), OP_MEM_READ);
    CU_ASSERT_TRUE(in.reads == (1 << RBX | 1 << RCX) && in.writes == 1 << RAX && in.wholes == 1 << RAX);

    in = decoded(CODE(0x48, 0x01, 0x05, 0x10, 0, 0, 0)); /* add [rip + 16], rax */
    CU_ASSERT_TRUE(in.rip && in.disp == 16 && in.disp_at == 3 && in.size == 8);
    CU_ASSERT_EQUAL(in.what & (OP_MEM_READ | OP_MEM_WRITE), OP_MEM_READ | OP_MEM_WRITE);
    CU_ASSERT_TRUE(in.flags_written == FLAGS_ALL && in.flags_read == 0 && in.writes == 0);

    in = decoded(CODE(0x64, 0x48, 0x8b, 0x04, 0x25, 0x28, 0, 0, 0)); /* mov rax, fs:[0x28] */
    CU_ASSERT_TRUE(in.segment == 0x64 && in.base == REG_NONE && in.index == REG_NONE && in.disp == 0x28);

    in = decoded(CODE(0xf0, 0x4d, 0x0f, 0xb1, 0x0c, 0x24)); /* lock cmpxchg [r12], r9 */
    CU_ASSERT_TRUE(in.lock && in.base == R12 && in.size == 8 && (in.what & OP_MEM_WRITE));
    CU_ASSERT_TRUE((in.reads & (1 << RAX | 1 << R9 | 1 << R12)) == (1 << RAX | 1 << R9 | 1 << R12));
    CU_ASSERT_FALSE(in.wholes & 1 << RAX);

    CU_ASSERT_TRUE(decoded(CODE(0x87, 0x07)).lock);  /* xchg [rdi], eax */
    CU_ASSERT_FALSE(decoded(CODE(0x87, 0xc7)).lock); /* xchg edi, eax */
    CU_ASSERT_TRUE(decoded(CODE(0x67, 0x8b, 0x07)).address_32);
    CU_ASSERT_EQUAL(decoded(CODE(0xa1, 1, 2, 3, 4, 5, 6, 7, 8)).disp, 0x0807060504030201); /* mov eax, [...] */
}

static void no_access(void)
{
    CU_ASSERT_EQUAL(decoded(CODE(0x48, 0x8d, 0x47, 8)).memory, MEM_NONE);    /* lea */
    CU_ASSERT_EQUAL(decoded(CODE(0x0f, 0x1f, 0x44, 0, 0)).memory, MEM_NONE); /* nop [rax + rax] */
    CU_ASSERT_EQUAL(decoded(CODE(0x0f, 0x18, 0x0f)).memory, MEM_NONE);       /* prefetcht0 */
    CU_ASSERT_EQUAL(decoded(CODE(0xf3, 0x0f, 0x1e, 0xfa)).memory, MEM_NONE); /* endbr64 */
    CU_ASSERT_EQUAL(decoded(CODE(0x50)).memory, MEM_NONE);                   /* push rax: the stack */
    CU_ASSERT_TRUE(decoded(CODE(0x50)).writes & 1 << RSP);
}

static void registers(void)
{
    struct insn in = decoded(CODE(0x31, 0xc0)); /* xor eax, eax */
    CU_ASSERT_TRUE(in.reads == 0 && in.wholes == 1 << RAX);
    in = decoded(CODE(0x29, 0xd8)); /* sub eax, ebx */
    CU_ASSERT_TRUE(in.reads == (1 << RAX | 1 << RBX));
    in = decoded(CODE(0x83, 0xed, 1)); /* sub ebp, 1: the register field is 5, too */
    CU_ASSERT_TRUE(in.reads == 1 << RBP);
    in = decoded(CODE(0x88, 0xe3)); /* mov bl, ah */
    CU_ASSERT_TRUE(in.reads == 1 << RAX && in.writes == 1 << RBX && in.wholes == 0);
    in = decoded(CODE(0x40, 0x88, 0xe3)); /* mov bl, spl */
    CU_ASSERT_EQUAL(in.reads, 1 << RSP);
    in = decoded(CODE(0x66, 0x89, 0xc3)); /* mov bx, ax */
    CU_ASSERT_TRUE(in.writes == 1 << RBX && in.wholes == 0);
    in = decoded(CODE(0x0f, 0x44, 0xc3)); /* cmove eax, ebx */
    CU_ASSERT_TRUE((in.reads & 1 << RAX) && in.wholes == 0 && in.flags_read == FLAG_ZF);
    in = decoded(CODE(0x0f, 0xbc, 0xc3)); /* bsf eax, ebx: keeps eax when ebx is 0 */
    CU_ASSERT_TRUE((in.reads & 1 << RAX) && in.wholes == 0);
    in = decoded(CODE(0x49, 0x90)); /* xchg r8, rax */
    CU_ASSERT_EQUAL(in.writes, 1 << R8 | 1 << RAX);
    in = decoded(CODE(0xc4, 0xe2, 0xf3, 0xf6, 0xc3)); /* mulx rax, rcx, rbx */
    CU_ASSERT_EQUAL(in.wholes, 1 << RAX | 1 << RCX);
    CU_ASSERT_EQUAL(in.reads, 1 << RDX | 1 << RBX);
    CU_ASSERT_EQUAL(decoded(CODE(0x0f, 0x05)).reads, REGS_ALL); /* syscall */
}

static void flags(void)
{
    CU_ASSERT_EQUAL(decoded(CODE(0xd3, 0xe0)).flags_written, 0);                                /* shl eax, cl */
    CU_ASSERT_EQUAL(decoded(CODE(0xc1, 0xe0, 0x20)).flags_written, 0);                          /* shl eax, 32 */
    CU_ASSERT_EQUAL(decoded(CODE(0xc1, 0xe0, 4)).flags_written & (FLAG_CF | FLAG_OF), FLAG_CF); /* OF is undefined */
    CU_ASSERT_TRUE(decoded(CODE(0x48, 0xc1, 0xe0, 0x20)).flags_written & FLAG_CF);
    CU_ASSERT_TRUE(decoded(CODE(0xd1, 0xe0)).flags_written & FLAG_CF);
    CU_ASSERT_EQUAL(decoded(CODE(0xff, 0xc0)).flags_written, FLAGS_ALL & ~FLAG_CF); /* inc */
    CU_ASSERT_EQUAL(decoded(CODE(0xf3, 0xa6)).flags_written, 0);                    /* repe cmpsb: rcx may be 0 */
    CU_ASSERT_EQUAL(decoded(CODE(0x9c)).flags_read, FLAGS_ALL);                     /* pushf */
    CU_ASSERT_EQUAL(decoded(CODE(0x77, 0)).flags_read, FLAG_CF | FLAG_ZF);          /* ja */
}

static void flow(void)
{
    struct insn in = decoded(CODE(0xe8, 0xfb, 0xff, 0xff, 0xff));
    CU_ASSERT_TRUE(in.flow == FLOW_CALL && in.target == -5);
    in = decoded(CODE(0x75, 0x10));
    CU_ASSERT_TRUE(in.flow == FLOW_BRANCH && in.target == 0x10);
    in = decoded(CODE(0x0f, 0x84, 0, 1, 0, 0));
    CU_ASSERT_TRUE(in.flow == FLOW_BRANCH && in.target == 0x100 && in.opcode_at == 1);
    CU_ASSERT_EQUAL(decoded(CODE(0xe3, 2)).flow, FLOW_LOOP);
    CU_ASSERT_EQUAL(decoded(CODE(0xff, 0xe0)).flow, FLOW_JUMP_INDIRECT);
    CU_ASSERT_EQUAL(decoded(CODE(0x3e, 0xff, 0x24, 0xc5, 0, 0, 0, 0)).flow, FLOW_JUMP_INDIRECT);
    CU_ASSERT_EQUAL(decoded(CODE(0xff, 0x55, 0xf8)).flow, FLOW_CALL_INDIRECT);
    CU_ASSERT_EQUAL(decoded(CODE(0xc3)).flow, FLOW_RETURN);
    CU_ASSERT_EQUAL(decoded(CODE(0x0f, 0x0b)).flow, FLOW_STOP);
    CU_ASSERT_TRUE(decoded(CODE(0xc7, 0xf8, 0, 0, 0, 0)).what & OP_BARRED); /* xbegin */
}

static void vectors(void)
{
    struct insn in = decoded(CODE(0xc5, 0xfe, 0x6f, 0x46, 0x20)); /* vmovdqu ymm0, [rsi + 32] */
    CU_ASSERT_TRUE(in.size == 32 && in.base == RSI && in.disp == 32);
    in = decoded(CODE(0x62, 0xf1, 0x7c, 0x48, 0x10, 0x47, 1)); /* vmovups zmm0, [rdi + 64] */
    CU_ASSERT_TRUE(in.size == 64 && in.base == RDI && in.disp == 64);
    in = decoded(CODE(0x62, 0xf1, 0x7c, 0x58, 0x58, 0x47, 1)); /* vaddps zmm0, zmm0, [rdi + 4]{1to16} */
    CU_ASSERT_TRUE(in.size == 4 && in.disp == 4);
    in = decoded(CODE(0x62, 0xf1, 0x7c, 0x49, 0x11, 0x07)); /* vmovups [rdi]{k1}, zmm0 */
    CU_ASSERT_TRUE(in.what & OP_SOME_BYTES);
    in = decoded(CODE(0xc4, 0xe2, 0x6d, 0x92, 0x04, 0x8f)); /* vgatherdps ymm0, [rdi + ymm1 * 4], ymm2 */
    CU_ASSERT_TRUE(in.memory == MEM_VECTOR && in.base == RDI && in.index == REG_NONE && in.size == 4);
    CU_ASSERT_EQUAL(decoded(CODE(0x0f, 0x11, 0x07)).size, 16);          /* movups */
    CU_ASSERT_EQUAL(decoded(CODE(0xdb, 0x2f)).size, 10);                /* fld tbyte [rdi] */
    CU_ASSERT_EQUAL(decoded(CODE(0x0f, 0xa3, 0x07)).memory, MEM_OTHER); /* bt [rdi], eax */
}

static void strings(void)
{
    struct insn in = decoded(CODE(0xf3, 0x48, 0xab)); /* rep stosq */
    CU_ASSERT_TRUE(in.memory == MEM_STRING_DST && in.rep == 0xf3 && in.size == 8 && (in.what & OP_MEM_WRITE));
    CU_ASSERT_TRUE((in.reads & (1 << RCX | 1 << RDI)) == (1 << RCX | 1 << RDI) && (in.writes & 1 << RCX));
    in = decoded(CODE(0xa4)); /* movsb */
    CU_ASSERT_TRUE(in.memory == MEM_STRING_TWO && !in.rep);
    CU_ASSERT_EQUAL(decoded(CODE(0xac)).memory, MEM_STRING_SRC);
    CU_ASSERT_EQUAL(decoded(CODE(0xf2, 0xae)).memory, MEM_STRING_DST);
    CU_ASSERT_EQUAL(decoded(CODE(0xf3, 0xa6)).memory, MEM_STRING_TWO);
}

static void incomplete(void)
{
    static const u8 code[] = {0x48, 0x81, 0x84, 0x8b, 1, 0, 0, 0, 2, 0, 0, 0};
    for (u64 n = 0; n < sizeof code; n++)
        CU_ASSERT_TRUE(refused(code, n));
    CU_ASSERT_FALSE(refused(code, sizeof code));
    CU_ASSERT_TRUE(refused(CODE(0x06))); /* push es: not in 64-bit mode */
}

UNIT_TESTS("decoding", {"operands", operands}, {"no_access", no_access}, {"registers", registers}, {"flags", flags},
           {"flow", flow}, {"vectors", vectors}, {"strings", strings}, {"incomplete", incomplete})
