/* Made-up threads whose accesses the engine is told of, as sensors tell of them. */
#ifndef SNARL_TESTS_ACCESS_FIXTURE_H
#define SNARL_TESTS_ACCESS_FIXTURE_H

#include "analyze/access_hot.h"
#include "analyze/accesses.h"
#include "engine_fixture.h"

#define THREADS 6

static char memory[1 << 16] __attribute__((aligned(4096)));

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
    (void)fp;
    return (ref_t)t->scratch[0];
}

/* As a compiler's hook at pc does it. */
static void hook(struct thread *t, u64 addr, u32 size, u32 kind, u64 pc)
{
    u64 fp[2] = {0, pc};
    u32 mask = granule_mask(addr, size);
    if (!access_is_known(addr, mask, kind) && !access_quick(t, addr, mask, kind, fp))
        access_seen(t, addr, size, kind, fp);
}

static int engine_access(u32 t, u32 at, u32 size, u32 kind)
{
    struct accesses *a = as(t)->accesses;
    u64 before = a->races, addr = (u64)memory + at;
    u64 stack = threads[t]->scratch[0];
    if (rand() % 2) /* sets of readers, whether they are worth it or not */
        a->set_credit = 1;
    if (addr % GRANULE + size <= GRANULE && rand() % 8) {
        u64 pc = 1 + (u64)rand() % 3;
        threads[t]->scratch[0] = stack ? stack : pc * 1000; /* one stack for an instruction */
        hook(threads[t], addr, size, kind, pc + stack);
    } else {
        access_range(threads[t], addr, size, kind, NULL);
    }
    threads[t]->scratch[0] = stack;
    return a->races != before;
}

/* Thread 0 makes the others; then it is the calling one. */
static void threads_begin(void)
{
    fx_begin(ON_DEADLOCK_REPORT);
    hb_forked(); /* what the test before has left */
    epoch_reset();
    readers_reset();
    crowd_reset();
    run()->options.detect |= DETECT_RACE;
    threads[0] = fx_main();
    CU_ASSERT_EQUAL_FATAL(access_turn_on(threads[0]) & ~-16, 0); /* -EBUSY from the second time on */
    access_on = true;
    accesses_of(threads[0]);
    for (u32 i = 0; i < THREADS; i++) {
        if (i)
            threads[i] = fx_spawn(threads[0]);
        saved_now[i] = ACCESS_NO_EPOCH;
        saved_frames[i] = &threads[i]->accesses->frames;
    }
    engine_hooks.capture = stack_now;
    current = 1;
    as(0);
    access_forget(as(0), (u64)memory, sizeof memory);
}

#endif
