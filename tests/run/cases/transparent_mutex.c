/* What every call on mutexes, rwlocks and spin locks answers, in every kind and state, is the same with and without
 * snarl.
 *
 * @case transparent_mutex mutex
 * @snarl --on-deadlock=report --fail-on=deadlock
 * @finding lock-misuse min=0 max=99
 * @case transparent_robust robust
 * @snarl --on-deadlock=report --fail-on=deadlock
 * @finding lock-misuse min=0 max=99
 * @case transparent_rwlock rwlock
 * @snarl --on-deadlock=report --fail-on=deadlock
 * @finding lock-misuse min=0 max=99
 * @case transparent_spin spin
 * @clean
 * @case transparent_c11 c11
 * @snarl --on-deadlock=report --fail-on=deadlock
 * @finding lock-misuse min=0 max=99 */
#include "transparent.h"

#include <sched.h>

static pthread_mutex_t m;
static pthread_rwlock_t rw;
static pthread_spinlock_t spin;
static mtx_t mtx;
static struct worker other;

/* ---- mutex ---- */
static void take(void *arg)
{
    (void)arg;
    SAY(pthread_mutex_lock(&m));
}
static void give(void *arg)
{
    (void)arg;
    SAY(pthread_mutex_unlock(&m));
}

static void mutex_free_again(void)
{
    SAY(pthread_mutex_lock(&m));
    SAY(pthread_mutex_unlock(&m));
}

static void mutex_when_free(void)
{
    struct timespec soon = from_now(CLOCK_REALTIME, 10000);
    mutex_free_again();
    SAY(pthread_mutex_trylock(&m));
    SAY(pthread_mutex_unlock(&m));
    SAY(pthread_mutex_timedlock(&m, &soon));
    SAY(pthread_mutex_unlock(&m));
    SAY(pthread_mutex_timedlock(&m, &past));
    SAY(pthread_mutex_unlock(&m));
    SAY(pthread_mutex_timedlock(&m, &wrong));
    SAY(pthread_mutex_unlock(&m));
    SAY(pthread_mutex_clocklock(&m, CLOCK_MONOTONIC, &wrong_too));
    SAY(pthread_mutex_unlock(&m));
    SAY(pthread_mutex_clocklock(&m, CLOCK_THREAD_CPUTIME_ID, &past));
}

static void mutex_when_own(bool hangs)
{
    SAY(pthread_mutex_lock(&m));
    SAY(pthread_mutex_trylock(&m) && 0);
    SAY(pthread_mutex_timedlock(&m, &past) && 0);
    SAY(pthread_mutex_unlock(&m));
    while (!hangs && pthread_mutex_unlock(&m) == 0)
        puts("  once more");
    if (hangs)
        return;
    SAY(pthread_mutex_lock(&m));
    SAY(pthread_mutex_trylock(&m));
    SAY(pthread_mutex_lock(&m));
    SAY(pthread_mutex_timedlock(&m, &past));
    SAY(pthread_mutex_clocklock(&m, CLOCK_MONOTONIC, &wrong));
    while (pthread_mutex_unlock(&m) == 0)
        puts("  once more");
    SAY(pthread_mutex_unlock(&m));
}

static void mutex_when_others(bool checked)
{
    struct timespec real = from_now(CLOCK_REALTIME, 20), mono = from_now(CLOCK_MONOTONIC, 20);
    worker_do(&other, take, NULL);
    SAY(pthread_mutex_trylock(&m));
    SAY(pthread_mutex_timedlock(&m, &past));
    SAY(pthread_mutex_timedlock(&m, &real));
    SAY(pthread_mutex_timedlock(&m, &negative));
    SAY(pthread_mutex_timedlock(&m, &wrong));
    SAY(pthread_mutex_clocklock(&m, CLOCK_MONOTONIC, &mono));
    SAY(pthread_mutex_clocklock(&m, CLOCK_REALTIME, &wrong_too));
    SAY(pthread_mutex_clocklock(&m, CLOCK_BOOTTIME, &mono));
    if (checked)
        SAY(pthread_mutex_unlock(&m));
    worker_do(&other, give, NULL);
}

static void give_quietly(void *arg)
{
    (void)arg;
    pthread_mutex_unlock(&m);
}
static void take_quietly(void *arg)
{
    (void)arg;
    pthread_mutex_lock(&m);
}

