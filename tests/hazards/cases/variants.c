/* Every variant of every call returns what it returns natively, keeps errno, and leaves the lock's memory to glibc.
 *
 * @case timed_and_clock_variants timed
 * @clean
 * @case priority_inheritance_adaptive_spin memory
 * @clean
 * @case cancellation_points_that_succeed_at_once cancel
 * @clean
 * @case errno_is_kept errno
 * @clean
 * @case error_returns errors
 * @clean
 */
#include "case.h"
#include <sys/stat.h>

static pthread_mutex_t m = PTHREAD_MUTEX_INITIALIZER;
static pthread_rwlock_t rw = PTHREAD_RWLOCK_INITIALIZER;
static pthread_cond_t c = PTHREAD_COND_INITIALIZER;
static sem_t s;

static struct timespec at(clockid_t clock, long ms)
{
    struct timespec ts;
    clock_gettime(clock, &ts);
    long ns = ts.tv_nsec + ms % 1000 * 1000000;
    ts.tv_sec += ms / 1000 + ns / 1000000000;
    ts.tv_nsec = ns % 1000000000;
    return ts;
}

/* Run by another thread while main holds everything: each attempt runs into its limit. */
static void *in_vain(void *arg)
{
    struct timespec real = at(CLOCK_REALTIME, 10), mono = at(CLOCK_MONOTONIC, 10), wrong = {0, 2000000000};
    CHECK(pthread_mutex_timedlock(&m, &real) == ETIMEDOUT);
    CHECK(pthread_mutex_clocklock(&m, CLOCK_MONOTONIC, &mono) == ETIMEDOUT);
    CHECK(pthread_mutex_clocklock(&m, CLOCK_REALTIME, &real) == ETIMEDOUT);
    CHECK(pthread_mutex_timedlock(&m, &wrong) == EINVAL);
    CHECK(pthread_mutex_clocklock(&m, 77, &mono) == EINVAL);
    CHECK(pthread_mutex_trylock(&m) == EBUSY);
    CHECK(pthread_rwlock_timedrdlock(&rw, &real) == ETIMEDOUT);
    CHECK(pthread_rwlock_timedwrlock(&rw, &real) == ETIMEDOUT);
    CHECK(pthread_rwlock_clockrdlock(&rw, CLOCK_MONOTONIC, &mono) == ETIMEDOUT);
    CHECK(pthread_rwlock_clockwrlock(&rw, CLOCK_MONOTONIC, &mono) == ETIMEDOUT);
    CHECK(pthread_rwlock_timedrdlock(&rw, &wrong) == EINVAL);
    CHECK(pthread_rwlock_tryrdlock(&rw) == EBUSY);
    CHECK(pthread_rwlock_trywrlock(&rw) == EBUSY);
    errno = 0;
    CHECK(sem_timedwait(&s, &real) == -1 && errno == ETIMEDOUT);
    errno = 0;
    CHECK(sem_clockwait(&s, CLOCK_MONOTONIC, &mono) == -1 && errno == ETIMEDOUT);
    errno = 0;
    CHECK(sem_timedwait(&s, &wrong) == -1 && errno == EINVAL);
    errno = 0;
    CHECK(sem_trywait(&s) == -1 && errno == EAGAIN);
    return arg;
}

static void *sleeper(void *arg)
{
    step_wait(1);
    return arg;
}

