/* Locks used against their rules, each beside the nearest legal program.
 *
 * @case unlock_not_owner unlock_not_owner
 * @finding lock-misuse:unlock-not-owner verdict=observed locks=m side=unlocks_only counts=yes
 * @status 66
 * @case unlock_not_owner_errorcheck unlock_not_owner errorcheck
 * @finding lock-misuse:unlock-not-owner locks=m side=unlocks_only
 * @case unlock_not_owner_recursive unlock_not_owner recursive
 * @finding lock-misuse:unlock-not-owner locks=m side=unlocks_only
 * @case unlock_not_owner_inherit unlock_not_owner inherit
 * @finding lock-misuse:unlock-not-owner locks=m side=unlocks_only
 * @case unlock_not_owner_rwlock unlock_not_owner_rwlock
 * @finding lock-misuse:unlock-not-owner locks=rw side=unlocks_only
 * @case unlock_not_owner_spin unlock_not_owner_spin
 * @finding lock-misuse:unlock-not-owner locks=sp side=unlocks_only
 * A semaphore may be given back by anybody.
 * @case handed_over_by_semaphore sem_handover
 * @clean
 * @case unlock_by_owner unlock_by_owner
 * @clean
 *
 * @case unlock_not_locked unlock_not_locked
 * @finding lock-misuse:unlock-not-locked locks=m side=main
 * @case unlock_not_locked_twice unlock_twice
 * @finding lock-misuse:unlock-not-locked locks=m side=main
 * @case unlock_not_locked_errorcheck unlock_not_locked errorcheck
 * @finding lock-misuse:unlock-not-locked locks=m side=main
 * @case unlock_not_locked_rwlock unlock_not_locked_rwlock
 * @finding lock-misuse:unlock-not-locked locks=rw side=main
 * @case unlock_as_often_as_locked unlock_balanced recursive
 * @clean
 *
 * @case relock relock
 * @finding lock-misuse:relock verdict=observed locks=m side=main
 * @strikes
 * @status 66
 * @case relock_break relock_break
 * @snarl --on-deadlock=break
 * @finding lock-misuse:relock verdict=observed locks=m side=main
 * @strikes
 * @status 66
 * @output went on\n
 * @case relock_report relock
 * @snarl --on-deadlock=report
 * @finding lock-misuse:relock verdict=observed locks=m side=main
 * @strikes
 * @hangs
 * An error-checking mutex answers with EDEADLK and goes on.
 * An error-checking mutex answers EDEADLK instead of blocking: nobody locks itself out.
 * @case relock_errorcheck relock errorcheck
 * @clean
 * @case relock_spin relock_spin
 * @finding lock-misuse:relock verdict=observed locks=sp side=main
 * @strikes
 * @case relock_write relock_write
 * @finding lock-misuse:relock locks=rw side=main
 * @case relock_in_callee relock_in_callee
 * @finding lock-misuse:relock verdict=observed locks=m side=main+callee
 * @strikes
 * @case relock_recursive relock recursive
 * @clean
 * @case relock_timed relock_timed
 * @clean
 * @case relock_try relock_try
 * @clean
 *
 * @case destroy_locked destroy_locked
 * @finding lock-misuse:destroy-locked locks=m side=main
 * @case destroy_locked_by_other destroy_locked_by_other
 * @finding lock-misuse:destroy-locked locks=m side=main side=holds_for_ever
 * @case destroy_locked_rwlock destroy_locked_rwlock
 * @finding lock-misuse:destroy-locked locks=rw side=main
 * @case free_locked free_locked
 * @finding lock-misuse:destroy-locked locks=holder.m side=main
 * @case init_locked init_locked
 * @finding lock-misuse:destroy-locked locks=m side=main
 * @case destroy_unlocked destroy_unlocked
 * @clean
 * @case free_unlocked free_unlocked
 * @clean
 *
 * @case use_destroyed use_destroyed
 * @finding lock-misuse:use-destroyed locks=m side=main
 * A destroyed rwlock looks the same as one that was given its static initialiser again: not told.
 * @case use_destroyed_rwlock use_destroyed_rwlock
 * @clean
 * @case use_destroyed_sem use_destroyed_sem
 * @finding lock-misuse:use-destroyed locks=s side=main
 * @case destroy_twice destroy_twice
 * @finding lock-misuse:use-destroyed locks=m side=main
 * @case destroyed_then_initialised destroy_then_init
 * @clean
 *
 * @case lock_left_at_thread_exit left
 * @finding lock-misuse:lock-left-at-thread-exit locks=m side=leaves
 * @case lock_left_at_pthread_exit left_by_exit
 * @finding lock-misuse:lock-left-at-thread-exit locks=m side=leaves
 * @case lock_left_by_cancel left_by_cancel
 * @finding lock-misuse:lock-left-at-thread-exit locks=m side=leaves
 * @case lock_left_rwlock left_rwlock
 * @finding lock-misuse:lock-left-at-thread-exit locks=rw side=leaves
 * The end of the process is no end of a thread.
 * @case lock_held_at_process_exit held_at_exit
 * @clean
 * @case lock_held_by_thread_at_process_exit thread_held_at_exit
 * @clean
 * @case lock_given_back_by_cleanup cleanup
 * @clean
 * @case lock_given_back_by_key_destructor key
 * @clean
 *
 * @case wait_without_lock wait_without_lock
 * @finding lock-misuse:wait-without-lock locks=m side=main
 * @case wait_with_lock_of_other wait_other
 * @finding lock-misuse:wait-without-lock locks=m side=main
 * Kinds that check their owner refuse to wait: the program goes on.
 * @case wait_refused_errorcheck wait_refused errorcheck
 * @finding lock-misuse:wait-without-lock locks=m side=main
 * @stderr The call returned an error and changed nothing
 * @case wait_refused_recursive wait_refused recursive
 * @finding lock-misuse:wait-without-lock locks=m side=main
 * @case wait_refused_robust wait_refused robust
 * @finding lock-misuse:wait-without-lock locks=m side=main
 * @case wait_refused_inherit wait_refused inherit
 * @finding lock-misuse:wait-without-lock locks=m side=main
 * @case wait_refused_beside_owner wait_refused_other errorcheck
 * @finding lock-misuse:wait-without-lock locks=m side=main
 * @case wait_with_lock wait_with_lock
 * @clean
 *
 * @case wait_two_mutexes two_mutexes
 * @finding lock-misuse:wait-two-mutexes locks=m,m2
 * @case wait_two_mutexes_one_after_another two_sequential
 * @clean
 *
 * @case rwlock_upgrade upgrade
 * @finding lock-misuse:rwlock-upgrade verdict=observed locks=rw side=main
 * @strikes
 * @case rwlock_upgrade_try upgrade_try
 * @clean
 * @case rwlock_released_then_written no_upgrade
 * @clean
 *
 * @case not_initialised garbage
 * @finding lock-misuse:not-initialised locks=* side=main
 * @case initialised_static static_init
 * @clean
 * @case initialised_zero_memory zero_memory
 * @clean
 */
