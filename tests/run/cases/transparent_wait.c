/* What every call on conditions, semaphores, barriers and once-flags answers, and what cancellation finds, is the
 * same with and without snarl.
 *
 * @case transparent_condition condition
 * @snarl --on-deadlock=report --fail-on=deadlock
 * @finding lock-misuse min=0 max=99
 * @case transparent_semaphore semaphore
 * @clean
 * @case transparent_barrier barrier
 * @clean
 * @case transparent_once once
 * @clean
 * @case transparent_cancellation cancel
 * @clean */
#include "transparent.h"

static pthread_mutex_t m;
static pthread_cond_t c;
static sem_t sem;
static struct worker other;

/* ---- conditions ---- */
static void signal_it(void *arg)
{
    (void)arg;
    pthread_mutex_lock(&m);
    pthread_cond_signal(&c);
    pthread_mutex_unlock(&m);
}
static void broadcast_it(void *arg)
{
    (void)arg;
    pthread_mutex_lock(&m);
    pthread_cond_broadcast(&c);
    pthread_mutex_unlock(&m);
}

static void *signal_when_asleep(void *arg)
{
    wait_until_asleep(getpid(), *(pid_t *)arg);
    worker_do(&other, signal_it, NULL);
    return NULL;
}
static void *broadcast_when_asleep(void *arg)
{
    wait_until_asleep(getpid(), *(pid_t *)arg);
    worker_do(&other, broadcast_it, NULL);
    return NULL;
}

/* The mutex is held again, exactly once. */
static void held_again(bool checked)
{
    SAY(pthread_mutex_unlock(&m));
    if (checked)
        SAY(pthread_mutex_unlock(&m));
}

static void woken(bool checked)
{
    pid_t self = (pid_t)syscall(SYS_gettid);
    for (int form = 0; form < 3; form++) {
        struct timespec real = from_now(CLOCK_REALTIME, 60000), mono = from_now(CLOCK_MONOTONIC, 60000);
        SAY(pthread_mutex_lock(&m));
        pthread_t t = start(form == 1 ? broadcast_when_asleep : signal_when_asleep, &self);
        if (form == 0)
            SAY(pthread_cond_wait(&c, &m));
        else if (form == 1)
            SAY(pthread_cond_timedwait(&c, &m, &real));
        else
            SAY(pthread_cond_clockwait(&c, &m, CLOCK_MONOTONIC, &mono));
        held_again(checked);
        join(t);
    }
}

static void condition_with(int type, int shared, int robust)
{
    struct timespec mono = from_now(CLOCK_MONOTONIC, 20);
    bool checked = type != PTHREAD_MUTEX_NORMAL || robust;
    pthread_mutexattr_t a;
    pthread_condattr_t ca;
    printf("mutex type %d shared %d robust %d\n", type, shared, robust);
    pthread_mutexattr_init(&a);
    pthread_mutexattr_settype(&a, type);
    pthread_mutexattr_setpshared(&a, shared);
    pthread_mutexattr_setrobust(&a, robust);
    SAY(pthread_mutex_init(&m, &a));
    pthread_condattr_init(&ca);
    pthread_condattr_setpshared(&ca, shared);
    SAY(pthread_cond_init(&c, &ca));
    SAY(pthread_cond_signal(&c));
    SAY(pthread_cond_broadcast(&c));
    SAY(pthread_mutex_lock(&m));
    SAY(pthread_cond_timedwait(&c, &m, &past));
    SAY(pthread_cond_timedwait(&c, &m, &negative));
    SAY(pthread_cond_timedwait(&c, &m, &wrong));
    SAY(pthread_cond_clockwait(&c, &m, CLOCK_MONOTONIC, &mono));
    SAY(pthread_cond_clockwait(&c, &m, CLOCK_MONOTONIC, &wrong_too));
    SAY(pthread_cond_clockwait(&c, &m, CLOCK_BOOTTIME, &mono));
    held_again(checked);
    if (checked)
        SAY(pthread_cond_timedwait(&c, &m, &past)); /* the mutex is not held */
    woken(checked);
    SAY(pthread_cond_destroy(&c));
    SAY(pthread_mutex_destroy(&m));
}

