/* A condition wait gives its mutex back and takes it again: that is an acquire behind everything else that is held.
 *
 * @case cond_relock_order relock_order
 * @finding lock-order locks=m,outer side=waiter side=opposite
 * @case cond_wait_alone alone
 * @clean
 * During the wait the mutex is free: no order with what others do meanwhile.
 * @case cond_wait_gives_back gives_back
 * @clean
 * @case cond_timedwait_holds timed
 * @finding lock-order locks=m,b side=waiter side=opposite
 * @case cond_clockwait_holds clock
 * @finding lock-order locks=m,b side=waiter side=opposite
 * @case cond_clockwait_clean clock_clean
 * @clean
 * @case cond_broadcast broadcast
 * @clean
 * @case cond_recursive_mutex recursive
 * @clean
 * @case cond_queue queue
 * @clean
 */
#include "case.h"

static pthread_mutex_t m = PTHREAD_MUTEX_INITIALIZER, outer = PTHREAD_MUTEX_INITIALIZER, b = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t c = PTHREAD_COND_INITIALIZER;
static int ready, waiting;
static const char *shape;

static int is(const char *name)
{
    return !strcmp(shape, name);
}

static int has(const char *part)
{
    return strstr(shape, part) != NULL;
}

static void wait_ready(void)
{
    struct timespec far;
    clock_gettime(has("clock") ? CLOCK_MONOTONIC : CLOCK_REALTIME, &far);
    far.tv_sec += 1000;
    waiting++;
    while (!ready)
        if (has("clock"))
            CHECK(!pthread_cond_clockwait(&c, &m, CLOCK_MONOTONIC, &far));
        else if (has("timed"))
            CHECK(!pthread_cond_timedwait(&c, &m, &far));
        else
            pthread_cond_wait(&c, &m);
}

static void *waiter(void *arg)
{
    lock(&m);
    if (is("relock_order"))
        lock(&outer);
    wait_ready();
    if (is("timed") || is("clock")) {
        lock(&b); /* m is held again */
        unlock(&b);
    }
    if (is("relock_order"))
        unlock(&outer);
    unlock(&m);
    step_done(2);
    return arg;
}

static void wake(int parties)
{
    for (int in = 0; !in;) { /* the waiters wait when they have given the mutex back */
        lock(&m);
        in = waiting == parties;
        unlock(&m);
        sched_yield();
    }
    lock(&m);
    ready = 1;
    if (parties > 1)
        pthread_cond_broadcast(&c);
    else
        pthread_cond_signal(&c);
    unlock(&m);
}

static void *opposite(void *arg)
{
    step_wait(2);
    if (is("timed") || is("clock")) {
        lock(&b);
        lock(&m);
        unlock(&m);
        unlock(&b);
    } else {
        lock(&m);
        lock(&outer);
        unlock(&outer);
        unlock(&m);
    }
    return arg;
}

/* Holds b while the other waits with m given back, takes m under it; the other never takes b under m. */
static void *meanwhile(void *arg)
{
    lock(&b);
    wake(1);
    unlock(&b);
    return arg;
}

static void *waker(void *arg)
{
    wake(arg ? 5 : 1);
    return arg;
}

static void make_recursive(void)
{
    pthread_mutexattr_t attr;
    pthread_mutexattr_init(&attr);
    pthread_mutexattr_settype(&attr, PTHREAD_MUTEX_RECURSIVE);
    pthread_mutex_init(&m, &attr);
}

static int queue[8], head, count;
static pthread_cond_t filled = PTHREAD_COND_INITIALIZER, emptied = PTHREAD_COND_INITIALIZER;

static void *puts_many(void *arg)
{
    for (int i = 0; i < 1000; i++) {
        lock(&m);
        while (count == 8)
            pthread_cond_wait(&emptied, &m);
        queue[(head + count++) % 8] = i;
        pthread_cond_signal(&filled);
        unlock(&m);
    }
    return arg;
}

static void *gets_many(void *arg)
{
    for (int i = 0; i < 1000; i++) {
        lock(&m);
        while (!count)
            pthread_cond_wait(&filled, &m);
        CHECK(queue[head] == i);
        head = (head + 1) % 8;
        count--;
        pthread_cond_signal(&emptied);
        unlock(&m);
    }
    return arg;
}

int main(int argc, char **argv)
{
    pthread_t t[8];
    int n = 0;
    if (argc < 2)
        return 64;
    shape = argv[1];
    if (is("recursive"))
        make_recursive();
    if (is("queue")) {
        t[n++] = start(puts_many, NULL);
        t[n++] = start(gets_many, NULL);
    } else {
        for (int i = 0; i < (is("broadcast") ? 5 : 1); i++)
            t[n++] = start(waiter, NULL);
        if (is("gives_back"))
            t[n++] = start(meanwhile, NULL);
        else
            t[n++] = start(waker, is("broadcast") ? argv : NULL);
        if (is("relock_order") || is("timed") || is("clock"))
            t[n++] = start(opposite, NULL);
    }
    for (int i = 0; i < n; i++)
        join(t[i]);
    return 0;
}
