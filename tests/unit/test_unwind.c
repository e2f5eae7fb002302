/* Captured stacks against what libunwind and the compiler's own unwinder say of the same place, over the shapes that
 * code takes on; and the memo against itself: equal beginnings with different callers must give different stacks. */
#define UNW_LOCAL_ONLY
#include <alloca.h>
#include <libunwind.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <ucontext.h>
#include <unistd.h>
#include <unwind.h>

#include "base/arena.h"
#include "model/run.h"
#include "model/stack.h"
#include "modules.h"
#include "unit.h"
#include "unwind/unwind.h"
#include "watched_process.h"

#define DEPTH 128
#ifdef __clang__
#define NOINLINE __attribute__((noinline))
#else
#define NOINLINE __attribute__((noinline, noclone))
#endif
#define KEEP() __asm__ volatile("" ::: "memory") /* no tail call */

static struct thread *self;

/* ---- oracles ---- */

struct trace {
    u64 pc[DEPTH];
    u32 n;
};

static _Unwind_Reason_Code add_frame(struct _Unwind_Context *c, void *arg)
{
    struct trace *t = arg;
    if (t->n < DEPTH)
        t->pc[t->n++] = _Unwind_GetIP(c);
    return _URC_NO_REASON;
}

static void trace_libunwind(struct trace *t, unw_context_t *context)
{
    unw_cursor_t cursor;
    unw_word_t ip;
    t->n = 0;
    unw_init_local(&cursor, context);
    while (unw_step(&cursor) > 0 && t->n < DEPTH) {
        unw_get_reg(&cursor, UNW_REG_IP, &ip);
        if (!ip)
            break;
        t->pc[t->n++] = ip;
    }
}

/* Both give the frames behind the one that asks; the compiler's starts with that one or a frame deeper. Ends that only
 * one of them goes beyond (start code) are not compared. */
static u32 agree(const u64 *ours, u32 n, const struct trace *t)
{
    u32 skip = 0;
    while (skip < t->n && t->pc[skip] != ours[0])
        skip++;
    u32 i = 0;
    while (i < n && skip + i < t->n && ours[i] == t->pc[skip + i])
        i++;
    return i;
}

/* ---- the probe: stands for an intercepted function ---- */

static ref_t last_stack;
static u32 last_depth;
static volatile u32 checked; /* signal handlers count too */
static struct unwind_frame last_frames[DEPTH];

static NOINLINE void probe(void)
{
    const u64 *fp = __builtin_frame_address(0);
    struct trace gcc = {.n = 0}, slow;
    unw_context_t context;
    u64 pcs[DEPTH];
    ref_t first = unwind_capture(self, fp), again = unwind_capture(self, fp);
    u32 n = unwind_frames(fp, last_frames, DEPTH);
    for (u32 i = 0; i < n; i++)
        pcs[i] = last_frames[i].pc;
    _Unwind_Backtrace(add_frame, &gcc);
    unw_getcontext(&context);
    trace_libunwind(&slow, &context);

    CU_ASSERT_FATAL(first != 0 && n > 0);
    CU_ASSERT_EQUAL(first, again);
    CU_ASSERT_EQUAL(pcs[0], fp[1]);
    const struct stack_rec *s = arena_at(first);
    CU_ASSERT_EQUAL(s->flags, 0);
    CU_ASSERT_EQUAL(s->n, n);
    for (u32 i = 0; i < n && i < s->n; i++)
        CU_ASSERT_EQUAL(s->frame[i], modules_frame(pcs[i], (s->frame[i] & FRAME_EXACT) != 0));
    u32 by_slow = agree(pcs, n, &slow), by_gcc = agree(pcs, n, &gcc);
    CU_ASSERT_EQUAL(by_slow, n);
    CU_ASSERT(by_gcc >= n || (n > 2 && by_gcc >= n - 2)); /* may stop at the start code */
    for (u32 i = 1; i < n; i++)
        CU_ASSERT(!last_frames[i].cfa || last_frames[i].cfa > last_frames[i - 1].cfa || !last_frames[i - 1].cfa);
    last_stack = first;
    last_depth = n;
    checked++;
}

static bool in_range(u32 frame, void (*f)(void))
{
    u64 start = (u64)f;
    return last_frames[frame].pc > start && last_frames[frame].pc < start + 4096;
}

