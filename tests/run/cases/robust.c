/* Robust mutexes: EOWNERDEAD means taken, in every variant; ENOTRECOVERABLE means not taken.
 *
 * The owner is a process that dies holding it: that is what robust mutexes are for.
 * @case robust_owner_dead lock
 * @clean
 * @case robust_owner_dead_try try
 * @clean
 * @case robust_owner_dead_timed timed
 * @clean
 * @case robust_not_recoverable lost
 * @clean
 * What is taken with EOWNERDEAD is held: its order counts.
 * @case robust_owner_dead_order order
 * @finding lock-order locks=*,b side=one side=two
 * The owner is a thread that ends holding it: the next one is told, and makes it good.
 * @case robust_thread_ended thread
 * @clean
 */
#include "case.h"

static pthread_mutex_t *m;
static pthread_mutex_t left, b = PTHREAD_MUTEX_INITIALIZER;
static const char *shape;

static int is(const char *name)
{
    return !strcmp(shape, name);
}

static void robust(pthread_mutex_t *at)
{
    pthread_mutexattr_t attr;
    pthread_mutexattr_init(&attr);
    pthread_mutexattr_setpshared(&attr, PTHREAD_PROCESS_SHARED);
    pthread_mutexattr_setrobust(&attr, PTHREAD_MUTEX_ROBUST);
    CHECK(!pthread_mutex_init(at, &attr));
}

static int take(void)
{
    struct timespec far;
    clock_gettime(CLOCK_REALTIME, &far);
    far.tv_sec += 1000;
    if (is("try"))
        return pthread_mutex_trylock(m);
    if (is("timed"))
        return pthread_mutex_timedlock(m, &far);
    return lock(m);
}

static void *one(void *arg)
{
    CHECK(take() == EOWNERDEAD);
    if (!is("lost"))
        CHECK(!pthread_mutex_consistent(m));
    if (is("order")) {
        lock(&b);
        unlock(&b);
    }
    CHECK(!unlock(m));
    if (is("lost"))
        CHECK(lock(m) == ENOTRECOVERABLE);
    step_done(1);
    return arg;
}

static void *two(void *arg)
{
    step_wait(1);
    if (is("lost"))
        CHECK(pthread_mutex_trylock(m) == ENOTRECOVERABLE);
    else if (is("order")) {
        lock(&b);
        lock(m);
        unlock(m);
        unlock(&b);
    } else {
        CHECK(!lock(m));
        unlock(m);
    }
    return arg;
}

static void *ends_holding(void *arg)
{
    lock(&left);
    return arg;
}

int main(int argc, char **argv)
{
    if (argc < 2)
        return 64;
    shape = argv[1];
    if (is("thread")) {
        robust(&left);
        join(start(ends_holding, NULL));
        CHECK(lock(&left) == EOWNERDEAD);
        pthread_mutex_consistent(&left);
        unlock(&left);
        return 0;
    }
    m = case_memory(4096);
    robust(m);
    pid_t child = fork();
    if (!child) {
        lock(m);
        kill(getpid(), SIGKILL);
    }
    waitpid(child, NULL, 0);
    pthread_t t1 = start(one, NULL), t2 = start(two, NULL);
    join(t1);
    join(t2);
    return 0;
}
