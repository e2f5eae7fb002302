/* Instructions of which masks choose what they access: what masked_runs says, against the processor. Memory ends within
 * the operand, a little further each time: it must fault exactly if one of the runs goes beyond. */
#include "unit.h"

#include <setjmp.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/mman.h>

#include "access/rewrite_masked.h"

#define PAGE 4096u
#define STATE 0xe6u /* what the slow path saves */

static u8 *memory; /* two pages, then one that nobody may touch */
static u8 *code;
static u8 state[16384] __attribute__((aligned(64)));
static sigjmp_buf back;

static u64 seed = 1;
static u64 next(void)
{
    seed ^= seed << 13;
    seed ^= seed >> 7;
    return seed ^= seed << 17;
}

static void on_fault(int sig)
{
    siglongjmp(back, sig);
}

/* Loads the state, sets rdi and rsi to the operand's address, and runs the instruction. 0, or the signal. */
static int run(const u8 *bytes, u32 n, u64 operand)
{
    memcpy(code, bytes, n);
    code[n] = 0xc3;
    int sig = sigsetjmp(back, 1);
    if (!sig) {
        __asm__ volatile("xrstor64 %1\n\t"
                         "call *%3"
                         :
                         : "D"(operand), "m"(state), "a"(STATE), "r"(code), "d"(0)
                         : "memory", "rcx", "rsi", "r8", "r9", "r10", "r11", "cc");
        __asm__ volatile("" ::: "memory");
    }
    if (__builtin_cpu_supports("avx"))
        __asm__ volatile("vzeroupper");
    return sig;
}