/* ---- shapes ---- */

static NOINLINE void plain(void)
{
    probe();
    KEEP();
}

static NOINLINE void deep(u32 n)
{
    if (n)
        deep(n - 1);
    else
        probe();
    KEEP();
}

static NOINLINE void with_alloca(u32 n)
{
    volatile char *p = alloca(n * 48 + 16);
    p[0] = 1;
    char vla[n + 3];
    vla[n] = p[0];
    plain();
    KEEP();
    p[1] = vla[n];
}

static NOINLINE void big_frame(void)
{
    volatile char big[200000];
    big[0] = 1;
    plain();
    KEEP();
    big[1] = big[0];
}

/* rbp and the other saved registers hold data. */
static NOINLINE u64 busy_registers(u64 a, u64 b, u64 c, u64 d, u64 e, u64 f)
{
    for (u32 i = 0; i < 3; i++) {
        plain();
        a = a * b + c;
        b ^= d << 3;
        c += e * f;
        d -= a;
        e ^= b;
        f += c;
    }
    return a ^ b ^ c ^ d ^ e ^ f;
}

static NOINLINE void realigned(u32 n)
{
    _Alignas(64) volatile u64 block[8] = {0};
    volatile char *p = alloca(n * 16);
    p[0] = 0;
    block[n & 7] = n;
    with_alloca(n);
    KEEP();
    block[1] = block[n & 7] + (u64)p[0];
}

static NOINLINE __attribute__((force_align_arg_pointer)) void realigned_entry(void)
{
    _Alignas(32) volatile u64 block[4] = {1};
    plain();
    KEEP();
    block[1] = block[0];
}

static NOINLINE void tail_target(u32 n)
{
    with_alloca(n);
    KEEP();
}
static NOINLINE void tail_call(u32 n)
{
    if (n > 1)
        tail_target(n + 1);
    else
        tail_target(n);
}

static int compare(const void *a, const void *b)
{
    plain();
    return *(const int *)a - *(const int *)b;
}

static void shapes(void)
{
    checked = 0;
    plain();
    with_alloca(1);
    with_alloca(100);
    big_frame();
    busy_registers(1, 2, 3, 4, 5, 6);
    for (u32 i = 1; i < 20; i++)
        realigned(i);
    realigned_entry();
    tail_call(1);
    tail_call(2);
    void (*volatile pointer)(void) = realigned_entry;
    pointer();
    int numbers[] = {3, 1, 2};
    qsort(numbers, 3, sizeof numbers[0], compare);
    CU_ASSERT(checked > 30);
}

static void deep_recursion(void)
{
    for (u32 n = 1; n < 55; n += 5)
        deep(n);
    CU_ASSERT(last_depth > 50);
}

static NOINLINE void deeper(u32 n, ref_t *out)
{
    if (n)
        deeper(n - 1, out);
    else
        *out = unwind_capture(self, __builtin_frame_address(0));
    KEEP();
}

static void cut_at_the_limit(void)
{
    ref_t r;
    u64 cut = run()->lost[LOSS_stack_cut];
    for (volatile u32 i = 0; i < 3; i++) {
        deeper(1000, &r);
        const struct stack_rec *s = arena_at(r);
        CU_ASSERT_EQUAL(s->n, run()->options.stack_depth);
        CU_ASSERT_EQUAL(s->flags, STACK_CUT);
    }
    CU_ASSERT_EQUAL(run()->lost[LOSS_stack_cut], cut + 1);
}

/* ---- signals and other stacks ---- */

static void on_signal(int sig)
{
    (void)sig;
    plain();
}

static volatile int spun;
static NOINLINE void interrupted(void)
{
    raise(SIGUSR1);
    spun++;
}

static bool has_exact_frame(void)
{
    const struct stack_rec *s = arena_at(last_stack);
    for (u32 i = 0; i < s->n; i++)
        if (s->frame[i] & FRAME_EXACT)
            return true;
    return false;
}

static void handle(int flags)
{
    struct sigaction sa = {.sa_handler = on_signal, .sa_flags = flags};
    sigaction(SIGUSR1, &sa, NULL);
    for (u32 i = 0; i < 3; i++) {
        checked = 0;
        interrupted();
        CU_ASSERT_EQUAL(checked, 1);
        CU_ASSERT(has_exact_frame());
    }
    signal(SIGUSR1, SIG_DFL);
}

