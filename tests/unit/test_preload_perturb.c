/* preload/perturb.c: what a thread decides depends on the seed and its number alone. */
#include "interceptor.h"

#include <errno.h>

#include "start.h"

#include "unit.h"
#include "watched_process.h"

#define STEPS 2000

static struct thread *thread;

static void decisions(u64 seed, u32 number, u64 *out)
{
    run()->options.perturb_seed = seed;
    thread->rec->number = number;
    thread->perturb_state = 0;
    for (int i = 0; i < STEPS; i++) {
        perturb_delay(thread);
        out[i] = thread->perturb_state;
    }
}

static void repeatable(void)
{
    static u64 a[STEPS], b[STEPS];
    decisions(7, 3, a);
    decisions(7, 3, b);
    CU_ASSERT_EQUAL(memcmp(a, b, sizeof a), 0);
    decisions(7, 4, b);
    CU_ASSERT_NOT_EQUAL(memcmp(a, b, sizeof a), 0);
    decisions(8, 3, b);
    CU_ASSERT_NOT_EQUAL(memcmp(a, b, sizeof a), 0);
}

static void errno_is_kept(void)
{
    static u64 a[STEPS];
    errno = EDOM;
    decisions(1, 1, a);
    CU_ASSERT_EQUAL(errno, EDOM);
}

static void only_when_asked(void)
{
    perturb_start();
    CU_ASSERT_FALSE(perturb_on);
    run()->options.perturb = 1;
    perturb_start();
    CU_ASSERT_TRUE(perturb_on);
}

static void begin(void)
{
    process_begin_for_test();
    thread = process_thread_for_test();
    CU_ASSERT_PTR_NOT_NULL_FATAL(thread);
}

UNIT_TESTS("perturbation", {"begin", begin}, {"repeatable", repeatable}, {"errno_is_kept", errno_is_kept},
           {"only_when_asked", only_when_asked})
