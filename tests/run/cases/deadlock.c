/* Deadlocks that happen, every time: reported at the moment they close, and the program ended (the default).
 *
 * @case deadlock_abba abba
 * @finding deadlock verdict=observed locks=lk[0],lk[1] side=one side=two marks=held-1,wait-1 counts=yes
 * @strikes
 * @status 66
 * @output before\n
 * @stderr deadlock
 *
 * @case deadlock_ring5 ring 5
 * @finding deadlock verdict=observed locks=lk[0],lk[1],lk[2],lk[3],lk[4]
 * @strikes
 * @case deadlock_ring100 ring 100
 * @finding deadlock verdict=observed locks=lk[*]
 * @strikes
 * @case deadlock_main_thread main
 * @finding deadlock verdict=observed locks=lk[0],lk[1] side=main side=two
 * @strikes
 *
 * @case deadlock_mutex_join join
 * @finding deadlock verdict=observed locks=lk[0] side=main side=takes_first
 * @strikes
 * @case deadlock_join_cycle3 join_cycle
 * @finding deadlock verdict=observed locks=
 * @strikes
 * The owner has ended: nobody can ever give the lock back.
 * @case deadlock_owner_ended owner_ended
 * @finding deadlock verdict=observed locks=lk[0]
 * @finding lock-misuse:lock-left-at-thread-exit locks=lk[0] side=ends_holding
 * @strikes
 *
 * @case deadlock_rwlock rwlock
 * @finding deadlock verdict=observed locks=rw[0],rw[1] side=one side=two
 * @strikes
 * @case deadlock_rwlock_readers_hold rwlock_readers
 * @finding deadlock verdict=observed locks=rw[0],rw[1] side=one side=two
 * @strikes
 * A reader asks again while a writer waits before it.
 * @case deadlock_recursive_read recursive_read
 * @finding deadlock|lock-misuse:relock verdict=observed locks=rw[2]
 * @strikes
 * @case deadlock_spin spin
 * @finding deadlock verdict=observed locks=sp[0],sp[1] side=one side=two
 * @strikes
 * @case deadlock_mixed mixed
 * @finding deadlock verdict=observed locks=lk[0],rw[0] side=one side=two
 * @strikes
 * @case deadlock_sem sem
 * @finding deadlock verdict=observed locks=sm[0],sm[1] side=one side=two
 * @strikes
 * @case deadlock_sem_and_mutex sem_mutex
 * @finding deadlock verdict=observed locks=sm[0],lk[1] side=one side=two
 * @strikes
 * Returning from a condition wait needs the mutex that the other holds, who waits for what this one holds.
 * @case deadlock_condition_relock relock
 * @finding deadlock verdict=observed locks=lk[0],lk[1] side=waits_on_condition side=signals
 * @strikes
 * @case deadlock_once once
 * @finding deadlock verdict=observed locks=o,lk[0] side=once_one side=once_two
 * @strikes
 * @case deadlock_stdio stdio
 * @finding deadlock verdict=observed locks=lk[0],*
 * @strikes
 * A bystander that waits for one of the two is no part of it.
 * @case deadlock_bystander bystander
 * @finding deadlock verdict=observed locks=lk[0],lk[1] side=one side=two
 * @strikes
 * @case deadlock_errorcheck errorcheck
 * @finding deadlock verdict=observed locks=lk[0],lk[1] side=one side=two
 * @strikes
 * @case deadlock_recursive recursive
 * @finding deadlock verdict=observed locks=lk[0],lk[1] side=one side=two
 * @strikes
 *
 * The nearest clean program: both wait, but one has a time limit, gives up and lets go.
 * @case deadlock_timed_gives_way timed
 * @finding lock-order locks=lk[0],lk[1] side=one side=two
 *
 * --on-deadlock=report leaves them hanging, but tells at once.
 * @case deadlock_report abba
 * @snarl --on-deadlock=report
 * @finding deadlock verdict=observed locks=lk[0],lk[1] side=one side=two
 * @strikes
 * @hangs
 * @status 66
 *
 * --on-deadlock=break: the last acquisition fails with EDEADLK; a program that does not look goes on, and its unlock
 * does no harm.
 * @case deadlock_break break
 * @snarl --on-deadlock=break
 * @finding deadlock verdict=observed locks=lk[0],lk[1] side=unlocks_blindly side=unlocks_blindly
 * @strikes
 * @status 66
 * @output one went on\n
 * @case deadlock_break_ring ring_break 5
 * @snarl --on-deadlock=break
 * @finding deadlock verdict=observed locks=lk[0],lk[1],lk[2],lk[3],lk[4]
 * @strikes
 * @status 66
 * @output all went on\n
 */