#include "case.h"

struct holder {
    char name[24];
    pthread_mutex_t m;
};

static pthread_mutex_t m = PTHREAD_MUTEX_INITIALIZER, m2 = PTHREAD_MUTEX_INITIALIZER;
static pthread_rwlock_t rw = PTHREAD_RWLOCK_INITIALIZER;
static pthread_cond_t c = PTHREAD_COND_INITIALIZER;
static pthread_spinlock_t sp;
static pthread_key_t key;
static sem_t s;
static int turns;
static const char *shape;

static int is(const char *name)
{
    return !strcmp(shape, name);
}

static int starts(const char *prefix)
{
    return !strncmp(shape, prefix, strlen(prefix));
}

static struct timespec in_ms(long ms)
{
    struct timespec ts;
    clock_gettime(CLOCK_REALTIME, &ts);
    long ns = ts.tv_nsec + ms * 1000000;
    ts.tv_sec += ns / 1000000000 - (ns < 0);
    ts.tv_nsec = (ns % 1000000000 + 1000000000) % 1000000000;
    return ts;
}

/* Holds the lock until somebody else has unlocked it. */
static void *locks_only(void *arg)
{
    if (is("unlock_not_owner_rwlock"))
        pthread_rwlock_wrlock(&rw);
    else if (is("unlock_not_owner_spin"))
        pthread_spin_lock(&sp);
    else
        lock(&m);
    step_done(1);
    step_wait(2);
    if (is("unlock_by_owner"))
        unlock(&m);
    else if (arg) /* the unlock of the other failed with an error */
        unlock(&m);
    return NULL;
}

static void *unlocks_only(void *arg)
{
    step_wait(1);
    if (is("unlock_not_owner_rwlock"))
        pthread_rwlock_unlock(&rw);
    else if (is("unlock_not_owner_spin"))
        pthread_spin_unlock(&sp);
    else if (!is("unlock_by_owner")) {
        int r = unlock(&m);
        CHECK(!r == !arg);
    }
    step_done(2);
    return NULL;
}

static void *holds_for_ever(void *arg)
{
    lock(&m);
    step_done(1);
    for (;;)
        nap_ms(1000);
    return arg;
}

static void give_back(void *mutex)
{
    unlock(mutex);
}

