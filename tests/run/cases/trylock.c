/* Attempts: a try never waits, so nothing can close a cycle there; what was taken by a try is held all the same. An
 * attempt with a time limit waits, though not for ever: against one without it, it makes both stall.
 *
 * @case trylock_backoff backoff
 * @clean
 * @case trylock_then_block then_block
 * @finding lock-order locks=a,b side=one side=two counts=yes
 * @case trylock_closing_step closing
 * @clean
 * @case trylock_contended contended
 * @clean
 * @case timedlock_one timed_one
 * @finding lock-order locks=a,b side=one side=two
 *
 * When every step has a limit, nobody waits for ever.
 * @case timedlock_both timed_both
 * @clean
 * @case clocklock_both clock_both
 * @clean
 * @case clocklock_one clock_one
 * @finding lock-order locks=a,b side=one side=two
 *
 * A timed attempt that gives up was an order all the same; it is not held afterwards.
 * @case timedlock_gives_up gives_up
 * @finding lock-order locks=a,b side=one_gives_up side=two_holds
 * @case timedlock_gave_up_holds_nothing gave_up
 * @clean
 */
#include "case.h"

static pthread_mutex_t a = PTHREAD_MUTEX_INITIALIZER, b = PTHREAD_MUTEX_INITIALIZER;
static const char *shape;

static int is(const char *name)
{
    return !strcmp(shape, name);
}

static struct timespec in_seconds(clockid_t clock, int s)
{
    struct timespec ts;
    clock_gettime(clock, &ts);
    ts.tv_sec += s;
    return ts;
}

static void take_with_limit(pthread_mutex_t *m)
{
    struct timespec far = in_seconds(strstr(shape, "clock") ? CLOCK_MONOTONIC : CLOCK_REALTIME, 1000);
    if (strstr(shape, "clock"))
        CHECK(!pthread_mutex_clocklock(m, CLOCK_MONOTONIC, &far));
    else
        CHECK(!pthread_mutex_timedlock(m, &far));
}

NOINLINE static void take_second(pthread_mutex_t *m, int side)
{
    if (is("closing") && side == 1)
        CHECK(!pthread_mutex_trylock(m));
    else if (is("timed_both") || is("clock_both") || ((is("timed_one") || is("clock_one")) && side == 1))
        take_with_limit(m);
    else
        lock(m);
}

static void back_off(pthread_mutex_t *first, pthread_mutex_t *second)
{
    for (;;) {
        lock(first);
        if (!pthread_mutex_trylock(second))
            break;
        unlock(first);
        sched_yield();
    }
    unlock(second);
    unlock(first);
}

static void *one(void *arg)
{
    if (is("backoff")) {
        for (int i = 0; i < 1000; i++)
            back_off(&a, &b);
        return arg;
    }
    if (is("then_block"))
        CHECK(!pthread_mutex_trylock(&a));
    else
        lock(&a);
    take_second(&b, 1);
    unlock(&b);
    unlock(&a);
    step_done(1);
    return arg;
}

static void *two(void *arg)
{
    if (is("backoff")) {
        for (int i = 0; i < 1000; i++)
            back_off(&b, &a);
        return arg;
    }
    step_wait(1);
    lock(&b);
    take_second(&a, 2);
    unlock(&a);
    unlock(&b);
    return arg;
}

/* b is held by main all the while: the attempt has to give up. */
static void *one_gives_up(void *arg)
{
    struct timespec past = in_seconds(CLOCK_REALTIME, -1);
    lock(&a);
    CHECK(pthread_mutex_timedlock(&b, &past) == ETIMEDOUT);
    unlock(&a);
    if (is("gave_up")) {
        CHECK(pthread_mutex_timedlock(&b, &past) == ETIMEDOUT);
        lock(&a); /* b is not held here */
        unlock(&a);
    }
    step_done(1);
    return arg;
}

static void *two_holds(void *arg)
{
    lock(&b);
    meet(0, 2);
    step_wait(1);
    if (is("gives_up")) {
        lock(&a);
        unlock(&a);
    }
    unlock(&b);
    return arg;
}

static void *meets_then_gives_up(void *arg)
{
    meet(0, 2);
    return one_gives_up(arg);
}

static void *tries_in_vain(void *arg)
{
    meet(0, 2);
    lock(&a);
    CHECK(pthread_mutex_trylock(&b) == EBUSY);
    unlock(&a);
    step_done(1);
    return arg;
}

int main(int argc, char **argv)
{
    case_routine f = one, g = two;
    if (argc < 2)
        return 64;
    shape = argv[1];
    if (is("gives_up") || is("gave_up"))
        f = meets_then_gives_up, g = two_holds;
    if (is("contended"))
        f = tries_in_vain, g = two_holds;
    pthread_t t1 = start(f, NULL), t2 = start(g, NULL);
    join(t1);
    join(t2);
    return 0;
}