static void *dies_holding(void *arg)
{
    pthread_mutex_lock(&m);
    pthread_cond_signal(&c);
    return arg;
}
static void *dies_when_asleep(void *arg)
{
    wait_until_asleep(getpid(), *(pid_t *)arg);
    return dies_holding(NULL);
}

/* The relock inside the wait finds a dead owner; then a mutex that is not recoverable. */
static void condition_robust(void)
{
    pid_t self = (pid_t)syscall(SYS_gettid);
    pthread_mutexattr_t a;
    pthread_mutexattr_init(&a);
    pthread_mutexattr_setrobust(&a, PTHREAD_MUTEX_ROBUST);
    pthread_mutex_init(&m, &a);
    pthread_cond_init(&c, NULL);
    puts("owner dies");
    SAY(pthread_mutex_lock(&m));
    pthread_t t = start(dies_when_asleep, &self);
    SAY(pthread_cond_wait(&c, &m));
    SAY(pthread_mutex_consistent(&m));
    SAY(pthread_mutex_unlock(&m));
    join(t);
    SAY(pthread_mutex_lock(&m));
    SAY(pthread_mutex_unlock(&m));
}

static void c11_conditions(void)
{
    mtx_t mtx;
    cnd_t cnd;
    puts("C11");
    SAY(mtx_init(&mtx, mtx_plain));
    SAY(cnd_init(&cnd));
    SAY(cnd_signal(&cnd));
    SAY(cnd_broadcast(&cnd));
    SAY(mtx_lock(&mtx));
    SAY(cnd_timedwait(&cnd, &mtx, &past));
    SAY(cnd_timedwait(&cnd, &mtx, &wrong));
    SAY(mtx_trylock(&mtx));
    SAY(mtx_unlock(&mtx));
    cnd_destroy(&cnd);
    mtx_destroy(&mtx);
}

static void conditions(void)
{
    condition_with(PTHREAD_MUTEX_NORMAL, 0, 0);
    condition_with(PTHREAD_MUTEX_NORMAL, 1, 0);
    condition_with(PTHREAD_MUTEX_RECURSIVE, 0, 0);
    condition_with(PTHREAD_MUTEX_ERRORCHECK, 0, 0);
    condition_with(PTHREAD_MUTEX_NORMAL, 0, 1);
    condition_robust();
    c11_conditions();
}

/* ---- semaphores ---- */
static void *post_when_asleep(void *arg)
{
    wait_until_asleep(getpid(), *(pid_t *)arg);
    sem_post(&sem);
    return NULL;
}
static void on_signal(int s)
{
    (void)s;
}
/* Until one signal has hit the wait itself. */
static int interrupted;
static void *interrupts(void *arg)
{
    pid_t tid = *(pid_t *)arg;
    while (!__atomic_load_n(&interrupted, __ATOMIC_SEQ_CST)) {
        wait_until_asleep(getpid(), tid);
        syscall(SYS_tgkill, getpid(), tid, SIGUSR1);
        nap_ms(1);
    }
    return NULL;
}
static int value_of(sem_t *s)
{
    int v = -99;
    sem_getvalue(s, &v);
    return v;
}

static void semaphore_unnamed(int shared, unsigned value)
{
    struct timespec mono = from_now(CLOCK_MONOTONIC, 20);
    pid_t self = (pid_t)syscall(SYS_gettid);
    printf("shared %d value %u\n", shared, value);
    SAY(sem_init(&sem, shared, value));
    for (unsigned i = 0; i < value; i++)
        SAY(sem_wait(&sem));
    SAY(sem_trywait(&sem));
    SAY(sem_timedwait(&sem, &past));
    SAY(sem_timedwait(&sem, &wrong));
    SAY(sem_clockwait(&sem, CLOCK_MONOTONIC, &mono));
    SAY(sem_clockwait(&sem, CLOCK_BOOTTIME, &mono));
    SAY(sem_post(&sem));
    SAY(sem_timedwait(&sem, &wrong));
    SAY(sem_timedwait(&sem, &past));
    SAY(sem_post(&sem));
    SAY(sem_trywait(&sem));
    SAY(sem_post(&sem));
    SAY(sem_clockwait(&sem, CLOCK_REALTIME, &past));
    pthread_t t = start(post_when_asleep, &self);
    SAY(sem_wait(&sem));
    join(t);
    interrupted = 0;
    t = start(interrupts, &self);
    SAY(sem_wait(&sem));
    word_set(&interrupted, 1);
    join(t);
    SAY(value_of(&sem));
    SAY(sem_destroy(&sem));
}

