/* C11 threads: seen themselves, since glibc's go past the names of pthread; counted once.
 *
 * @case c11_abba abba
 * @finding lock-order locks=a,b side=one side=two
 * @case c11_recursive recursive
 * @clean
 * @case c11_timed timed
 * @finding lock-order locks=a,b side=one side=two
 * @case c11_try try
 * @clean
 * @case c11_joined joined
 * @clean
 * @case c11_condition condition
 * @clean
 * @case c11_condition_timed condition_timed
 * @clean
 * @case c11_call_once once
 * @finding lock-order locks=flag,a side=one side=two
 * @case c11_exit exit
 * @clean
 */
#include "case.h"
#include <threads.h>

static mtx_t a, b;
static cnd_t c;
static once_flag flag = ONCE_FLAG_INIT;
static int ready;
static const char *shape;

static int is(const char *name)
{
    return !strcmp(shape, name);
}

static void second(mtx_t *m)
{
    struct timespec far;
    timespec_get(&far, TIME_UTC);
    far.tv_sec += 1000;
    if (is("timed") && m == &b)
        CHECK(mtx_timedlock(m, &far) == thrd_success);
    else if (is("try"))
        CHECK(mtx_trylock(m) == thrd_success);
    else
        CHECK(mtx_lock(m) == thrd_success);
}

static void init(void)
{
    mtx_lock(&a);
    mtx_unlock(&a);
}

static int one(void *arg)
{
    (void)arg;
    if (is("once"))
        call_once(&flag, init);
    else {
        mtx_lock(&a);
        if (is("recursive"))
            mtx_lock(&a);
        second(&b);
        mtx_unlock(&b);
        if (is("recursive"))
            mtx_unlock(&a);
        mtx_unlock(&a);
    }
    step_done(1);
    if (is("exit"))
        thrd_exit(7);
    return 7;
}

static int two(void *arg)
{
    (void)arg;
    step_wait(1);
    if (is("recursive") || is("exit"))
        return one(arg);
    if (is("once")) {
        mtx_lock(&a);
        call_once(&flag, init);
        mtx_unlock(&a);
    } else {
        mtx_lock(&b);
        second(&a);
        mtx_unlock(&a);
        mtx_unlock(&b);
    }
    return 7;
}

static int waits(void *arg)
{
    struct timespec far;
    (void)arg;
    timespec_get(&far, TIME_UTC);
    far.tv_sec += 1000;
    mtx_lock(&a);
    while (!ready)
        if (is("condition"))
            cnd_wait(&c, &a);
        else
            CHECK(cnd_timedwait(&c, &a, &far) == thrd_success);
    mtx_unlock(&a);
    return 7;
}

static int wakes(void *arg)
{
    (void)arg;
    mtx_lock(&a);
    ready = 1;
    cnd_broadcast(&c);
    mtx_unlock(&a);
    return 7;
}

int main(int argc, char **argv)
{
    thrd_t t1, t2;
    int r1 = 0, r2 = 0;
    if (argc < 2)
        return 64;
    shape = argv[1];
    int waiting = is("condition") || is("condition_timed");
    mtx_init(&a, is("recursive") ? mtx_plain | mtx_recursive : mtx_timed);
    mtx_init(&b, mtx_timed);
    cnd_init(&c);
    CHECK(thrd_create(&t1, waiting ? waits : one, NULL) == thrd_success);
    if (is("joined"))
        thrd_join(t1, &r1);
    CHECK(thrd_create(&t2, waiting ? wakes : two, NULL) == thrd_success);
    if (!is("joined"))
        thrd_join(t1, &r1);
    thrd_join(t2, &r2);
    CHECK(r1 == 7 && r2 == 7);
    cnd_destroy(&c);
    mtx_destroy(&a);
    mtx_destroy(&b);
    return 0;
}
