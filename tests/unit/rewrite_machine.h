/* Runs machine code of a test with registers, flags and memory as given, and takes down what it leaves: the original
 * and the rewritten must leave the same. One page set holds text and data, so that both run at the same addresses. */
#ifndef SNARL_TESTS_REWRITE_MACHINE_H
#define SNARL_TESTS_REWRITE_MACHINE_H

#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <ucontext.h>

#include "access/rewrite_enter.h"
#include "access/rewrite_module.h"
#include "access/rewrite_patch.h"
#include "analyze/cell.h"

#define TEXT_BYTES 65536u
#define DATA_BYTES 65536u
#define STACK_BYTES 16384u

/* At fixed distances: text, constants, data, stack, shadow of the data. */
struct machine {
    u8 *text, *data, *stack;
    u64 shadow; /* what to flip in an address */
};

struct cpu {
    u64 reg[16];
    u64 flags;
    u64 pc;
    u64 host;
    u8 vector[16][32];
};

static struct cpu cpu_now __attribute__((used));

/* Loads cpu_now and jumps to its pc; what returns from there, or jumps to cpu_back, is taken down. */
void cpu_run(void);
void cpu_back(void);
__asm__(".text\n"
        "cpu_run:\n\t"
        "push %rbx; push %rbp; push %r12; push %r13; push %r14; push %r15\n\t"
        "lea cpu_now(%rip), %rax\n\t"
        "mov %rsp, 144(%rax)\n\t"
#define VECTOR(n) "vmovdqu " #n "*32+152(%rax), %ymm" #n "\n\t"
        VECTOR(0) VECTOR(1) VECTOR(2) VECTOR(3) VECTOR(4) VECTOR(5) VECTOR(6) VECTOR(7) VECTOR(8) VECTOR(9) VECTOR(
            10) VECTOR(11) VECTOR(12) VECTOR(13) VECTOR(14) VECTOR(15)
#undef VECTOR
            "fninit\n\t"
            "push 128(%rax); popfq\n\t"
            "mov 8(%rax), %rcx; mov 16(%rax), %rdx; mov 24(%rax), %rbx; mov 32(%rax), %rsp; mov 40(%rax), %rbp\n\t"
            "mov 48(%rax), %rsi; mov 56(%rax), %rdi; mov 64(%rax), %r8; mov 72(%rax), %r9; mov 80(%rax), %r10\n\t"
            "mov 88(%rax), %r11; mov 96(%rax), %r12; mov 104(%rax), %r13; mov 112(%rax), %r14; mov 120(%rax), %r15\n\t"
            "mov (%rax), %rax\n\t"
            "jmp *cpu_now+136(%rip)\n"
            "cpu_back:\n\t"
            "mov %rax, cpu_now(%rip)\n\t"
            "lea cpu_now(%rip), %rax\n\t"
            "mov %rcx, 8(%rax); mov %rdx, 16(%rax); mov %rbx, 24(%rax); mov %rsp, 32(%rax); mov %rbp, 40(%rax)\n\t"
            "mov %rsi, 48(%rax); mov %rdi, 56(%rax); mov %r8, 64(%rax); mov %r9, 72(%rax); mov %r10, 80(%rax)\n\t"
            "mov %r11, 88(%rax); mov %r12, 96(%rax); mov %r13, 104(%rax); mov %r14, 112(%rax); mov %r15, 120(%rax)\n\t"
            "mov 144(%rax), %rsp\n\t"
            "pushfq; pop 128(%rax); cld\n\t"
#define VECTOR(n) "vmovdqu %ymm" #n ", " #n "*32+152(%rax)\n\t"
        VECTOR(0) VECTOR(1) VECTOR(2) VECTOR(3) VECTOR(4) VECTOR(5) VECTOR(6) VECTOR(7) VECTOR(8) VECTOR(9) VECTOR(10)
            VECTOR(11) VECTOR(12) VECTOR(13) VECTOR(14) VECTOR(15)
#undef VECTOR
                "vzeroupper\n\t"
                "pop %r15; pop %r14; pop %r13; pop %r12; pop %rbp; pop %rbx\n\t"
                "ret\n");