static int named(const char *name, int flags, unsigned value)
{
    sem_t *s = sem_open(name, flags, 0600, value);
    if (s == SEM_FAILED)
        return -1;
    printf("  value %d\n", value_of(s));
    SAY(sem_trywait(s));
    SAY(sem_post(s));
    sem_t *again = sem_open(name, 0);
    printf("  the same %d\n", again == s);
    SAY(sem_close(again));
    SAY(sem_wait(s));
    SAY(sem_post(s));
    SAY(sem_post(s));
    SAY(sem_close(s));
    return 0;
}

static void semaphores(void)
{
    struct sigaction act = {.sa_handler = on_signal};
    char name[64];
    sigaction(SIGUSR1, &act, NULL);
    for (int shared = 0; shared < 2; shared++)
        for (unsigned value = 0; value < 3; value++)
            semaphore_unnamed(shared, value);
    SAY(sem_init(&sem, 0, (unsigned)SEM_VALUE_MAX + 1));
    SAY(sem_init(&sem, 0, SEM_VALUE_MAX));
    SAY(sem_post(&sem));
    snprintf(name, sizeof name, "/snarl-test-%d", (int)getpid());
    SAY(named(name, 0, 1));
    SAY(named(name, O_CREAT, 1));
    SAY(named(name, O_CREAT, 1));
    SAY(named(name, O_CREAT | O_EXCL, 1));
    SAY(named(name, 0, 7));
    SAY(sem_unlink(name));
    SAY(sem_unlink(name));
    SAY(named("/no/such/name", O_CREAT, 1));
    SAY(named(name, O_CREAT | O_EXCL, 3));
    SAY(sem_unlink(name));
    SAY(named(name, O_CREAT, (unsigned)SEM_VALUE_MAX + 1));
    SAY(sem_unlink(name));
}

/* ---- barriers ---- */
static pthread_barrier_t barrier;
static int serials;
static void *arrives(void *arg)
{
    for (int i = 0; i < 100; i++) {
        int r = pthread_barrier_wait(&barrier);
        if (r == PTHREAD_BARRIER_SERIAL_THREAD)
            __atomic_add_fetch(&serials, 1, __ATOMIC_SEQ_CST);
        else if (r)
            SAY(r);
    }
    return arg;
}

static void barriers(void)
{
    SAY(pthread_barrier_init(&barrier, NULL, 0));
    for (int shared = 0; shared < 2; shared++) {
        pthread_barrierattr_t a;
        pthread_barrierattr_init(&a);
        pthread_barrierattr_setpshared(&a, shared);
        SAY(pthread_barrier_init(&barrier, &a, 1));
        SAY(pthread_barrier_wait(&barrier));
        SAY(pthread_barrier_destroy(&barrier));
        SAY(pthread_barrier_init(&barrier, &a, 3));
        serials = 0;
        pthread_t t = start(arrives, NULL), u = start(arrives, NULL);
        arrives(NULL);
        join(t);
        join(u);
        printf("  serials %d\n", serials);
        SAY(pthread_barrier_destroy(&barrier));
    }
}

/* ---- once ---- */
static pthread_once_t once_a = PTHREAD_ONCE_INIT, once_b = PTHREAD_ONCE_INIT, once_c = PTHREAD_ONCE_INIT;
static once_flag flag = ONCE_FLAG_INIT;
static int runs, waited;
static void count(void)
{
    runs++;
}
static void nested(void)
{
    runs++;
    SAY(pthread_once(&once_b, count));
}
static void *calls(void *arg)
{
    step_done(1);
    pthread_once(&once_c, count);
    waited = runs;
    return arg;
}
static pthread_t caller;
static void slow(void)
{
    caller = start(calls, NULL);
    step_wait(1);
    nap_ms(20);
    runs = 50;
}

static void onces(void)
{
    SAY(pthread_once(&once_a, nested));
    SAY(pthread_once(&once_a, nested));
    SAY(pthread_once(&once_b, count));
    printf("  runs %d\n", runs);
    call_once(&flag, count);
    call_once(&flag, count);
    printf("  runs %d\n", runs);
    SAY(pthread_once(&once_c, slow));
    join(caller);
    printf("  waited until %d\n", waited);
    pthread_mutex_init(&m, NULL);
    pthread_mutex_lock(&m);
    SAY(pthread_once(&once_a, nested));
    call_once(&flag, count);
    pthread_mutex_unlock(&m);
    printf("  runs %d\n", runs);
}