static void timed(void)
{
    struct timespec real = at(CLOCK_REALTIME, 10000), mono = at(CLOCK_MONOTONIC, 10000), soon;
    CHECK(!pthread_mutex_timedlock(&m, &real));
    CHECK(!unlock(&m));
    CHECK(!pthread_mutex_clocklock(&m, CLOCK_MONOTONIC, &mono));
    CHECK(!pthread_rwlock_timedrdlock(&rw, &real));
    CHECK(!pthread_rwlock_unlock(&rw));
    CHECK(!pthread_rwlock_clockrdlock(&rw, CLOCK_MONOTONIC, &mono));
    CHECK(!pthread_rwlock_unlock(&rw));
    CHECK(!pthread_rwlock_timedwrlock(&rw, &real));
    CHECK(!pthread_rwlock_unlock(&rw));
    CHECK(!pthread_rwlock_clockwrlock(&rw, CLOCK_MONOTONIC, &mono));
    join(start(in_vain, NULL));
    CHECK(!pthread_rwlock_unlock(&rw));
    soon = at(CLOCK_REALTIME, 10);
    CHECK(pthread_cond_timedwait(&c, &m, &soon) == ETIMEDOUT);
    soon = at(CLOCK_MONOTONIC, 10);
    CHECK(pthread_cond_clockwait(&c, &m, CLOCK_MONOTONIC, &soon) == ETIMEDOUT);
    soon.tv_nsec = -1;
    CHECK(pthread_cond_timedwait(&c, &m, &soon) == EINVAL);
    CHECK(!unlock(&m));
    sem_post(&s);
    CHECK(!sem_timedwait(&s, &real));
    sem_post(&s);
    CHECK(!sem_clockwait(&s, CLOCK_MONOTONIC, &mono));
    pthread_t t = start(sleeper, &s);
    void *result = NULL;
    CHECK(pthread_tryjoin_np(t, &result) == EBUSY);
    soon = at(CLOCK_REALTIME, 10);
    CHECK(pthread_timedjoin_np(t, &result, &soon) == ETIMEDOUT);
    soon = at(CLOCK_MONOTONIC, 10);
    CHECK(pthread_clockjoin_np(t, &result, CLOCK_MONOTONIC, &soon) == ETIMEDOUT);
    step_done(1);
    CHECK(!pthread_clockjoin_np(t, &result, CLOCK_MONOTONIC, &mono) && result == &s);
    t = start(sleeper, &m);
    CHECK(!pthread_timedjoin_np(t, &result, &real) && result == &m);
    t = start(sleeper, NULL);
    while (pthread_tryjoin_np(t, &result))
        sched_yield();
    CHECK(result == NULL);
}

/* The words of a lock are what glibc writes, whoever watches. */
static void memory(void)
{
    static const int protocols[] = {PTHREAD_PRIO_NONE, PTHREAD_PRIO_INHERIT};
    static const int types[] = {PTHREAD_MUTEX_NORMAL, PTHREAD_MUTEX_RECURSIVE, PTHREAD_MUTEX_ERRORCHECK,
                                PTHREAD_MUTEX_ADAPTIVE_NP};
    for (int p = 0; p < 2; p++)
        for (int t = 0; t < 4; t++)
            for (int robust = 0; robust < 2; robust++) {
                pthread_mutexattr_t attr;
                pthread_mutex_t x;
                memset(&x, 0, sizeof x);
                pthread_mutexattr_init(&attr);
                pthread_mutexattr_setprotocol(&attr, protocols[p]);
                pthread_mutexattr_settype(&attr, types[t]);
                pthread_mutexattr_setrobust(&attr, robust);
                CHECK(!pthread_mutex_init(&x, &attr));
                int kind = x.__data.__kind;
                CHECK(!lock(&x));
                CHECK(x.__data.__owner == gettid());
                CHECK(x.__data.__kind == kind);
                dprintf(1, "%d %d %d: kind %x lock %x users %u count %u\n", p, t, robust, (unsigned)kind,
                        protocols[p] ? !!x.__data.__lock : x.__data.__lock == (robust ? gettid() : 1),
                        x.__data.__nusers, x.__data.__count);
                CHECK(!unlock(&x));
                CHECK(!x.__data.__owner && !x.__data.__lock);
                CHECK(!pthread_mutex_destroy(&x));
            }
    pthread_spinlock_t spin;
    pthread_spin_init(&spin, 0);
    pthread_spin_lock(&spin);
    dprintf(1, "spin %d\n", spin);
    CHECK(pthread_spin_trylock(&spin) == EBUSY);
    pthread_spin_unlock(&spin);
    pthread_spin_destroy(&spin);
}

static int cleaned;
static void clean(void *arg)
{
    cleaned += arg != NULL;
}

static void *cancelled_in(void *what)
{
    pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, NULL);
    step_wait(2);
    pthread_setcancelstate(PTHREAD_CANCEL_ENABLE, NULL);
    pthread_cleanup_push(clean, what);
    struct timespec far = at(CLOCK_REALTIME, 100000);
    if (!strcmp(what, "sem_wait"))
        sem_wait(&s);
    else
        sem_timedwait(&s, &far);
    cleaned += 10000; /* never reached */
    pthread_cleanup_pop(0);
    return NULL;
}

