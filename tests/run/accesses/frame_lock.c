/* A lock in a function's frame, with a static initialiser, in the place where another call's lock stood before. The
 * thread that calls has used both; the others see one of them only. No call tells of the new lock: all threads must take
 * it for a new one, or all for the old one.
 *
 * @case frame_lock_guarded guarded
 * @clean
 * @case frame_lock_handed handed
 * @clean
 * The other one finds it held.
 * @case frame_lock_held held
 * @clean
 *
 * The bug: the lock is missed in the second call.
 * @case frame_lock_missed missed
 * @finding data-race verdict=observed memory=value locks=*local side=call side=misses
 */
#include "case.h"

static pthread_mutex_t *x; /* of this call */
static void *address;
static int value;

NOINLINE static void *guards(void *arg)
{
    lock(x);
    value++;
    unlock(x);
    step_done(2);
    return arg;
}

NOINLINE static void *misses(void *arg)
{
    value++;
    step_done(2);
    return arg;
}

static void *tries(void *arg)
{
    step_wait(1);
    CHECK(pthread_mutex_trylock(x) == EBUSY);
    step_done(2);
    lock(x);
    value++;
    unlock(x);
    return arg;
}

static void *follows(void *f)
{
    step_wait(1);
    return ((case_routine)f)(NULL);
}

NOINLINE static void call(case_routine other)
{
    pthread_mutex_t local = PTHREAD_MUTEX_INITIALIZER;
    CHECK(!address || address == &local);
    address = x = &local;
    step_done(0);
    pthread_t t = other == tries ? start(tries, NULL) : start(follows, (void *)other);
    lock(&local);
    value++;
    if (other == tries) {
        step_done(1);
        step_wait(2);
    }
    unlock(&local);
    step_done(1);
    join(t);
}

int main(int argc, char **argv)
{
    (void)argc;
    if (shape_is(argv, "handed")) {
        call(guards);
        call(guards);
        call(guards);
    } else if (shape_is(argv, "held")) {
        call(guards);
        call(tries);
    } else {
        call(guards);
        call(shape_is(argv, "missed") ? misses : guards);
    }
    return 0;
}
