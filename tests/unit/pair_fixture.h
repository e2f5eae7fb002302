/* Made-up threads that read and write under locks, as instrumented code does. */
#ifndef SNARL_TESTS_PAIR_FIXTURE_H
#define SNARL_TESTS_PAIR_FIXTURE_H

#include "analyze/access_hot.h"
#include "analyze/atomicity.h"
#include "engine_fixture.h"

#define THREADS 4

static long memory[4096] __attribute__((aligned(64)));
static struct thread *threads[THREADS];
static u32 current, saved_now[THREADS];
static struct access_frames *saved_frames[THREADS];

/* The calling thread is this one of the made-up threads from now on. */
static struct thread *as(u32 i)
{
    if (i != current) {
        saved_now[current] = access_now;
        access_now = saved_now[i];
        access_frames = saved_frames[i];
        current = i;
    }
    return threads[i];
}

static ref_t stack_now(struct thread *t, const u64 *fp)
{
    (void)t;
    return stack_intern(&fp[1], 1, 0);
}

/* What an access is made by: the code after a hook's call. */
static const u8 store_register[] = {0x48, 0x89, 0x1d, 0, 0, 0, 0},          /* mov %rbx, x(%rip) */
    store_constant[] = {0xc7, 0x05, 0, 0, 0, 0, 1, 0, 0, 0},                /* movl $1, x(%rip) */
    store_through_pointer[] = {0x48, 0x8b, 0x45, 0xf8, 0xc6, 0x40, 4, 0},   /* mov -8(%rbp), %rax; movb $0, 4(%rax) */
    store_indexed[] = {0x66, 0x41, 0xc7, 0x44, 0x8c, 4, 1, 0},              /* movw $1, 4(%r12, %rcx, 4) */
    clear[] = {0x48, 0x83, 0x23, 0},                                        /* andq $0, (%rbx) */
    mask[] = {0x48, 0x83, 0x23, 1},                                         /* andq $1, (%rbx) */
    store_local[] = {0x8b, 0x45, 0xf8, 0x89, 0x05, 0, 0, 0, 0, 0xc7, 0x05}; /* mov -8(%rbp), %eax; mov %eax, x */

static void access_by(u32 i, const void *code, long *p, u32 kind)
{
    struct thread *t = as(i);
    u64 fp[2] = {0, (u64)code}, addr = (u64)p;
    if (!access_is_known(addr, SLOT_MASK, kind) && !access_quick(t, addr, SLOT_MASK, kind, fp))
        access_seen(t, addr, 8, kind, fp);
    if (kind & ACCESS_WRITE)
        ++*p;
}

static const u8 load[16], update[sizeof store_register] = {0x48, 0x89, 0x1d}, other_load[16];
static void reads(u32 i, long *p)
{
    access_by(i, load, p, ACCESS_READ);
}
static void writes(u32 i, long *p)
{
    access_by(i, store_register, p, ACCESS_WRITE);
}
static void takes(u32 i, int lock)
{
    as(i);
    fx_lock(threads[i], lock);
}
static void gives(u32 i, int lock)
{
    as(i);
    fx_unlock(threads[i], lock);
}
static void locked_read(u32 i, long *p)
{
    takes(i, 0);
    reads(i, p);
    gives(i, 0);
}
static void locked_write(u32 i, long *p)
{
    takes(i, 0);
    writes(i, p);
    gives(i, 0);
}
static void enters(u32 i)
{
    as(i);
    access_function_entry(1);
}
static void leaves(u32 i)
{
    as(i);
    access_function_exit();
}

static void begin(void)
{
    fx_begin(ON_DEADLOCK_REPORT);
    hb_forked(); /* what the test before has left */
    epoch_reset();
    crowd_reset();
    atomicity_forked();
    run()->options.detect |= DETECT_RACE | DETECT_ATOMICITY;
    engine_hooks.capture = stack_now;
    threads[0] = fx_main();
    CU_ASSERT_EQUAL_FATAL(access_turn_on(threads[0]) & ~-16, 0); /* -EBUSY from the second time on */
    access_on = true;
    for (u32 i = 1; i < THREADS; i++)
        threads[i] = fx_spawn(threads[0]);
    for (u32 i = 0; i < THREADS; i++) {
        saved_now[i] = ACCESS_NO_EPOCH;
        saved_frames[i] = &threads[i]->accesses->frames;
    }
    current = 1;
    access_forget(as(0), (u64)memory, sizeof memory);
    for (u32 i = 0; i < THREADS; i++)
        enters(i);
}

static long *fresh(void)
{
    static u32 used;
    return &memory[used += 8];
}

/* Findings of this verdict; no race is ever met. */
static u32 found(enum finding_verdict verdict)
{
    u32 n = 0;
    for (ref_t r = run()->findings; r; r = ((struct finding_rec *)arena_at(r))->next) {
        const struct finding_rec *f = arena_at(r);
        CU_ASSERT_EQUAL(f->kind, FINDING_ATOMICITY);
        n += f->verdict == verdict;
    }
    return n;
}
#define OBSERVED() found(VERDICT_OBSERVED)
#define POSSIBLE() found(VERDICT_POSSIBLE)
#define NOTHING() CU_ASSERT_EQUAL(run()->nfindings, 0)

#endif