/* ---- cancellation ---- */
static int tid_of_victim;
static void cleanup_cond(void *arg)
{
    (void)arg;
    SAY(pthread_mutex_trylock(&m)); /* held again */
    SAY(pthread_mutex_unlock(&m));
}
static void *cond_victim(void *arg)
{
    struct timespec mono = from_now(CLOCK_MONOTONIC, 60000);
    SAY(pthread_mutex_lock(&m));
    word_set(&tid_of_victim, (int)syscall(SYS_gettid));
    pthread_cleanup_push(cleanup_cond, NULL);
    if (arg)
        pthread_cond_clockwait(&c, &m, CLOCK_MONOTONIC, &mono);
    else
        pthread_cond_wait(&c, &m);
    pthread_cleanup_pop(1);
    return NULL;
}
static void cleanup_sem(void *arg)
{
    SAY(value_of(&sem));
    SAY(pthread_mutex_lock(&m));
    SAY(pthread_mutex_unlock(&m));
    (void)arg;
}
static void *sem_victim(void *arg)
{
    struct timespec real = from_now(CLOCK_REALTIME, 60000);
    word_set(&tid_of_victim, (int)syscall(SYS_gettid));
    pthread_cleanup_push(cleanup_sem, NULL);
    if (arg)
        sem_timedwait(&sem, &real);
    else
        sem_wait(&sem);
    puts("  not cancelled");
    pthread_cleanup_pop(1);
    return NULL;
}
/* With a request pending, only a cancellation point acts upon it (printing would be one). */
static int pending_results[4];
static void *pending_victim(void *arg)
{
    pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, NULL);
    step_done(1);
    step_wait(2);
    pthread_setcancelstate(PTHREAD_CANCEL_ENABLE, NULL);
    pending_results[0] = pthread_mutex_lock(&m);
    pending_results[1] = sem_trywait(&sem);
    pending_results[2] = sem_post(&sem);
    pending_results[3] = pthread_mutex_unlock(&m);
    pthread_cleanup_push(cleanup_sem, NULL);
    sem_wait(&sem); /* would succeed at once */
    puts("  not cancelled");
    pthread_cleanup_pop(1);
    return arg;
}

static void cancel_asleep(case_routine victim, void *arg)
{
    void *result;
    tid_of_victim = 0;
    pthread_t t = start(victim, arg);
    word_wait(&tid_of_victim, 1);
    wait_until_asleep(getpid(), tid_of_victim);
    int r = pthread_cancel(t);
    pthread_join(t, &result);
    printf("  cancel %d, cancelled %d\n", r, result == PTHREAD_CANCELED);
    SAY(pthread_mutex_trylock(&m));
    SAY(pthread_mutex_unlock(&m));
}

static void cancellation(void)
{
    void *result;
    pthread_mutex_init(&m, NULL);
    pthread_cond_init(&c, NULL);
    sem_init(&sem, 0, 0);
    for (int timed = 0; timed < 2; timed++) {
        cancel_asleep(cond_victim, timed ? &m : NULL);
        cancel_asleep(sem_victim, timed ? &m : NULL);
    }
    sem_post(&sem);
    pthread_t t = start(pending_victim, NULL);
    step_wait(1);
    SAY(pthread_cancel(t));
    step_done(2);
    pthread_join(t, &result);
    printf("  cancelled %d\n", result == PTHREAD_CANCELED);
    for (int i = 0; i < 4; i++)
        SAY(pending_results[i]);
    SAY(value_of(&sem));
}

int main(int argc, char **argv)
{
    setvbuf(stdout, NULL, _IOLBF, 0);
    worker_start(&other);
    if (argc < 2)
        return 2;
    if (shape_is(argv, "condition"))
        conditions();
    else if (shape_is(argv, "semaphore"))
        semaphores();
    else if (shape_is(argv, "barrier"))
        barriers();
    else if (shape_is(argv, "once"))
        onces();
    else
        cancellation();
    worker_end(&other);
    return 0;
}
