/* How threads begin and end, and what is taken on the way.
 *
 * @case cond_wait_cancelled cond_cancel
 * @clean
 * @case cond_wait_cancelled_order cond_cancel_order
 * @finding lock-order locks=m,b side=waits side=opposite
 * @case pthread_cancel_asynchronous cancel_async
 * @clean
 * @case thread_exit_key_destructors keys
 * @clean
 * @case detached_threads detached
 * @clean
 * @case detached_outlives_main outlives
 * @clean
 * A later thread with the same pthread_t is another thread.
 * @case thread_ids_and_stacks_reused reused
 * @finding lock-order locks=a,b side=one side=two
 * @case thread_ids_and_stacks_reused_many many
 * @clean
 * @case small_stacks small
 * @finding lock-order locks=a,b side=one side=two
 * @case own_stacks own
 * @finding lock-order locks=a,b side=one side=two
 * @case exit_in_thread exit_in_thread
 * @exit 7
 * @clean
 * @case pthread_exit_in_main main_exit
 * @clean
 * @case ten_thousand_threads threads 10000
 * @labels slow
 * @clean
 * @seconds 300
 * @repeats 1
 * @case two_thousand_threads threads 2000
 * @clean
 * @seconds 120
 * @repeats 1
 */
#include "inversion.h"
#include <sys/resource.h>
#include <sys/stat.h>

static pthread_mutex_t m = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t c = PTHREAD_COND_INITIALIZER;
static pthread_key_t key;
static const char *shape;
static int rounds;

static int is(const char *name)
{
    return !strcmp(shape, name);
}

static void gives_back(void *arg)
{
    if (is("cond_cancel_order")) {
        lock(&b); /* the handler finds m held again */
        unlock(&b);
    }
    CHECK(!unlock(arg));
}

static void *waits(void *arg)
{
    lock(&m);
    pthread_cleanup_push(gives_back, &m);
    step_done(1);
    for (;;)
        pthread_cond_wait(&c, &m);
    pthread_cleanup_pop(0);
    return arg;
}

static void *opposite(void *arg)
{
    lock(&b);
    lock(&m);
    unlock(&m);
    unlock(&b);
    step_done(2);
    return arg;
}

static void cond_cancel(void)
{
    pthread_t t = start(waits, NULL);
    step_wait(1);
    lock(&m); /* it waits */
    unlock(&m);
    if (is("cond_cancel_order")) {
        pthread_t o = start(opposite, NULL);
        step_wait(2); /* else they may meet, and stay */
        pthread_cancel(t);
        join(o);
    } else
        pthread_cancel(t);
    void *result;
    pthread_join(t, &result);
    CHECK(result == PTHREAD_CANCELED);
    lock(&m);
    unlock(&m);
}

static volatile long turns;

static void *turns_for_ever(void *arg)
{
    pthread_setcanceltype(PTHREAD_CANCEL_ASYNCHRONOUS, NULL);
    lock(&m);
    pthread_cleanup_push(gives_back, &m);
    step_done(1);
    for (;;)
        turns++;
    pthread_cleanup_pop(1);
    return arg;
}

static void cancel_async(void)
{
    for (int i = 0; i < 10; i++) {
        void *result;
        step_done(0);
        pthread_t t = start(turns_for_ever, NULL);
        step_wait(1);
        pthread_cancel(t);
        pthread_join(t, &result);
        CHECK(result == PTHREAD_CANCELED);
        lock(&m);
        unlock(&m);
    }
}

static void key_gone(void *arg)
{
    lock(&a);
    lock(&b);
    unlock(&b);
    unlock(&a);
    if (++rounds % PTHREAD_DESTRUCTOR_ITERATIONS)
        pthread_setspecific(key, arg); /* once more, please */
}

static void *sets_key(void *arg)
{
    pthread_setspecific(key, &key);
    lock(&a);
    unlock(&a);
    return arg;
}

/* Until the kernel knows one thread only: then the stack of the other may be given away. */
static void wait_until_alone(void)
{
    struct stat st;
    do {
        nap_ms(1);
        CHECK(!stat("/proc/self/task", &st));
    } while (st.st_nlink > 3);
}

static void reused(void)
{
    pthread_t first = start(one, NULL);
    pthread_detach(first);
    step_wait(1);
    wait_until_alone();
    pthread_t again = start(two, NULL);
    step_wait(2);
    if (!pthread_equal(first, again))
        _exit(77);
    join(again);
}

static void *short_life(void *arg)
{
    pthread_mutex_t local = PTHREAD_MUTEX_INITIALIZER;
    int turned = (int)(long)arg % 2;
    lock(turned ? &a : &local); /* one order each with a lock of this stack: never the same lock twice */
    lock(turned ? &local : &a);
    unlock(&local);
    unlock(&a);
    return arg;
}

static void *counts(void *arg)
{
    lock(&m);
    rounds++;
    unlock(&m);
    if (arg) {
        meet(0, (int)(long)arg);
    }
    return NULL;
}

static void many_threads(int n)
{
    pthread_attr_t attr;
    pthread_t *t = calloc((size_t)n, sizeof *t);
    struct rlimit r;
    int made = 0;
    getrlimit(RLIMIT_NPROC, &r);
    r.rlim_cur = r.rlim_max;
    setrlimit(RLIMIT_NPROC, &r);
    pthread_attr_init(&attr);
    pthread_attr_setstacksize(&attr, 65536);
    for (; made < n; made++)
        if (pthread_create(&t[made], &attr, counts, (void *)(long)n))
            break;
    if (made < n) {
        dprintf(2, "only %d threads\n", made);
        _exit(77);
    }
    for (int i = 0; i < n; i++)
        join(t[i]);
    CHECK(rounds == n);
    free(t);
}

static void with_stacks(int own)
{
    pthread_attr_t attr;
    pthread_t t1, t2;
    pthread_attr_init(&attr);
    pthread_attr_setstacksize(&attr, PTHREAD_STACK_MIN);
    if (own)
        pthread_attr_setstack(&attr, case_memory(65536), 65536);
    CHECK(!pthread_create(&t1, &attr, one, NULL));
    if (own)
        pthread_attr_setstack(&attr, case_memory(65536), 65536);
    CHECK(!pthread_create(&t2, &attr, two, NULL));
    join(t1);
    join(t2);
}

static void *exits(void *arg)
{
    lock(&m);
    unlock(&m);
    if (is("outlives"))
        nap_ms(100);
    if (is("exit_in_thread"))
        exit(7);
    return arg;
}

int main(int argc, char **argv)
{
    if (argc < 2)
        return 64;
    shape = argv[1];
    pthread_key_create(&key, key_gone);
    if (is("cond_cancel") || is("cond_cancel_order"))
        cond_cancel();
    else if (is("cancel_async"))
        cancel_async();
    else if (is("keys")) {
        for (int i = 0; i < 20; i++) {
            pthread_t t = start(sets_key, NULL);
            join(t);
        }
        CHECK(rounds == 20 * PTHREAD_DESTRUCTOR_ITERATIONS);
    } else if (is("detached") || is("outlives"))
        for (int i = 0; i < 20; i++)
            pthread_detach(start(exits, NULL));
    else if (is("reused"))
        reused();
    else if (is("many"))
        for (long i = 0; i < 2000; i++)
            join(start(short_life, (void *)i));
    else if (is("small") || is("own"))
        with_stacks(is("own"));
    else if (is("threads"))
        many_threads(atoi(argv[2]));
    else {
        pthread_t t = start(exits, NULL);
        if (is("main_exit"))
            pthread_exit(NULL);
        join(t);
    }
    return 0;
}
