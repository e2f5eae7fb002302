/* Semaphores: one that starts at 1 and is only given back by its last taker is a lock. Anything else is not.
 *
 * @case sem_abba abba
 * @finding lock-order locks=s_,u_ side=one side=two
 * @case sem_and_mutex mutex
 * @finding lock-order locks=s_,m side=one side=two
 * Their names hold the process id here, so the ids differ.
 * @case sem_named_abba named
 * @finding lock-order locks=*snarl-case-first*,*snarl-case-second* side=one side=two
 * @no-ids
 * @case sem_try_closing try
 * @clean
 * @case sem_timed timed
 * @finding lock-order locks=s_,u_ side=one side=two
 *
 * Started at 1, but another thread posts it too: an event, no lock.
 * @case sem_posted_by_other posted_by_other
 * @clean
 * Started at 2: two may pass.
 * @case sem_of_two two
 * @clean
 * @case sem_producer_consumer produce
 * @clean
 * A hand-over: taken by one, given back by the other, from the start.
 * @case sem_handover handover
 * @clean
 * Taking again what one took is waiting for somebody's post (as CPython's Condition does it), never a relock.
 * @case sem_wait_twice wait_twice
 * @clean
 */
#include "case.h"

static sem_t s_, u_;
static sem_t *s = &s_, *u = &u_;
static sem_t slots, items;
static pthread_mutex_t m = PTHREAD_MUTEX_INITIALIZER;
static const char *shape;

static int is(const char *name)
{
    return !strcmp(shape, name);
}

static void take_second(void)
{
    struct timespec far;
    clock_gettime(CLOCK_REALTIME, &far);
    far.tv_sec += 1000;
    if (is("mutex"))
        lock(&m);
    else if (is("try"))
        CHECK(!sem_trywait(u));
    else if (is("timed"))
        CHECK(!sem_timedwait(u, &far));
    else
        sem_wait(u);
}

static void give_second(void)
{
    if (is("mutex"))
        unlock(&m);
    else
        sem_post(u);
}

static void *one(void *arg)
{
    sem_wait(s);
    take_second();
    give_second();
    sem_post(s);
    step_done(1);
    return arg;
}

static void *two(void *arg)
{
    step_wait(1);
    take_second();
    sem_wait(s);
    sem_post(s);
    give_second();
    return arg;
}

static void *poster(void *arg)
{
    sem_wait(s);
    sem_wait(u); /* taken here, posted by the other below */
    step_done(1);
    step_wait(2);
    sem_post(s);
    step_done(3);
    return arg;
}

static void *other_poster(void *arg)
{
    step_wait(1);
    sem_post(u);
    step_done(2);
    step_wait(3);
    sem_wait(u);
    sem_wait(s);
    sem_post(s);
    sem_post(u);
    return arg;
}

static void *producer(void *arg)
{
    for (int i = 0; i < 100; i++) {
        sem_wait(&slots);
        lock(&m);
        unlock(&m);
        sem_post(&items);
    }
    return arg;
}

static void *consumer(void *arg)
{
    for (int i = 0; i < 100; i++) {
        sem_wait(&items);
        lock(&m);
        unlock(&m);
        sem_post(&slots);
    }
    return arg;
}

static void *taker(void *arg)
{
    sem_wait(s);
    lock(&m);
    unlock(&m);
    step_done(1);
    if (is("wait_twice")) {
        sem_wait(s);
        sem_post(s);
    }
    return arg;
}

static void *giver(void *arg)
{
    step_wait(1);
    if (is("wait_twice"))
        nap_ms(20);
    lock(&m);
    sem_post(s);
    unlock(&m);
    return arg;
}

int main(int argc, char **argv)
{
    case_routine f = one, g = two;
    char first[64], second[64];
    if (argc < 2)
        return 64;
    shape = argv[1];
    sem_init(s, 0, is("two") ? 2 : 1);
    sem_init(u, 0, is("two") ? 2 : 1);
    sem_init(&slots, 0, 4);
    sem_init(&items, 0, 0);
    snprintf(first, sizeof first, "/snarl-case-first-%d", (int)getpid());
    snprintf(second, sizeof second, "/snarl-case-second-%d", (int)getpid());
    if (is("named")) {
        s = sem_open(first, O_CREAT | O_EXCL, 0600, 1);
        u = sem_open(second, O_CREAT | O_EXCL, 0600, 1);
        CHECK(s != SEM_FAILED && u != SEM_FAILED);
    }
    if (is("posted_by_other"))
        f = poster, g = other_poster;
    if (is("produce"))
        f = producer, g = consumer;
    if (is("handover") || is("wait_twice"))
        f = taker, g = giver;
    pthread_t t1 = start(f, NULL), t2 = start(g, NULL);
    join(t1);
    join(t2);
    if (is("named")) {
        sem_close(s);
        sem_close(u);
        sem_unlink(first);
        sem_unlink(second);
    }
    return 0;
}