static void signal_handler(void)
{
    handle(0);
}

static void alternate_stack(void)
{
    stack_t ss = {.ss_size = 256 * 1024}, off = {.ss_flags = SS_DISABLE};
    ss.ss_sp = mmap(NULL, ss.ss_size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    sigaltstack(&ss, NULL);
    handle(SA_ONSTACK);
    sigaltstack(&off, NULL);
    munmap(ss.ss_sp, ss.ss_size);
}

static ucontext_t back, there;
static void coroutine(void)
{
    realigned(3);
    deep(30);
    big_frame();
}

/* Its stack ends at a page that cannot be read. */
static void coroutine_stack(void)
{
    size_t size = 512 * 1024;
    char *memory = mmap(NULL, size + 8192, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    mprotect(memory + 4096, size, PROT_READ | PROT_WRITE);
    checked = 0;
    for (u32 i = 0; i < 2; i++) {
        getcontext(&there);
        there.uc_stack.ss_sp = memory + 4096;
        there.uc_stack.ss_size = size;
        there.uc_link = &back;
        makecontext(&there, coroutine, 0);
        swapcontext(&back, &there);
    }
    CU_ASSERT_EQUAL(checked, 6);
    munmap(memory, size + 8192);
}

static void *in_thread(void *arg)
{
    struct thread *main_thread = self;
    self = process_thread_for_test();
    shapes();
    deep_recursion();
    self = main_thread;
    return arg;
}

static void other_thread(void)
{
    pthread_t t;
    pthread_create(&t, NULL, in_thread, NULL);
    pthread_join(t, NULL);
}

/* ---- frames that no recipe describes ---- */

/* CFA from rbx; rbp holds data; the caller's rbx and r12 are saved below. */
void unwind_test_by_rbx(void (*f)(void));
__asm__(".pushsection .text\n.globl unwind_test_by_rbx\n.type unwind_test_by_rbx, @function\nunwind_test_by_rbx:\n"
        ".cfi_startproc\n"
        "pushq %rbx\n.cfi_def_cfa_offset 16\n.cfi_offset %rbx, -16\n"
        "movq %rsp, %rbx\n.cfi_def_cfa_register %rbx\n"
        "pushq %rbp\n.cfi_offset %rbp, -24\n"
        "pushq %r12\n.cfi_offset %r12, -32\n"
        "movq $0x1234, %rbp\n"
        "movq %rbp, %r12\n"
        "subq $4096, %rsp\n"
        "andq $-64, %rsp\n"
        "call *%rdi\n"
        "movq -16(%rbx), %r12\n.cfi_restore %r12\n"
        "movq -8(%rbx), %rbp\n.cfi_restore %rbp\n"
        "movq %rbx, %rsp\n.cfi_def_cfa %rsp, 16\n"
        "popq %rbx\n.cfi_restore %rbx\n.cfi_def_cfa_offset 8\n"
        "ret\n.cfi_endproc\n.size unwind_test_by_rbx, .-unwind_test_by_rbx\n.popsection\n");

/* The caller of by_rbx clobbers rbx too, so its value is to be found in by_rbx's frame only. */
static NOINLINE void around_rbx(u32 n)
{
    if (n)
        around_rbx(n - 1);
    else
        unwind_test_by_rbx(plain);
    KEEP();
}

static NOINLINE void busy_plain(void)
{
    busy_registers(9, 8, 7, 6, 5, 4);
    KEEP();
}

static void complex_frames(void)
{
    checked = 0;
    for (u32 i = 0; i < 5; i++) {
        around_rbx(i);
        unwind_test_by_rbx(busy_plain);
        unwind_test_by_rbx(realigned_entry);
    }
    CU_ASSERT(checked >= 5 * 5);
}

/* Code without unwind information: the stack ends there and says so. */
void unwind_test_without(void (*f)(void));
__asm__(".pushsection .text\n.globl unwind_test_without\n.type unwind_test_without, @function\nunwind_test_without:\n"
        "subq $24, %rsp\ncall *%rdi\naddq $24, %rsp\nret\n"
        ".size unwind_test_without, .-unwind_test_without\n.popsection\n");

static NOINLINE void incomplete_probe(void)
{
    ref_t r = unwind_capture(self, __builtin_frame_address(0));
    const struct stack_rec *s = arena_at(r);
    CU_ASSERT_EQUAL(s->flags, STACK_INCOMPLETE);
    CU_ASSERT_EQUAL(s->n, 1);
    CU_ASSERT_EQUAL(unwind_capture(self, __builtin_frame_address(0)), r);
}

static void no_unwind_information(void)
{
    u64 before = run()->lost[LOSS_stack_incomplete];
    unwind_test_without(incomplete_probe);
    unwind_test_without(incomplete_probe);
    CU_ASSERT_EQUAL(run()->lost[LOSS_stack_incomplete], before + 1);
}

/* Made-up frames that lead anywhere must end the walk, not the program. */
static void wild_stacks(void)
{
    u64 memory[512];
    u64 seed = 1;
    for (u32 round = 0; round < 20000; round++) {
        for (u32 i = 0; i < 512; i++) {
            seed = seed * 6364136223846793005ULL + 1442695040888963407ULL;
            u64 r = seed >> 33;
            switch (r % 5) {
            case 0:
                memory[i] = (u64)shapes + r % 3000;
                break;
            case 1:
                memory[i] = (u64)&memory[r % 512];
                break;
            case 2:
                memory[i] = (u64)qsort + r % 500;
                break;
            case 3:
                memory[i] = seed;
                break;
            default:
                memory[i] = r % 64;
            }
        }
        memory[1] = (u64)shapes + seed % 2000;
        struct unwind_frame out[DEPTH];
        CU_ASSERT_FATAL(unwind_frames(memory, out, DEPTH) >= 1);
        CU_ASSERT_FATAL(unwind_capture(self, memory) != 0);
    }
}

/* ---- the memo ---- */

static NOINLINE void shared(void)
{
    probe();
    KEEP();
}
static NOINLINE void caller_a(void)
{
    shared();
    KEEP();
}
static NOINLINE void caller_b(void)
{
    shared();
    KEEP();
}

static NOINLINE void call(void (*f)(void))
{
    f();
    KEEP();
}

static void same_place_other_callers(void)
{
    ref_t a[4], b[4];
    u64 sp_a = 0, sp_b = 0;
    for (volatile u32 i = 0; i < 4; i++) { /* volatile: not unrolled, one call site */
        call(caller_a);
        a[i] = last_stack;
        sp_a = last_frames[0].cfa;
        call(caller_b);
        b[i] = last_stack;
        sp_b = last_frames[0].cfa;
        CU_ASSERT(in_range(1, caller_b));
    }
    CU_ASSERT_EQUAL(sp_a, sp_b); /* the memo saw equal registers */
    CU_ASSERT_NOT_EQUAL(a[0], b[0]);
    for (u32 i = 1; i < 4; i++) {
        CU_ASSERT_EQUAL(a[i], a[0]);
        CU_ASSERT_EQUAL(b[i], b[0]);
    }
}

/* rbp is data in these frames and differs from call to call: one stack, and the memo must know it. */
static NOINLINE u64 rbp_as_data(u64 n)
{
    u64 kept;
    __asm__ volatile("movq %1, %0" : "=r"(kept) : "r"(n));
    shared();
    return kept * 3;
}

static void register_contents_do_not_matter(void)
{
    ref_t first = 0;
    for (volatile u64 i = 0; i < 20; i++) {
        rbp_as_data(i * 77);
        if (!first)
            first = last_stack;
        CU_ASSERT_EQUAL(last_stack, first);
    }
}

/* Random calls of functions of all shapes, each capture held against a fresh walk by the probe. */
static u64 random_state = 42;
static u32 random_below(u32 n)
{
    random_state = random_state * 6364136223846793005ULL + 1442695040888963407ULL;
    return (u32)(random_state >> 33) % n;
}

static void wander(u32 depth);
static NOINLINE void wander_a(u32 depth)
{
    wander(depth - 1);
    KEEP();
}
static NOINLINE void wander_b(u32 depth)
{
    wander(depth - 1);
    KEEP();
}
static NOINLINE void wander_alloca(u32 depth)
{
    volatile char *p = alloca(random_below(3) * 16 + 16);
    p[0] = 1;
    wander(depth - 1);
    KEEP();
    p[1] = p[0];
}
static NOINLINE void wander_realigned(u32 depth)
{
    _Alignas(64) volatile u64 block[8] = {depth};
    wander(depth - 1);
    KEEP();
    block[1] = block[0];
}
static NOINLINE u64 wander_busy(u32 depth, u64 a, u64 b, u64 c, u64 d, u64 e)
{
    wander(depth - 1);
    a += b * random_state;
    wander(depth > 3 ? 1 : 0);
    return a ^ b ^ c ^ d ^ e;
}
static void wander_from_rbx(void)
{
    wander(1);
    KEEP();
}
static NOINLINE void wander(u32 depth)
{
    if (!depth) {
        probe();
        KEEP();
        return;
    }
    switch (random_below(12)) {
    case 0:
    case 1:
    case 2:
        wander_a(depth);
        break;
    case 3:
    case 4:
    case 5:
        wander_b(depth);
        break;
    case 6:
    case 7:
        wander_alloca(depth);
        break;
    case 8:
        wander_realigned(depth);
        break;
    case 9:
        unwind_test_by_rbx(wander_from_rbx);
        break;
    default:
        wander_busy(depth, 1, 2, random_state, 4, depth);
    }
    KEEP();
}

static void random_calls(void)
{
    checked = 0;
    for (u32 i = 0; i < 3000; i++)
        wander(1 + random_below(7));
    CU_ASSERT(checked >= 3000);
}

/* More places than the memo holds. */
static void memo_overflow(void)
{
    for (u32 round = 0; round < 3; round++)
        for (u32 n = 1; n < 1200; n++) {
            ref_t r;
            volatile char *p = alloca(16);
            p[0] = 1;
            deeper(n % 37, &r);
            const struct stack_rec *s = arena_at(r);
            CU_ASSERT(s->n > n % 37);
        }
}

/* ---- interpreter frames ---- */

static u32 adapter_calls;
static u32 adapter(struct thread *t, u64 *frames, const u64 *pcs, u32 n, u32 max)
{
    CU_ASSERT_EQUAL(t, self);
    for (u32 i = 0; i < n; i++)
        CU_ASSERT_EQUAL(frames[i], modules_frame(pcs[i], false));
    adapter_calls++;
    if (n >= max)
        return n;
    memmove(frames + 1, frames, n * sizeof *frames);
    frames[0] = FRAME_PYTHON | adapter_calls % 2;
    return n + 1;
}

static NOINLINE ref_t interpreted_call(void)
{
    ref_t r = unwind_capture(self, __builtin_frame_address(0));
    KEEP();
    return r;
}

static void interpreter_frames(void)
{
    ref_t seen[4];
    for (volatile u32 i = 0; i < 6; i++) {
        unwind_interpreter = i >= 2 ? adapter : NULL;
        seen[i % 4] = interpreted_call();
        const struct stack_rec *s = arena_at(seen[i % 4]);
        CU_ASSERT_EQUAL((s->frame[0] & FRAME_PYTHON) != 0, i >= 2);
    }
    CU_ASSERT_EQUAL(adapter_calls, 4);
    CU_ASSERT_EQUAL(seen[0], seen[2]);
    CU_ASSERT_EQUAL(seen[1], seen[3]);
    CU_ASSERT_NOT_EQUAL(seen[0], seen[1]);
    unwind_interpreter = NULL;
}

static void start(void)
{
    process_begin_for_test();
    self = process_thread_for_test();
    CU_ASSERT(modules_tracking);
}

static void without_tracking(void)
{
    bool was = modules_tracking;
    modules_tracking = false;
    shapes();
    complex_frames();
    same_place_other_callers();
    modules_tracking = was;
}

UNIT_TESTS("unwind", {"start", start}, {"shapes", shapes}, {"deep_recursion", deep_recursion},
           {"cut_at_the_limit", cut_at_the_limit}, {"signal_handler", signal_handler},
           {"alternate_stack", alternate_stack}, {"coroutine_stack", coroutine_stack}, {"other_thread", other_thread},
           {"complex_frames", complex_frames}, {"no_unwind_information", no_unwind_information},
           {"wild_stacks", wild_stacks}, {"same_place_other_callers", same_place_other_callers},
           {"register_contents_do_not_matter", register_contents_do_not_matter}, {"random_calls", random_calls},
           {"memo_overflow", memo_overflow}, {"interpreter_frames", interpreter_frames},
           {"without_tracking", without_tracking})