/* The worker holds it and lets go when this thread sleeps. */
static void *give_when_asleep(void *arg)
{
    wait_until_asleep(getpid(), *(pid_t *)arg);
    worker_do(&other, give_quietly, NULL);
    return NULL;
}
static void mutex_handed_over(void)
{
    pid_t self = (pid_t)syscall(SYS_gettid);
    for (int form = 0; form < 3; form++) {
        struct timespec real = from_now(CLOCK_REALTIME, 60000), mono = from_now(CLOCK_MONOTONIC, 60000);
        worker_do(&other, take_quietly, NULL);
        pthread_t t = start(give_when_asleep, &self);
        if (form == 0)
            SAY(pthread_mutex_lock(&m));
        else if (form == 1)
            SAY(pthread_mutex_timedlock(&m, &real));
        else
            SAY(pthread_mutex_clocklock(&m, CLOCK_MONOTONIC, &mono));
        SAY(pthread_mutex_unlock(&m));
        join(t);
    }
}

static void mutex_init_as(int type, int protocol, int robust, int shared)
{
    pthread_mutexattr_t a;
    pthread_mutexattr_init(&a);
    pthread_mutexattr_settype(&a, type);
    SAY(pthread_mutexattr_setprotocol(&a, protocol));
    pthread_mutexattr_setrobust(&a, robust);
    pthread_mutexattr_setpshared(&a, shared);
    SAY(pthread_mutex_init(&m, &a));
    pthread_mutexattr_destroy(&a);
}

/* A mutex with a ceiling raises its owner to a real-time priority: forbidden to a thread of another policy, which
 * glibc notices at the first attempt only. */
static void mutex_with_ceiling(void)
{
    SAY(pthread_mutex_lock(&m));
    SAY(pthread_mutex_lock(&m) && 0);
    while (pthread_mutex_unlock(&m) == 0 && m.__data.__owner)
        puts("  once more");
}

static void one_kind(const char *name, int type, int protocol, int robust, int shared)
{
    bool checked =
        type == PTHREAD_MUTEX_RECURSIVE || type == PTHREAD_MUTEX_ERRORCHECK || robust == PTHREAD_MUTEX_ROBUST;
    printf("%s\n", name);
    mutex_init_as(type, protocol, robust, shared);
    if (protocol == PTHREAD_PRIO_PROTECT) {
        if (type == PTHREAD_MUTEX_ERRORCHECK)
            mutex_with_ceiling();
        return;
    }
    mutex_when_free();
    if (type == PTHREAD_MUTEX_RECURSIVE || type == PTHREAD_MUTEX_ERRORCHECK)
        mutex_when_own(false);
    else if (protocol == PTHREAD_PRIO_NONE)
        mutex_when_own(true);
    mutex_when_others(checked);
    mutex_handed_over();
    SAY(pthread_mutex_lock(&m));
    if (robust == PTHREAD_MUTEX_STALLED)
        SAY(pthread_mutex_destroy(&m));
    SAY(pthread_mutex_consistent(&m));
    SAY(pthread_mutex_unlock(&m));
    SAY(pthread_mutex_destroy(&m));
    SAY(pthread_mutex_lock(&m));
    SAY(pthread_mutex_unlock(&m));
}

static void mutexes(void)
{
    static const struct {
        const char *name;
        int type;
    } types[] = {{"normal", PTHREAD_MUTEX_NORMAL},
                 {"recursive", PTHREAD_MUTEX_RECURSIVE},
                 {"errorcheck", PTHREAD_MUTEX_ERRORCHECK},
                 {"adaptive", PTHREAD_MUTEX_ADAPTIVE_NP}};
    for (int i = 0; i < 4; i++)
        for (int protocol = 0; protocol < 3; protocol++)
            for (int robust = 0; robust < 2 - (protocol == PTHREAD_PRIO_PROTECT); robust++) {
                char name[80];
                snprintf(name, sizeof name, "%s protocol %d robust %d", types[i].name, protocol, robust);
                one_kind(name, types[i].type, protocol, robust, i & 1);
            }
    pthread_mutex_t fresh = PTHREAD_MUTEX_INITIALIZER;
    m = fresh;
    puts("static");
    mutex_when_free();
    memset(&m, 0x5a, sizeof m);
    puts("garbage");
    SAY(pthread_mutex_lock(&m));
    SAY(pthread_mutex_trylock(&m));
    SAY(pthread_mutex_unlock(&m));
    m.__data.__kind = 0x0b;
    SAY(pthread_mutex_lock(&m));
    SAY(pthread_mutex_timedlock(&m, &past));
    SAY(pthread_mutex_unlock(&m));
}

/* ---- robust ---- */
static void *dies_holding(void *arg)
{
    SAY(pthread_mutex_lock(&m));
    return arg;
}