static void *ended(void *arg)
{
    return arg;
}

static pthread_t finished;

static void *cancelled_in_join(void *arg)
{
    pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, NULL);
    step_wait(2);
    pthread_setcancelstate(PTHREAD_CANCEL_ENABLE, NULL);
    pthread_cleanup_push(clean, arg);
    pthread_join(finished, NULL);
    cleaned += 10000;
    pthread_cleanup_pop(0);
    return NULL;
}

static void cancel(void)
{
    static const char *const points[] = {"sem_wait", "sem_timedwait"};
    for (int i = 0; i < 2; i++) {
        void *result = NULL;
        step_done(0);
        sem_post(&s);
        pthread_t t = start(cancelled_in, (void *)points[i]);
        pthread_cancel(t);
        step_done(2);
        pthread_join(t, &result);
        CHECK(result == PTHREAD_CANCELED);
        CHECK(cleaned == i + 1);
        CHECK(!sem_trywait(&s)); /* the cancelled one has not taken it */
    }
    void *result = NULL;
    step_done(0);
    finished = start(ended, NULL);
    struct stat st;
    do {
        nap_ms(1);
        CHECK(!stat("/proc/self/task", &st));
    } while (st.st_nlink > 3); /* the kernel knows one thread only: it has ended */
    pthread_t t = start(cancelled_in_join, &finished);
    pthread_cancel(t);
    step_done(2);
    pthread_join(t, &result);
    /* glibc's versions differ in this: what matters is that it is the same watched and not. */
    dprintf(1, "join of an ended thread: %s, %d\n", result == PTHREAD_CANCELED ? "cancelled" : "joined", cleaned);
}

static void keeps_errno(void)
{
    static const int values[] = {0, 1, 4242};
    for (int i = 0; i < 3; i++) {
        errno = values[i];
        lock(&m), unlock(&m);
        pthread_rwlock_rdlock(&rw), pthread_rwlock_unlock(&rw);
        pthread_rwlock_wrlock(&rw), pthread_rwlock_unlock(&rw);
        CHECK(!pthread_mutex_trylock(&m));
        unlock(&m);
        sem_post(&s), sem_wait(&s);
        pthread_cond_signal(&c);
        void *p = malloc(100);
        free(p);
        int now = errno;
        pthread_t t = start(ended, NULL);
        join(t);
        CHECK(now == values[i]);
    }
}

static void errors(void)
{
    pthread_mutexattr_t attr;
    pthread_mutex_t check;
    pthread_mutexattr_init(&attr);
    pthread_mutexattr_settype(&attr, PTHREAD_MUTEX_ERRORCHECK);
    CHECK(!pthread_mutex_init(&check, &attr));
    CHECK(pthread_mutex_init(&check, NULL) == 0);
    CHECK(!pthread_mutex_destroy(&check));
    CHECK(sem_init(&s, 0, (unsigned)SEM_VALUE_MAX + 1U) == -1 && errno == EINVAL);
    sem_t full;
    CHECK(!sem_init(&full, 0, SEM_VALUE_MAX));
    errno = 0;
    CHECK(sem_post(&full) == -1 && errno == EOVERFLOW);
    CHECK(sem_open("/no-such-semaphore-here", 0) == SEM_FAILED && errno == ENOENT);
    pthread_t t;
    pthread_attr_t huge;
    pthread_attr_init(&huge);
    pthread_attr_setstacksize(&huge, (size_t)1 << 46);
    CHECK(pthread_create(&t, &huge, ended, NULL) == EAGAIN);
    CHECK(pthread_setname_np(pthread_self(), "a name that is much too long") == ERANGE);
}

int main(int argc, char **argv)
{
    if (argc < 2)
        return 64;
    sem_init(&s, 0, 0);
    if (shape_is(argv, "timed"))
        timed();
    else if (shape_is(argv, "memory"))
        memory();
    else if (shape_is(argv, "cancel"))
        cancel();
    else if (shape_is(argv, "errno"))
        keeps_errno();
    else
        errors();
    return 0;
}