static void *leaves(void *arg)
{
    if (is("left_rwlock"))
        pthread_rwlock_rdlock(&rw);
    else
        lock(&m);
    if (is("left_by_exit"))
        pthread_exit(arg);
    if (is("left_by_cancel")) {
        step_done(1);
        for (;;)
            sleep(1000);
    }
    if (is("key"))
        pthread_setspecific(key, &m);
    if (is("cleanup")) {
        pthread_cleanup_push(give_back, &m);
        pthread_exit(arg);
        pthread_cleanup_pop(0);
    }
    return arg;
}

static void *waits(void *mutex)
{
    lock(mutex);
    turns++;
    step_done(turns);
    struct timespec limit = in_ms(200000);
    while (turns < 10)
        pthread_cond_timedwait(&c, mutex, &limit);
    unlock(mutex);
    return NULL;
}

static void two_mutexes(int together)
{
    turns = 0;
    pthread_t t1 = start(waits, &m), t2 = 0;
    step_wait(1);
    lock(&m); /* it waits now */
    unlock(&m);
    if (together) {
        t2 = start(waits, &m2);
        step_wait(2);
        lock(&m2);
    }
    turns = 10;
    if (together)
        unlock(&m2);
    pthread_cond_broadcast(&c);
    join(t1);
    if (together)
        join(t2);
    else {
        step_done(0);
        turns = 0;
        t2 = start(waits, &m2);
        step_wait(1);
        lock(&m2);
        turns = 10;
        pthread_cond_broadcast(&c);
        unlock(&m2);
        join(t2);
    }
}

NOINLINE static void callee(void)
{
    lock(&m);
    unlock(&m);
}

static void relocks(int errorcheck)
{
    struct timespec soon = in_ms(20);
    if (is("relock_spin")) {
        pthread_spin_lock(&sp);
        pthread_spin_lock(&sp);
    } else if (is("relock_write")) {
        pthread_rwlock_wrlock(&rw);
        CHECK(pthread_rwlock_wrlock(&rw) == EDEADLK);
        pthread_rwlock_unlock(&rw);
    } else if (is("relock_in_callee")) {
        lock(&m);
        callee();
        unlock(&m);
    } else if (is("relock_timed")) {
        lock(&m);
        CHECK(pthread_mutex_timedlock(&m, &soon) == ETIMEDOUT);
        unlock(&m);
    } else if (is("relock_try")) {
        lock(&m);
        CHECK(pthread_mutex_trylock(&m) == EBUSY);
        unlock(&m);
    } else {
        lock(&m);
        int r = lock(&m);
        CHECK(!r || errorcheck || is("relock_break"));
        if (!errorcheck)
            unlock(&m);
        CHECK(!unlock(&m));
        if (is("relock_break"))
            dprintf(1, "went on\n");
    }
}

static void destroys(void)
{
    struct holder *h = malloc(sizeof *h);
    pthread_mutex_init(&h->m, NULL);
    if (is("destroy_locked_by_other")) {
        start(holds_for_ever, NULL);
        step_wait(1);
        pthread_mutex_destroy(&m);
    } else if (is("destroy_locked_rwlock")) {
        pthread_rwlock_rdlock(&rw);
        pthread_rwlock_destroy(&rw);
    } else if (is("free_locked")) {
        lock(&h->m);
        free(h);
        return;
    } else if (is("free_unlocked")) {
        lock(&h->m);
        unlock(&h->m);
    } else if (is("init_locked")) {
        lock(&m);
        pthread_mutex_init(&m, NULL);
    } else if (is("destroy_locked")) {
        lock(&m);
        CHECK(pthread_mutex_destroy(&m) == EBUSY);
        unlock(&m);
    } else if (is("destroy_twice")) {
        pthread_mutex_destroy(&m);
        pthread_mutex_destroy(&m);
    } else {
        lock(&m);
        unlock(&m);
        pthread_mutex_destroy(&m);
        if (is("destroy_then_init")) {
            pthread_mutex_init(&m, NULL);
            lock(&m);
            unlock(&m);
        }
    }
    free(h);
}

static void uses_destroyed(void)
{
    if (is("use_destroyed")) {
        lock(&m);
        unlock(&m);
        pthread_mutex_destroy(&m);
        lock(&m);
    } else if (is("use_destroyed_rwlock")) {
        pthread_rwlock_wrlock(&rw);
        pthread_rwlock_unlock(&rw);
        pthread_rwlock_destroy(&rw);
        if (!pthread_rwlock_rdlock(&rw))
            pthread_rwlock_unlock(&rw);
    } else {
        sem_wait(&s);
        sem_post(&s);
        sem_destroy(&s);
        if (!sem_trywait(&s))
            sem_post(&s);
    }
}