static int take_by(int form)
{
    struct timespec soon = from_now(CLOCK_MONOTONIC, 10000);
    switch (form) {
    case 0:
        return pthread_mutex_lock(&m);
    case 1:
        return pthread_mutex_trylock(&m);
    case 2:
        return pthread_mutex_timedlock(&m, &past);
    default:
        return pthread_mutex_clocklock(&m, CLOCK_MONOTONIC, &soon);
    }
}

static void robust_mutexes(void)
{
    for (int protocol = 0; protocol < 2; protocol++)
        for (int type = PTHREAD_MUTEX_NORMAL; type <= PTHREAD_MUTEX_ERRORCHECK; type++)
            for (int form = 0; form < 4; form++) {
                printf("protocol %d type %d form %d\n", protocol, type, form);
                mutex_init_as(type, protocol, PTHREAD_MUTEX_ROBUST, PTHREAD_PROCESS_PRIVATE);
                join(start(dies_holding, NULL));
                SAY(take_by(form));
                SAY(pthread_mutex_consistent(&m));
                SAY(pthread_mutex_unlock(&m));
                mutex_free_again();
                join(start(dies_holding, NULL));
                SAY(take_by(form));
                SAY(pthread_mutex_unlock(&m));
                SAY(take_by(form));
                SAY(take_by((form + 1) & 3));
                SAY(pthread_mutex_destroy(&m));
            }
}

/* ---- rwlock ---- */
static void read_take(void *arg)
{
    (void)arg;
    SAY(pthread_rwlock_rdlock(&rw));
}
static void write_take(void *arg)
{
    (void)arg;
    SAY(pthread_rwlock_wrlock(&rw));
}
static void rw_give(void *arg)
{
    (void)arg;
    SAY(pthread_rwlock_unlock(&rw));
}

static void rw_give_quietly(void *arg)
{
    (void)arg;
    pthread_rwlock_unlock(&rw);
}

static void rwlock_refused(void)
{
    struct timespec mono = from_now(CLOCK_MONOTONIC, 20);
    SAY(pthread_rwlock_tryrdlock(&rw));
    SAY(pthread_rwlock_trywrlock(&rw));
    SAY(pthread_rwlock_timedrdlock(&rw, &past));
    SAY(pthread_rwlock_timedwrlock(&rw, &negative));
    SAY(pthread_rwlock_timedrdlock(&rw, &wrong));
    SAY(pthread_rwlock_timedwrlock(&rw, &wrong_too));
    SAY(pthread_rwlock_clockrdlock(&rw, CLOCK_MONOTONIC, &mono));
    SAY(pthread_rwlock_clockwrlock(&rw, CLOCK_MONOTONIC, &mono));
    SAY(pthread_rwlock_clockrdlock(&rw, CLOCK_BOOTTIME, &mono));
}

static void rwlock_when_free(void)
{
    struct timespec mono = from_now(CLOCK_MONOTONIC, 10000);
    SAY(pthread_rwlock_timedrdlock(&rw, &past));
    SAY(pthread_rwlock_clockrdlock(&rw, CLOCK_MONOTONIC, &mono));
    SAY(pthread_rwlock_tryrdlock(&rw));
    SAY(pthread_rwlock_rdlock(&rw));
    for (int i = 0; i < 4; i++)
        SAY(pthread_rwlock_unlock(&rw));
    SAY(pthread_rwlock_timedwrlock(&rw, &past));
    SAY(pthread_rwlock_unlock(&rw));
    SAY(pthread_rwlock_clockwrlock(&rw, CLOCK_REALTIME, &past));
    SAY(pthread_rwlock_unlock(&rw));
    SAY(pthread_rwlock_timedrdlock(&rw, &wrong));
    SAY(pthread_rwlock_clockwrlock(&rw, CLOCK_BOOTTIME, &past));
    SAY(pthread_rwlock_trywrlock(&rw));
    SAY(pthread_rwlock_unlock(&rw));
}

static void rwlock_kind(void)
{
    struct worker writer;
    rwlock_when_free();
    puts(" own write");
    SAY(pthread_rwlock_wrlock(&rw));
    SAY(pthread_rwlock_wrlock(&rw));
    SAY(pthread_rwlock_rdlock(&rw));
    rwlock_refused();
    SAY(pthread_rwlock_unlock(&rw));
    puts(" another's write");
    worker_do(&other, write_take, NULL);
    rwlock_refused();
    worker_do(&other, rw_give, NULL);
    puts(" another's read");
    worker_do(&other, read_take, NULL);
    SAY(pthread_rwlock_tryrdlock(&rw));
    SAY(pthread_rwlock_unlock(&rw));
    SAY(pthread_rwlock_trywrlock(&rw));
    SAY(pthread_rwlock_timedwrlock(&rw, &past));
    puts(" and a writer waits");
    worker_start(&writer);
    worker_begin(&writer, write_take, NULL);
    while (!(__atomic_load_n(&rw.__data.__readers, __ATOMIC_SEQ_CST) & 2)) /* glibc: a writer is at the gate */
        nap_ms(1);
    if (pthread_rwlock_tryrdlock(&rw) == 0) {
        puts("  a reader passes it");
        SAY(pthread_rwlock_unlock(&rw));
    } else {
        SAY(pthread_rwlock_timedrdlock(&rw, &past));
    }
    worker_do(&other, rw_give_quietly, NULL);
    word_wait(&writer.word, 2);
    worker_do(&writer, rw_give, NULL);
    worker_end(&writer);
}