static bool start(void)
{
    struct sigaction a = {.sa_handler = on_fault, .sa_flags = SA_NODEFER};
    if (memory)
        return true;
    memory = mmap(NULL, 4 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    code = mmap(NULL, PAGE, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED || code == MAP_FAILED || mprotect(memory + 2 * PAGE, 2 * PAGE, PROT_NONE))
        return false;
    sigaction(SIGSEGV, &a, NULL);
    sigaction(SIGILL, &a, NULL);
    sigaction(SIGBUS, &a, NULL);
    sigaction(SIGFPE, &a, NULL);
    return rewrite_enter_start() && rewrite_state_bytes <= sizeof state;
}

/* Mask registers and vectors: even ones are small numbers, which can be addresses' parts; odd ones are anything. */
static void draw_state(void)
{
    bool wide = __builtin_cpu_supports("avx512f");
    memset(state, 0, sizeof state);
    *(u32 *)(state + 24) = 0x1f80;
    *(u64 *)(state + 512) = wide ? STATE : 6;
    for (u32 r = 0; r < (wide ? 32u : 16u); r++)
        for (u32 at = 0; at < 64; at += 8) {
            u64 v = next(), small = v >> 32 & 1 ? (v & 63) : 0;
            if (r % 2 == 0)
                v = small;
            if (r >= 16)
                memcpy(state + rewrite_state_at.zmm_high + 64 * (r - 16) + at, &v, 8);
            else if (at < 16)
                memcpy(state + 160 + 16 * r + at, &v, 8);
            else if (at < 32)
                memcpy(state + rewrite_state_at.ymm_upper + 16 * r + at - 16, &v, 8);
            else if (wide)
                memcpy(state + rewrite_state_at.zmm_upper + 32 * r + at - 32, &v, 8);
        }
    for (u32 k = 0; wide && k < 8; k++) {
        u64 v = next() & (next() % 2 ? next() : ~0ULL);
        memcpy(state + rewrite_state_at.masks + 8 * k, &v, 8);
    }
}

/* -1: it cannot be tried. */
static int agrees(const u8 *bytes, const struct insn *in, u64 operand)
{
    struct masked_run runs[MASKED_RUNS];
    struct slow_frame f = {.reg[RDI] = operand};
    u64 end = (u64)memory + 2 * PAGE;
    bool beyond = false;
    u32 n = masked_runs(bytes, in, operand, &f, state, runs);
    for (u32 i = 0; i < n; i++) {
        if (runs[i].address < (u64)memory || runs[i].address + runs[i].bytes > end + PAGE)
            return -1;
        beyond |= runs[i].address + runs[i].bytes > end;
    }
    int sig = run(bytes, in->length, operand);
    if (sig == SIGILL || sig == SIGFPE)
        return -1;
    return (sig != 0) == beyond;
}

/* What it stores, where nothing keeps it from: nothing but in the runs. */
static bool stores_within(const u8 *bytes, const struct insn *in)
{
    struct masked_run runs[MASKED_RUNS];
    u64 operand = (u64)memory + PAGE;
    struct slow_frame f = {.reg[RDI] = operand};
    u8 fill = (u8)next();
    memset(memory, fill, 2 * PAGE);
    u32 n = masked_runs(bytes, in, operand, &f, state, runs);
    if (run(bytes, in->length, operand))
        return true;
    for (u32 i = 0; i < n; i++)
        if (runs[i].address >= (u64)memory && runs[i].address + runs[i].bytes <= (u64)memory + 2 * PAGE)
            memset((void *)(uintptr_t)runs[i].address, fill, runs[i].bytes);
    for (u32 i = 0; i < 2 * PAGE; i++)
        if (memory[i] != fill)
            return false;
    return true;
}

/* It would fault whatever the mask. */
static bool faults_always(const u8 *bytes, const struct insn *in)
{
    u8 opcode = bytes[in->opcode_at];
    return in->memory == MEM_MASK_STORE || (bytes[0] == 0x62 && (bytes[1] & 7) == 3 &&
                                            (opcode == 0x19 || opcode == 0x1b || opcode == 0x39 || opcode == 0x3b));
}

static void complain(const u8 *bytes, const struct insn *in, u64 operand)
{
    struct masked_run runs[MASKED_RUNS];
    struct slow_frame f = {.reg[RDI] = operand};
    u32 n = masked_runs(bytes, in, operand, &f, state, runs);
    fprintf(stderr, "\n  ");
    for (u32 i = 0; i < in->length; i++)
        fprintf(stderr, "%02x ", bytes[i]);
    fprintf(stderr, "memory %u size %u element %u, end at +%d:", in->memory, in->size, in->element,
            (int)((u64)memory + 2 * PAGE - operand));
    for (u32 i = 0; i < n; i++)
        fprintf(stderr, " %d+%u", (int)(runs[i].address - operand), runs[i].bytes);
}

/* Tries it with many states, and the memory's end at many places. */
static u32 tries, instructions;
static bool holds(const u8 *bytes, const struct insn *in)
{
    bool tried = false;
    for (u32 i = 0; i < 12; i++) {
        u32 step = in->memory == MEM_VECTOR ? 1 : in->element ? in->element : 1;
        u32 most = in->memory == MEM_VECTOR ? 300 : in->size ? in->size : 64;
        u64 operand = (u64)memory + 2 * PAGE - next() % (most / step + 1) * step;
        draw_state();
        int r = faults_always(bytes, in) ? 1 : agrees(bytes, in, operand);
        if (!r || ((in->what & OP_MEM_WRITE) && !stores_within(bytes, in))) {
            complain(bytes, in, operand);
            return false;
        }
        tried |= r > 0;
        tries += r > 0;
    }
    instructions += tried;
    return true;
}

/* [rdi], or a vector of addresses from rdi on; aligned operands fault by themselves. */
static void draw_operand(u8 *modrm, bool vector)
{
    u32 reg = (u32)next() % 8;
    modrm[0] = (u8)(reg << 3 | (vector ? 4 : 7));
    modrm[1] = (u8)(next() % 4 << 6 | (next() % 4 * 2) << 3 | 7);
}

static bool try_encoded(u8 *bytes, u32 modrm_at)
{
    struct insn in;
    draw_operand(bytes + modrm_at, false);
    if (!insn_decode(bytes, INSN_LONGEST, &in) || in.memory == MEM_VECTOR) {
        draw_operand(bytes + modrm_at, true);
        if (!insn_decode(bytes, INSN_LONGEST, &in) || in.memory != MEM_VECTOR)
            return true;
    }
    if (!masked_is(&in) || (in.what & OP_BARRED) || in.memory == MEM_OTHER || in.memory == MEM_NONE)
        return true;
    if (in.memory == MEM_OPERAND && !in.element) {
        fprintf(stderr, "\n  no element size");
        complain(bytes, &in, (u64)memory);
        return false;
    }
    return holds(bytes, &in);
}

/* Moves that want alignment, which the memory's end does not have. */
static bool wants_alignment(u32 map, u32 opcode)
{
    return map == 1 && (opcode == 0x28 || opcode == 0x29 || opcode == 0x6f || opcode == 0x7f);
}

static void avx512(void)
{
    u32 wrong = 0;
    CU_ASSERT_TRUE_FATAL(start());
    if (!__builtin_cpu_supports("avx512f"))
        return;
    instructions = tries = 0;
    for (u32 map = 1; map <= 6; map++)
        for (u32 opcode = 0; opcode < 256 && wrong < 20; opcode++)
            for (u32 i = 0; i < 256; i++) {
                u8 bytes[INSN_LONGEST + 1] = {0x62, (u8)(0xf0 | map)};
                bytes[1] &= (u8)(i & 128 ? 0xff : 0xbf); /* the index's fourth bit */
                bytes[2] = (u8)(next() % 2 << 7 | 0x7c | (i & 3));
                bytes[3] = (u8)((i >> 2 & 3) << 5 | (i >> 4 & 1) << 4 | (next() % 2) << 3 | (1 + next() % 7));
                bytes[4] = (u8)opcode;
                bytes[7] = (u8)next();
                if ((bytes[2] & 3) == 3 || (wants_alignment(map, opcode) && (bytes[2] & 3) < 2))
                    continue;
                if (map == 1 && (opcode == 0x2b || opcode == 0xe7))
                    continue;
                wrong += !try_encoded(bytes, 5);
            }
    fprintf(stderr, "\n  %u encodings, %u tries ", instructions, tries);
    CU_ASSERT_EQUAL(wrong, 0);
    CU_ASSERT_TRUE(tries > 10000);
}

static void avx(void)
{
    static const u8 opcodes[] = {0x2c, 0x2d, 0x2e, 0x2f, 0x8c, 0x8e, 0x90, 0x91, 0x92, 0x93};
    u32 wrong = 0;
    CU_ASSERT_TRUE_FATAL(start());
    if (!__builtin_cpu_supports("avx2"))
        return;
    instructions = tries = 0;
    for (u32 i = 0; i < 4000 && wrong < 10; i++) {
        u8 bytes[INSN_LONGEST + 1] = {0xc4, (u8)(0xe2 & (next() % 2 ? 0xff : 0xbf)), 0, opcodes[i % sizeof opcodes]};
        bytes[2] = (u8)(next() % 2 << 7 | (next() % 16) << 3 | (next() % 2) << 2 | 1);
        wrong += !try_encoded(bytes, 4);
    }
    fprintf(stderr, "\n  %u encodings, %u tries ", instructions, tries);
    CU_ASSERT_EQUAL(wrong, 0);
    CU_ASSERT_TRUE(tries > 4000);
}

/* maskmovdqu xmm3, xmm(5 or 13), and as VEX has it. */
static void bytes_by_a_mask(void)
{
    static const u8 forms[][INSN_LONGEST + 1] = {{0x66, 0x0f, 0xf7, 0xdd},
                                                 {0x66, 0x41, 0x0f, 0xf7, 0xdd},
                                                 {0xc5, 0xf9, 0xf7, 0xdd},
                                                 {0xc4, 0xc1, 0x79, 0xf7, 0xdd}};
    CU_ASSERT_TRUE_FATAL(start());
    for (u32 i = 0; i < sizeof forms / sizeof forms[0]; i++) {
        struct insn in;
        if (i >= 2 && !__builtin_cpu_supports("avx"))
            return;
        CU_ASSERT_TRUE_FATAL(insn_decode(forms[i], INSN_LONGEST, &in));
        CU_ASSERT_TRUE(in.memory == MEM_MASK_STORE && in.size == 16);
        tries = 0;
        for (u32 k = 0; k < 40; k++)
            CU_ASSERT_TRUE(holds(forms[i], &in));
        CU_ASSERT_TRUE(tries > 400);
    }
}

/* With a number: another seed. */
int main(int argc, char **argv)
{
    static const struct unit_test tests[] = {{"avx512", avx512}, {"avx", avx}, {"bytes_by_a_mask", bytes_by_a_mask}};
    if (argc == 2 && argv[1][0] >= '1' && argv[1][0] <= '9') {
        seed = strtoull(argv[1], NULL, 10);
        argc = 1;
    }
    return unit_main("masked accesses", tests, sizeof tests / sizeof tests[0], argc, argv);
}