static void waits_on(void)
{
    struct timespec past = in_ms(-100);
    if (is("wait_other") || is("wait_refused_other")) {
        start(holds_for_ever, NULL);
        step_wait(1);
    }
    if (is("wait_refused") || is("wait_refused_other")) {
        for (int i = 0; i < 2; i++)
            CHECK(pthread_cond_wait(&c, &m) == EPERM);
        return;
    }
    if (is("wait_with_lock"))
        lock(&m);
    /* The time is over already: only the misuse itself happens. */
    if (!is("wait_other"))
        CHECK(pthread_cond_timedwait(&c, &m, &past) == ETIMEDOUT);
    else
        CHECK(pthread_cond_timedwait(&c, &m, &past));
    unlock(&m);
}

static void leaving(void)
{
    pthread_key_create(&key, give_back);
    if (is("held_at_exit")) {
        lock(&m);
        pthread_rwlock_rdlock(&rw);
        exit(0);
    }
    if (is("thread_held_at_exit")) {
        start(holds_for_ever, NULL);
        step_wait(1);
        exit(0);
    }
    pthread_t t = start(leaves, NULL);
    if (is("left_by_cancel")) {
        step_wait(1);
        pthread_cancel(t);
    }
    join(t);
}

static void upgrades(void)
{
    pthread_rwlock_rdlock(&rw);
    if (is("upgrade_try")) {
        CHECK(pthread_rwlock_trywrlock(&rw) == EBUSY);
        pthread_rwlock_unlock(&rw);
        return;
    }
    if (is("no_upgrade"))
        pthread_rwlock_unlock(&rw);
    pthread_rwlock_wrlock(&rw);
    pthread_rwlock_unlock(&rw);
}

static void initialises(void)
{
    static pthread_mutex_t st = PTHREAD_MUTEX_INITIALIZER;
    struct holder *h = malloc(sizeof *h);
    memset(h, 0, sizeof *h);
    if (is("garbage")) { /* everything zero but the kind, so that nothing hangs: glibc says EINVAL */
        h->m.__data.__kind = 0x7b;
        CHECK(lock(&h->m));
    } else if (is("zero_memory")) {
        lock(&h->m);
        unlock(&h->m);
    } else {
        lock(&st);
        unlock(&st);
    }
    free(h);
}

static void unlocks(int recursive)
{
    if (is("unlock_twice") || is("unlock_balanced"))
        lock(&m);
    if (is("unlock_balanced") && recursive)
        lock(&m), unlock(&m);
    if (is("unlock_not_locked_rwlock"))
        pthread_rwlock_unlock(&rw);
    else
        unlock(&m);
    if (is("unlock_twice"))
        unlock(&m);
}

static void dispatch(const char *kind)
{
    if (is("sem_handover")) {
        sem_wait(&s);
        step_done(1);
        sem_post(&s);
    } else if (starts("unlock_not_owner") || is("unlock_by_owner")) {
        void *fails = *kind ? &m : NULL;
        pthread_t t1 = start(locks_only, fails), t2 = start(unlocks_only, fails);
        join(t1);
        join(t2);
    } else if (starts("unlock"))
        unlocks(!strcmp(kind, "recursive"));
    else if (starts("relock"))
        relocks(!strcmp(kind, "errorcheck"));
    else if (starts("destroy") || starts("free") || is("init_locked"))
        destroys();
    else if (starts("use_"))
        uses_destroyed();
    else if (starts("wait_"))
        waits_on();
    else if (starts("two_"))
        two_mutexes(is("two_mutexes"));
    else if (starts("left") || strstr(shape, "held_at_exit") || is("cleanup") || is("key"))
        leaving();
    else if (strstr(shape, "upgrade"))
        upgrades();
    else
        initialises();
}

int main(int argc, char **argv)
{
    pthread_mutexattr_t attr;
    if (argc < 2)
        return 64;
    shape = argv[1];
    const char *kind = argc > 2 ? argv[2] : "";
    pthread_mutexattr_init(&attr);
    if (!strcmp(kind, "errorcheck"))
        pthread_mutexattr_settype(&attr, PTHREAD_MUTEX_ERRORCHECK);
    if (!strcmp(kind, "recursive"))
        pthread_mutexattr_settype(&attr, PTHREAD_MUTEX_RECURSIVE);
    if (!strcmp(kind, "inherit"))
        pthread_mutexattr_setprotocol(&attr, PTHREAD_PRIO_INHERIT);
    if (!strcmp(kind, "robust"))
        pthread_mutexattr_setrobust(&attr, PTHREAD_MUTEX_ROBUST);
    if (*kind)
        pthread_mutex_init(&m, &attr);
    pthread_spin_init(&sp, 0);
    sem_init(&s, 0, 1);
    dispatch(kind);
    return 0;
}
