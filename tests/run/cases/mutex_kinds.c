/* Every kind of mutex in opposite order, one thread after the other; recursion makes no order with itself.
 *
 * @case abba_normal normal
 * @finding lock-order locks=a,b side=one side=two
 * @case abba_recursive recursive
 * @finding lock-order locks=a,b side=one side=two
 * @case abba_errorcheck errorcheck
 * @finding lock-order locks=a,b side=one side=two
 * @case abba_adaptive adaptive
 * @finding lock-order locks=a,b side=one side=two
 * @case abba_robust robust
 * @finding lock-order locks=a,b side=one side=two
 * @case abba_priority_inheritance inherit
 * @finding lock-order locks=a,b side=one side=two
 * @case abba_priority_protect protect
 * @finding lock-order locks=a,b side=one side=two
 * @skip-status 77
 * @case abba_process_shared shared
 * @finding lock-order locks=a,b side=one side=two
 *
 * @case aa_recursive recursive aa
 * @clean
 * Taking again what one has is no order behind what came between.
 * @case aba_recursive recursive aba
 * @clean
 * Released only when the depth is zero: b is taken while a is still held.
 * @case aa_b_recursive recursive aa_b
 * @finding lock-order locks=a,b side=one side=two
 * @case aa_try_recursive recursive aa_try
 * @clean
 */
#include "case.h"

static pthread_mutex_t a, b;
static const char *shape = "";

static int is(const char *name)
{
    return !strcmp(shape, name);
}

static void make(pthread_mutex_t *m, const char *kind)
{
    pthread_mutexattr_t attr;
    pthread_mutexattr_init(&attr);
    if (!strcmp(kind, "recursive"))
        pthread_mutexattr_settype(&attr, PTHREAD_MUTEX_RECURSIVE);
    if (!strcmp(kind, "errorcheck"))
        pthread_mutexattr_settype(&attr, PTHREAD_MUTEX_ERRORCHECK);
    if (!strcmp(kind, "adaptive"))
        pthread_mutexattr_settype(&attr, PTHREAD_MUTEX_ADAPTIVE_NP);
    if (!strcmp(kind, "robust"))
        pthread_mutexattr_setrobust(&attr, PTHREAD_MUTEX_ROBUST);
    if (!strcmp(kind, "inherit"))
        pthread_mutexattr_setprotocol(&attr, PTHREAD_PRIO_INHERIT);
    if (!strcmp(kind, "protect")) {
        pthread_mutexattr_setprotocol(&attr, PTHREAD_PRIO_PROTECT);
        pthread_mutexattr_setprioceiling(&attr, sched_get_priority_min(SCHED_FIFO));
    }
    if (!strcmp(kind, "shared"))
        pthread_mutexattr_setpshared(&attr, PTHREAD_PROCESS_SHARED);
    CHECK(!pthread_mutex_init(m, &attr));
}

static void *one(void *arg)
{
    CHECK(!lock(&a));
    if (is("aa_b")) {
        lock(&a);
        unlock(&a);
    }
    if (is("aa")) {
        lock(&a);
        unlock(&a);
    } else if (is("aa_try")) {
        CHECK(!pthread_mutex_trylock(&a));
        unlock(&a);
    } else {
        lock(&b);
        if (is("aba"))
            lock(&a);
        if (is("aba"))
            unlock(&a);
        unlock(&b);
    }
    unlock(&a);
    step_done(1);
    return arg;
}

static void *two(void *arg)
{
    step_wait(1);
    if (is("aa") || is("aba") || is("aa_try"))
        return one(arg);
    lock(&b);
    lock(&a);
    unlock(&a);
    unlock(&b);
    return arg;
}

int main(int argc, char **argv)
{
    if (argc < 2)
        return 64;
    if (!strcmp(argv[1], "protect")) {
        struct sched_param low = {.sched_priority = sched_get_priority_min(SCHED_FIFO)};
        pthread_setschedparam(pthread_self(), SCHED_FIFO, &low);
    }
    make(&a, argv[1]);
    make(&b, argv[1]);
    if (argc > 2)
        shape = argv[2];
    int r = lock(&a);
    if (r == EPERM || r == EINVAL) {
        dprintf(2, "this machine does not allow priority ceilings\n");
        return 77;
    }
    unlock(&a);
    pthread_t t1 = start(one, NULL), t2 = start(two, NULL);
    join(t1);
    join(t2);
    pthread_mutex_destroy(&a);
    pthread_mutex_destroy(&b);
    return 0;
}