/* ---- what checks refer to ---- */

static __thread u32 machine_now __attribute__((tls_model("initial-exec")));
static __thread u64 machine_words[4] __attribute__((tls_model("initial-exec")));
static __thread u16 machine_spare[3][8] __attribute__((tls_model("initial-exec")));

static int32_t tls_offset(const void *p)
{
    u64 base;
    __asm__("mov %%fs:0, %0" : "=r"(base));
    return (int32_t)((u64)p - base);
}

static struct check_target machine_target(void)
{
    struct check_target to = {.now = tls_offset(&machine_now), .address = tls_offset(&machine_words[3])};
    for (u32 i = 0; i < 3; i++) {
        u32 size = 1u << i;
        to.saved[i] = tls_offset(&machine_words[i]);
        to.spare[i] = tls_offset(machine_spare[i]);
        for (u32 at = 0; at < GRANULE; at++)
            machine_spare[i][at] =
                (u16)((at + size > GRANULE ? SLOT_ATOMIC : 0) | (~granule_mask(at, size) & SLOT_MASK));
    }
    return to;
}

/* ---- the slow path takes down what it is told ---- */

#define LOG_MOST 65536u
struct logged {
    u64 address;
    u32 site;
};
static struct logged machine_log[LOG_MOST];
static u32 machine_logged;
static const struct rewritten *machine_module;

static u64 logged_address(const struct slow_frame *f, const struct access_site *s)
{
    if (s->how & SITE_INLINE)
        return machine_words[3];
    if (s->memory == MEM_STRING_DST)
        return f->reg[RDI];
    if (s->memory == MEM_STRING_SRC || s->memory == MEM_STRING_TWO)
        return f->reg[RSI];
    return (s->base < REG_NONE ? f->reg[s->base] : 0) + (s->index < REG_NONE ? f->reg[s->index] << s->shift : 0) +
           s->disp;
}

bool rewrite_slow(struct slow_frame *f)
{
    if (f->number & CHECK_AFTER)
        return false;
    const struct access_site *s = &machine_module->sites[f->number];
    if (machine_logged < LOG_MOST)
        machine_log[machine_logged++] = (struct logged){logged_address(f, s), (u32)f->number};
    return machine_logged % 7 == 0;
}

void rewrite_slow_deep(struct slow_frame *f, const u8 *state)
{
    (void)f, (void)state;
    __asm__ volatile("vpcmpeqd %%ymm0, %%ymm0, %%ymm0; vmovdqa %%ymm0, %%ymm7; vmovdqa %%ymm0, %%ymm15"
                     :
                     :
                     : "xmm0", "xmm7", "xmm15");
}

/* ---- memory ---- */

