/* Nanoseconds per stack capture: unwind [ROUNDS]
 *
 * hit       the thread has captured this stack before: the memo compares what the unwinding had read
 * two ways  every second capture comes from another caller of one function that wraps it
 * miss      the memo has been emptied: walked by known recipes, interned
 * full      a frame that no recipe describes: stepped with all registers
 * first     the first capture ever: recipes are made from the unwind tables (one measurement)
 * in frames of about the given depth, with and without frame pointers. */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "../unit/watched_process.h"
#include "model/stack.h"

#ifdef __clang__
#define NOINLINE __attribute__((noinline))
#define WITH_FP
#else
#define NOINLINE __attribute__((noinline, noclone))
#define WITH_FP __attribute__((optimize("no-omit-frame-pointer")))
#endif
#define KEEP() __asm__ volatile("" ::: "memory")

extern void *__libc_stack_end;
static struct thread *self;
static u32 rounds = 2000000;
static double result;
static ref_t seen;

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

/* The intercepted function. */
static NOINLINE ref_t captured(void)
{
    return unwind_capture(self, __builtin_frame_address(0));
}
static NOINLINE ref_t from_a(void)
{
    ref_t r = captured();
    KEEP();
    return r;
}

/* A capture minus the calls around it. */
static NOINLINE ref_t empty(void)
{
    KEEP();
    return *(const u64 *)__builtin_frame_address(0) == 1;
}
static NOINLINE void measure_hit(void)
{
    double a = now();
    for (u32 i = 0; i < rounds; i++)
        seen += captured();
    double b = now();
    for (u32 i = 0; i < rounds; i++)
        seen += empty();
    double c = now();
    result = ((b - a) - (c - b)) / rounds;
}

/* Two callers with equal frames: the same return address and registers at `captured`, another stack. */
static NOINLINE void by_a(void)
{
    seen += from_a();
    KEEP();
}
static NOINLINE void by_b(void)
{
    seen += from_a();
    KEEP();
}
static NOINLINE void measure_two_ways(void)
{
    void (*volatile f[2])(void) = {by_a, by_b};
    double a = now();
    for (u32 i = 0; i < rounds; i++)
        f[i & 1]();
    result = (now() - a) / rounds;
}

static NOINLINE void measure_miss(void)
{
    double a = now();
    for (u32 i = 0; i < rounds; i++) {
        modules_epoch++;
        seen += captured();
    }
    result = (now() - a) / rounds;
}

static void (*what)(void);
static NOINLINE void down(u32 n)
{
    if (n)
        down(n - 1);
    else
        what();
    KEEP();
}
static NOINLINE WITH_FP void down_fp(u32 n)
{
    if (n)
        down_fp(n - 1);
    else
        what();
    KEEP();
}

void bench_by_rbx(void (*f)(void));
__asm__(".pushsection .text\n.globl bench_by_rbx\n.type bench_by_rbx, @function\nbench_by_rbx:\n"
        ".cfi_startproc\n"
        "pushq %rbx\n.cfi_def_cfa_offset 16\n.cfi_offset %rbx, -16\n"
        "movq %rsp, %rbx\n.cfi_def_cfa_register %rbx\n"
        "andq $-64, %rsp\n"
        "call *%rdi\n"
        "movq %rbx, %rsp\n.cfi_def_cfa_register %rsp\n"
        "popq %rbx\n.cfi_restore %rbx\n.cfi_def_cfa_offset 8\n"
        "ret\n.cfi_endproc\n.size bench_by_rbx, .-bench_by_rbx\n.popsection\n");

static void row(const char *name, void (*measure)(void), void (*go_down)(u32), u32 depth)
{
    u32 outside = 3; /* main's callers and row itself */
    what = measure;
    double best = 1e9;
    for (u32 i = 0; i < 5; i++) {
        go_down(depth > outside + 2 ? depth - outside - 2 : 0);
        best = result < best ? result : best;
    }
    printf("%-28s %3u frames %8.1f ns\n", name, depth, best);
}

static NOINLINE void first(void)
{
    double a = now();
    seen += captured();
    printf("%-28s            %8.1f ns\n", "first", now() - a);
}

static NOINLINE void through_rbx(u32 depth)
{
    (void)depth;
    bench_by_rbx(measure_hit);
    KEEP();
}

int main(int argc, char **argv)
{
    if (argc > 1)
        rounds = (u32)strtoul(argv[1], NULL, 10);
    process_begin_for_test();
    self = process_thread_for_test();
    self->rec->stack_hi = (u64)__libc_stack_end;
    self->rec->stack_lo = self->rec->stack_hi - (4 << 20);
    first();
    static const u32 depths[] = {5, 15, 40};
    for (u32 i = 0; i < 3; i++) {
        row("hit", measure_hit, down, depths[i]);
        row("hit, frame pointers", measure_hit, down_fp, depths[i]);
        row("two ways", measure_two_ways, down, depths[i]);
        row("miss", measure_miss, down, depths[i]);
    }
    rounds /= 20;
    row("full", measure_hit, through_rbx, 6);
    return seen == 12345;
}