#include "case.h"

static pthread_mutex_t lk[128];
static pthread_rwlock_t rw[3];
static pthread_spinlock_t sp[2];
static sem_t sm[2];
static pthread_once_t o = PTHREAD_ONCE_INIT;
static pthread_cond_t c = PTHREAD_COND_INITIALIZER;
static FILE *file;
static pthread_t threads[128];
static pid_t tid[2];
static int n = 2, victims;
static const char *shape;

static int is(const char *name)
{
    return !strcmp(shape, name);
}

/* Both sides hold their first before either asks for its second. */
NOINLINE static void take(int i, int second, int side)
{
    if (is("rwlock") || is("rwlock_readers") || (is("mixed") && i == 0))
        (is("rwlock_readers") && !second) ? pthread_rwlock_rdlock(&rw[i]) : pthread_rwlock_wrlock(&rw[i]);
    else if (is("spin"))
        pthread_spin_lock(&sp[i]);
    else if (is("sem") || (is("sem_mutex") && i == 0))
        sem_wait(&sm[i]);
    else if (is("mixed"))
        lock(&lk[0]);
    else if (is("stdio") && i == 1)
        flockfile(file);
    else if (is("timed") && second && side == 1) {
        struct timespec soon;
        clock_gettime(CLOCK_REALTIME, &soon);
        soon.tv_nsec += 200 * 1000000;
        soon.tv_sec += soon.tv_nsec / 1000000000;
        soon.tv_nsec %= 1000000000;
        CHECK(pthread_mutex_timedlock(&lk[i], &soon) == ETIMEDOUT);
    } else if (second)
        lock(&lk[i]); /* mark: wait-1 */
    else
        lock(&lk[i]); /* mark: held-1 */
}

static void *one(void *arg)
{
    take(0, 0, 1);
    if (is("bystander"))
        step_done(6);
    meet(0, 2);
    take(1, 1, 1);
    if (is("timed"))
        unlock(&lk[0]);
    return arg;
}

static void *two(void *arg)
{
    take(1, 0, 2);
    meet(0, 2);
    take(0, 1, 2);
    if (is("timed")) {
        unlock(&lk[0]);
        unlock(&lk[1]);
    }
    return arg;
}

static void *philosopher(void *arg)
{
    int i = (int)(long)arg;
    lock(&lk[i]);
    meet(0, n);
    if (lock(&lk[(i + 1) % n]))
        __atomic_add_fetch(&victims, 1, __ATOMIC_SEQ_CST);
    unlock(&lk[(i + 1) % n]);
    unlock(&lk[i]);
    return arg;
}

static void *takes_first(void *arg)
{
    lock(&lk[0]);
    unlock(&lk[0]);
    return arg;
}

static void *joins_next(void *arg)
{
    int i = (int)(long)arg;
    meet(1, 4);
    join(threads[(i + 1) % 3]);
    return arg;
}

static void *ends_holding(void *arg)
{
    lock(&lk[0]);
    return arg;
}

static void *reads_twice(void *arg)
{
    tid[0] = gettid();
    pthread_rwlock_rdlock(&rw[2]);
    meet(0, 2);
    wait_until_asleep(getpid(), tid[1]); /* the writer waits */
    pthread_rwlock_rdlock(&rw[2]);
    return arg;
}

static void *writes(void *arg)
{
    tid[1] = gettid();
    meet(0, 2);
    pthread_rwlock_wrlock(&rw[2]);
    return arg;
}

static void *waits_on_condition(void *arg)
{
    lock(&lk[0]);
    lock(&lk[1]);
    step_done(1);
    pthread_cond_wait(&c, &lk[0]); /* gives 0 back, keeps 1 */
    unlock(&lk[1]);
    unlock(&lk[0]);
    return arg;
}

static void *signals(void *arg)
{
    step_wait(1);
    lock(&lk[0]);
    pthread_cond_signal(&c);
    lock(&lk[1]);
    unlock(&lk[1]);
    unlock(&lk[0]);
    return arg;
}