/* Near each other: operands relative to rip reach the data. */
static bool machine_map(struct machine *m)
{
    u64 bytes = TEXT_BYTES + DATA_BYTES + STACK_BYTES;
    u8 *p = mmap(NULL, bytes * 2, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (p == MAP_FAILED || mprotect(p, TEXT_BYTES, PROT_READ | PROT_WRITE | PROT_EXEC))
        return false;
    *m = (struct machine){.text = p, .data = p + TEXT_BYTES, .stack = p + TEXT_BYTES + DATA_BYTES};
    /* A shadow for the data and the stack: any constant that is theirs alone. */
    u64 flip = 1ULL << 45;
    u64 lo = (u64)m->data & ~(u64)0xfffff, hi = ((u64)m->stack + STACK_BYTES + 0xfffff) & ~(u64)0xfffff;
    void *shadow = mmap((void *)(lo ^ flip), hi - lo, PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED_NOREPLACE, -1, 0);
    m->shadow = flip;
    return shadow == (void *)(lo ^ flip);
}

static struct image machine_image(const struct machine *m)
{
    struct image image = {.nparts = 2, .bias = 1, .text_lo = (u64)m->text, .text_hi = (u64)m->text + TEXT_BYTES};
    image.part[0] = (struct image_part){(u64)m->text, (u64)m->text + TEXT_BYTES, false, true};
    image.part[1] = (struct image_part){(u64)m->data, (u64)m->stack + STACK_BYTES, true, false};
    return image;
}

/* ---- faults: overwritten instructions ---- */

#define TRAP_FLAG 0x100
static u32 machine_traps, machine_faults;

static void machine_fault(int sig, siginfo_t *info, void *context)
{
    ucontext_t *c = context;
    u64 pc = (u64)c->uc_mcontext.gregs[REG_RIP];
    u64 to = machine_module ? map_copy_of(&machine_module->map, pc) : 0;
    (void)info;
    if (to && patch_is_trap(*(u8 *)pc)) {
        machine_traps++;
        c->uc_mcontext.gregs[REG_RIP] = (greg_t)to;
        return;
    }
    machine_faults++;
    if (cpu_now.host && machine_faults < 100000) {
        c->uc_mcontext.gregs[REG_RIP] = (greg_t)(uintptr_t)cpu_back;
        c->uc_mcontext.gregs[REG_EFL] &= ~TRAP_FLAG;
        return;
    }
    signal(sig, SIG_DFL);
}

/* ---- what the original accesses, instruction by instruction ---- */

struct traced {
    u64 pc, address;
    u32 size;
    bool write;
};
#define TRACE_MOST 65536u
static struct traced machine_trace[TRACE_MOST];
static u32 machine_traced;

static void machine_step(int sig, siginfo_t *info, void *context)
{
    greg_t *g = ((ucontext_t *)context)->uc_mcontext.gregs;
    static const int number[] = {REG_RAX, REG_RCX, REG_RDX, REG_RBX, REG_RSP, REG_RBP, REG_RSI, REG_RDI,
                                 REG_R8,  REG_R9,  REG_R10, REG_R11, REG_R12, REG_R13, REG_R14, REG_R15};
    static bool pushed; /* pushf: the flag is not the program's */
    u64 pc = (u64)g[REG_RIP];
    struct insn in;
    (void)info;
    if (pushed)
        *(u64 *)(uintptr_t)g[REG_RSP] &= ~(u64)TRAP_FLAG;
    pushed = (g[REG_EFL] & TRAP_FLAG) && *(const u8 *)(uintptr_t)pc == 0x9c;
    if (!(g[REG_EFL] & TRAP_FLAG)) {
        machine_fault(sig, info, context);
        return;
    }
    if (pc == (u64)(uintptr_t)cpu_back)
        g[REG_EFL] &= ~TRAP_FLAG;
    if (!insn_decode((const u8 *)(uintptr_t)pc, INSN_LONGEST, &in) || in.memory != MEM_OPERAND || !in.has_operand)
        return;
    u64 address = (u64)in.disp + (in.rip ? pc + in.length : 0);
    if (in.base < REG_NONE)
        address += (u64)g[number[in.base]];
    if (in.index < REG_NONE)
        address += (u64)g[number[in.index]] << in.shift;
    if (machine_traced < TRACE_MOST)
        machine_trace[machine_traced++] = (struct traced){pc, address, in.size, in.what & OP_MEM_WRITE};
}

static void machine_catch(void)
{
    static u8 stack[65536];
    stack_t alternate = {.ss_sp = stack, .ss_size = sizeof stack};
    struct sigaction a = {.sa_sigaction = machine_fault, .sa_flags = SA_SIGINFO | SA_ONSTACK | SA_NODEFER};
    sigaltstack(&alternate, NULL);
    sigaction(SIGSEGV, &a, NULL);
    sigaction(SIGILL, &a, NULL);
    sigaction(SIGBUS, &a, NULL);
    sigaction(SIGFPE, &a, NULL);
    a.sa_sigaction = machine_step;
    sigaction(SIGTRAP, &a, NULL);
}

#endif