static void rwlocks(void)
{
    for (int kind = 0; kind < 3; kind++) {
        pthread_rwlockattr_t a;
        printf("kind %d\n", kind);
        pthread_rwlockattr_init(&a);
        pthread_rwlockattr_setkind_np(&a, kind);
        pthread_rwlockattr_setpshared(&a, kind & 1);
        SAY(pthread_rwlock_init(&rw, &a));
        rwlock_kind();
        SAY(pthread_rwlock_destroy(&rw));
    }
    pthread_rwlock_t plain = PTHREAD_RWLOCK_INITIALIZER;
    rw = plain;
    puts("static");
    rwlock_kind();
    pthread_rwlock_t queue = PTHREAD_RWLOCK_WRITER_NONRECURSIVE_INITIALIZER_NP;
    rw = queue;
    puts("static, prefers writers");
    rwlock_kind();
}

/* ---- spin ---- */
static void *spins(void *arg)
{
    step_done(1);
    pthread_spin_lock(&spin);
    pthread_spin_unlock(&spin);
    return arg;
}

static void spin_locks(void)
{
    for (int shared = 0; shared < 2; shared++) {
        SAY(pthread_spin_init(&spin, shared));
        SAY(pthread_spin_lock(&spin));
        SAY(pthread_spin_trylock(&spin));
        pthread_t t = start(spins, NULL);
        step_wait(1);
        nap_ms(20);
        SAY(pthread_spin_unlock(&spin));
        join(t);
        SAY(pthread_spin_trylock(&spin));
        SAY(pthread_spin_unlock(&spin));
        SAY(pthread_spin_destroy(&spin));
    }
}

/* ---- C11 ---- */
static void mtx_take(void *arg)
{
    (void)arg;
    SAY(mtx_lock(&mtx));
}
static void mtx_give_quietly(void *arg)
{
    (void)arg;
    mtx_unlock(&mtx);
}
static void *mtx_give_when_asleep(void *arg)
{
    wait_until_asleep(getpid(), *(pid_t *)arg);
    worker_do(&other, mtx_give_quietly, NULL);
    return NULL;
}

static void c11_locks(void)
{
    pid_t self = (pid_t)syscall(SYS_gettid);
    const int types[] = {mtx_plain, mtx_timed, mtx_recursive, mtx_timed | mtx_recursive};
    for (int i = 0; i < 4; i++) {
        printf("type %d\n", types[i]);
        SAY(mtx_init(&mtx, types[i]));
        SAY(mtx_lock(&mtx));
        SAY(mtx_trylock(&mtx));
        SAY(mtx_timedlock(&mtx, &past));
        SAY(mtx_timedlock(&mtx, &wrong));
        SAY(mtx_unlock(&mtx));
        while ((types[i] & mtx_recursive) && mtx_unlock(&mtx) == thrd_success)
            puts("  once more");
        SAY(mtx_timedlock(&mtx, &wrong));
        SAY(mtx_unlock(&mtx));
        worker_do(&other, mtx_take, NULL);
        SAY(mtx_trylock(&mtx));
        SAY(mtx_timedlock(&mtx, &past));
        pthread_t t = start(mtx_give_when_asleep, &self);
        SAY(mtx_lock(&mtx));
        SAY(mtx_unlock(&mtx));
        join(t);
        mtx_destroy(&mtx);
    }
    SAY(mtx_init(&mtx, 99));
}

int main(int argc, char **argv)
{
    setvbuf(stdout, NULL, _IOLBF, 0);
    worker_start(&other);
    if (argc < 2)
        return 2;
    if (shape_is(argv, "mutex"))
        mutexes();
    else if (shape_is(argv, "robust"))
        robust_mutexes();
    else if (shape_is(argv, "rwlock"))
        rwlocks();
    else if (shape_is(argv, "spin"))
        spin_locks();
    else
        c11_locks();
    worker_end(&other);
    return 0;
}