static void init(void)
{
    meet(0, 2);
    lock(&lk[0]);
    unlock(&lk[0]);
}

static void *once_one(void *arg)
{
    pthread_once(&o, init);
    return arg;
}

static void *once_two(void *arg)
{
    lock(&lk[0]);
    meet(0, 2);
    pthread_once(&o, init);
    unlock(&lk[0]);
    return arg;
}

static void *bystander(void *arg)
{
    step_wait(7);
    tid[0] = gettid();
    step_done(8);
    lock(&lk[0]);
    unlock(&lk[0]);
    return arg;
}

/* One fails to take what the other holds, does not look, and unlocks both; the other's lock must stay taken. */
static void *unlocks_blindly(void *arg)
{
    long side = (long)arg;
    lock(&lk[side]);
    meet(0, 2);
    if (lock(&lk[1 - side]) == EDEADLK) {
        victims++;
        unlock(&lk[1 - side]);
        CHECK(pthread_mutex_trylock(&lk[1 - side]) == EBUSY);
        dprintf(1, "one went on\n");
        unlock(&lk[side]);
        return NULL;
    }
    unlock(&lk[1 - side]);
    unlock(&lk[side]);
    return NULL;
}

static void pair(case_routine f, case_routine g)
{
    pthread_t t1 = start(f, NULL), t2 = start(g, NULL);
    join(t1);
    join(t2);
}

static void make(void)
{
    pthread_mutexattr_t attr;
    pthread_rwlockattr_t queue;
    pthread_mutexattr_init(&attr);
    if (is("errorcheck"))
        pthread_mutexattr_settype(&attr, PTHREAD_MUTEX_ERRORCHECK);
    if (is("recursive"))
        pthread_mutexattr_settype(&attr, PTHREAD_MUTEX_RECURSIVE);
    for (int i = 0; i < 128; i++)
        pthread_mutex_init(&lk[i], &attr);
    pthread_rwlockattr_init(&queue);
    pthread_rwlock_init(&rw[0], NULL);
    pthread_rwlock_init(&rw[1], NULL);
    pthread_rwlockattr_setkind_np(&queue, PTHREAD_RWLOCK_PREFER_WRITER_NONRECURSIVE_NP);
    pthread_rwlock_init(&rw[2], &queue);
    for (int i = 0; i < 2; i++) {
        pthread_spin_init(&sp[i], 0);
        sem_init(&sm[i], 0, 1);
    }
    file = tmpfile();
}

static void ring(void)
{
    for (long i = 0; i < n; i++)
        threads[i] = start(philosopher, (void *)i);
    for (int i = 0; i < n; i++)
        join(threads[i]);
}

int main(int argc, char **argv)
{
    if (argc < 2)
        return 64;
    shape = argv[1];
    make();
    if (argc > 2)
        n = atoi(argv[2]);
    if (is("abba"))
        dprintf(1, "before\n");
    if (is("ring"))
        ring();
    else if (is("ring_break")) {
        ring();
        if (victims == 1)
            dprintf(1, "all went on\n");
    } else if (is("main")) {
        start(two, NULL);
        one(NULL);
    } else if (is("join")) {
        lock(&lk[0]);
        join(start(takes_first, NULL));
    } else if (is("join_cycle")) {
        for (long i = 0; i < 3; i++)
            threads[i] = start(joins_next, (void *)i);
        meet(1, 4);
        for (;;)
            nap_ms(1000);
    } else if (is("owner_ended")) {
        join(start(ends_holding, NULL));
        lock(&lk[0]);
    } else if (is("recursive_read"))
        pair(reads_twice, writes);
    else if (is("relock"))
        pair(waits_on_condition, signals);
    else if (is("break")) {
        pthread_t t1 = start(unlocks_blindly, (void *)0), t2 = start(unlocks_blindly, (void *)1);
        join(t1);
        join(t2);
    } else if (is("bystander")) {
        pthread_t t1 = start(one, NULL);
        start(bystander, NULL);
        step_wait(6);
        step_done(7);
        step_wait(8);
        wait_until_asleep(getpid(), tid[0]);
        start(two, NULL);
        join(t1);
    } else if (is("once"))
        pair(once_one, once_two);
    else
        pair(one, two);
    return 0;
}
