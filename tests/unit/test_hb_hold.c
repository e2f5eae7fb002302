/* An atomic operation and its clock in one step (detector/analyze/hb_hold.c): one at a time, and nobody kept out for
 * ever. */
#include <pthread.h>

#include "analyze/accesses.h"
#include "engine_fixture.h"

#define THREADS 4
#define ROUNDS 20000

static struct thread *threads[THREADS];
static long object, plain;
static bool overruled; /* a thread got no processor for so long that another one gave it up */

static u64 key(void)
{
    return hb_key(HB_ADDRESS, (u64)&object);
}

static void begin(void)
{
    fx_begin(ON_DEADLOCK_REPORT);
    run()->options.detect |= DETECT_RACE;
    threads[0] = fx_main();
    CU_ASSERT_EQUAL_FATAL(access_turn_on(threads[0]) & ~-16, 0); /* -EBUSY from the second time on */
    hb_forked();
    access_on = true;
    accesses_of(threads[0]);
    for (u32 i = 1; i < THREADS; i++)
        threads[i] = fx_spawn(threads[0]);
}

static void *count(void *thread)
{
    struct hb_hold h;
    for (int i = 0; i < ROUNDS; i++) {
        hb_hold_take(&h, thread, key());
        hb_hold_tell(&h, i % 2 ? HB_ACQUIRE | HB_RELEASE : HB_RELEASE | HB_REPLACE);
        __atomic_store_n(&plain, __atomic_load_n(&plain, __ATOMIC_RELAXED) + 1, __ATOMIC_RELAXED);
        if (h.overruled)
            __atomic_store_n(&overruled, true, __ATOMIC_RELAXED);
        hb_hold_give(&h);
    }
    return NULL;
}
static void one_at_a_time(void)
{
    pthread_t t[THREADS];
    begin();
    for (int i = 0; i < THREADS; i++)
        CU_ASSERT_EQUAL_FATAL(pthread_create(&t[i], NULL, count, threads[i]), 0);
    for (int i = 0; i < THREADS; i++)
        pthread_join(t[i], NULL);
    CU_ASSERT(plain == (long)THREADS * ROUNDS || overruled);
    CU_ASSERT(!(hb_look(key()) & (HB_HELD | HB_OPEN)));
}

/* Whoever left an operation half done, or is not there in a forked child, keeps nobody out for ever. */
static void left_behind(void)
{
    struct hb_hold gone, next, third;
    begin();
    hb_hold_take(&gone, threads[1], key());
    hb_hold_tell(&gone, HB_RELEASE | HB_REPLACE);
    u64 time = clock_now(&threads[1]->accesses->clock) - 1;
    u32 lane = threads[1]->accesses->clock.lane;
    hb_hold_take(&next, threads[2], key());
    CU_ASSERT(!gone.overruled && next.overruled);
    hb_hold_tell(&next, HB_RELEASE | HB_REPLACE); /* joins what the other one may have left */
    hb_hold_give(&gone);                          /* comes back after all: the guard is not its own any more */
    CU_ASSERT(hb_look(key()) & HB_HELD);
    hb_hold_give(&next);
    hb_hold_take(&third, threads[3], key());
    CU_ASSERT(!third.overruled);
    hb_hold_tell(&third, HB_ACQUIRE);
    hb_hold_give(&third);
    CU_ASSERT(clock_time(&threads[3]->accesses->clock, lane) >= time);
    hb_hold_take(&gone, threads[1], key());
    hb_forked();
    CU_ASSERT(!(hb_look(key()) & HB_HELD));
}

/* What a load may believe without the guard. */
static void looks(void)
{
    struct hb_hold h;
    begin();
    u32 word = hb_look(key());
    CU_ASSERT(hb_has_nothing(key()));
    CU_ASSERT(hb_knew(threads[2], key(), word));
    hb_hold_take(&h, threads[1], key());
    CU_ASSERT(!hb_knew(threads[2], key(), word));
    CU_ASSERT(!hb_knew(threads[2], key(), hb_look(key())));
    hb_hold_tell(&h, HB_RELEASE | HB_REPLACE);
    CU_ASSERT(!hb_knew(threads[2], key(), hb_look(key())));
    hb_hold_give(&h);
    CU_ASSERT(!hb_has_nothing(key()));
    CU_ASSERT(!hb_knew(threads[2], key(), hb_look(key()))); /* there is something to learn */
    CU_ASSERT(hb_knew(threads[1], key(), hb_look(key())));  /* not for who has left it */
    hb_acquire(threads[2], key());
    CU_ASSERT(hb_knew(threads[2], key(), hb_look(key())));
    CU_ASSERT(!hb_knew(threads[2], key(), word));
}

UNIT_TESTS("holds of the table of releases", {"one_at_a_time", one_at_a_time}, {"left_behind", left_behind},
           {"looks", looks})
