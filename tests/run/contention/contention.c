/* Locks of all kinds, taken so that it is known how often, and who has to wait: contention_test.py compares that with what
 * --detect=contention says. A holder lets go only when the kernel says that the others wait (for a spin lock: when they
 * have burnt processor time), and HOLD_MS later. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define HOLD_MS 20

static pthread_mutex_t hot = PTHREAD_MUTEX_INITIALIZER, outer = PTHREAD_MUTEX_INITIALIZER,
                       inner = PTHREAD_MUTEX_INITIALIZER;
static pthread_mutex_t recursive, tried = PTHREAD_MUTEX_INITIALIZER, timed = PTHREAD_MUTEX_INITIALIZER;
static pthread_mutex_t waited = PTHREAD_MUTEX_INITIALIZER, forked = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t ready_now = PTHREAD_COND_INITIALIZER;
static pthread_rwlock_t shared = PTHREAD_RWLOCK_INITIALIZER;
static pthread_spinlock_t spin;
static sem_t sem;
static int ready, returns;

struct person {
    pthread_t thread;
    pid_t tid;
    void (*work)(void);
};

static void sleep_ms(long ms)
{
    struct timespec ts = {ms / 1000, ms % 1000 * 1000000};
    nanosleep(&ts, NULL);
}

static void *person_main(void *arg)
{
    struct person *p = arg;
    __atomic_store_n(&p->tid, (pid_t)syscall(SYS_gettid), __ATOMIC_SEQ_CST);
    p->work();
    return NULL;
}

static void start(struct person *p, void (*work)(void))
{
    *p = (struct person){.work = work};
    if (pthread_create(&p->thread, NULL, person_main, p))
        exit(2);
    while (!__atomic_load_n(&p->tid, __ATOMIC_SEQ_CST))
        sleep_ms(1);
}

static void finish(struct person *p)
{
    pthread_join(p->thread, NULL);
}

/* Waits until the kernel shows p in a futex call on the object's memory. */
static void until_waits(const struct person *p, const void *object, size_t size)
{
    char path[64], text[128];
    snprintf(path, sizeof path, "/proc/self/task/%d/syscall", (int)p->tid);
    for (;; sleep_ms(1)) {
        int fd = open(path, O_RDONLY);
        ssize_t n = fd >= 0 ? read(fd, text, sizeof text - 1) : -1;
        unsigned long call, address;
        if (fd < 0)
            exit(77);
        close(fd);
        if (n <= 0)
            continue;
        text[n] = 0;
        if (sscanf(text, "%lu %lx", &call, &address) == 2 && call == SYS_futex &&
            address - (unsigned long)object < size)
            return;
    }
}

/* ---- a mutex with two waiters ---- */

static void take_hot(void)
{
    pthread_mutex_lock(&hot);
    pthread_mutex_unlock(&hot);
}

static __attribute__((noinline)) void hold_hot(struct person *a, struct person *b)
{
    pthread_mutex_lock(&hot); /* mark: holds */
    start(a, take_hot);
    start(b, take_hot);
    until_waits(a, &hot, sizeof hot);
    until_waits(b, &hot, sizeof hot);
    sleep_ms(HOLD_MS);
    pthread_mutex_unlock(&hot);
}

static void contended(void)
{
    struct person a, b;
    hold_hot(&a, &b);
    finish(&a);
    finish(&b);
}

/* ---- nobody waits ---- */

static void nested(void)
{
    for (int i = 0; i < 5; i++) {
        pthread_mutex_lock(&outer);
        pthread_mutex_lock(&inner);
        sleep_ms(1);
        pthread_mutex_unlock(&inner);
        pthread_mutex_unlock(&outer);
    }
}

static void again(void)
{
    pthread_mutexattr_t attr;
    pthread_mutexattr_init(&attr);
    pthread_mutexattr_settype(&attr, PTHREAD_MUTEX_RECURSIVE);
    pthread_mutex_init(&recursive, &attr);
    for (int i = 0; i < 4; i++) {
        for (int k = 0; k < 3; k++)
            pthread_mutex_lock(&recursive);
        sleep_ms(2);
        for (int k = 0; k < 3; k++)
            pthread_mutex_unlock(&recursive);
    }
}

static void try_tried(void)
{
    for (int i = 0; i < 3; i++)
        if (pthread_mutex_trylock(&tried) != EBUSY)
            exit(2);
}

static void tries(void)
{
    struct person a;
    for (int i = 0; i < 7; i++) {
        if (pthread_mutex_trylock(&tried))
            exit(2);
        if (i == 3) {
            start(&a, try_tried);
            finish(&a);
        }
        pthread_mutex_unlock(&tried);
    }
}

/* ---- a wait that runs into its limit; then the same call finds it free ---- */

static pthread_barrier_t let_go;

static void take_timed(void)
{
    for (;;) {
        struct timespec limit;
        clock_gettime(CLOCK_REALTIME, &limit);
        limit.tv_nsec += HOLD_MS * 1000000L;
        limit.tv_sec += limit.tv_nsec / 1000000000L;
        limit.tv_nsec %= 1000000000L;
        if (!pthread_mutex_timedlock(&timed, &limit))
            break;
        pthread_barrier_wait(&let_go);
        pthread_barrier_wait(&let_go);
    }
    pthread_mutex_unlock(&timed);
}

static void times_out(void)
{
    struct person a;
    pthread_barrier_init(&let_go, NULL, 2);
    pthread_mutex_lock(&timed);
    start(&a, take_timed);
    pthread_barrier_wait(&let_go);
    pthread_mutex_unlock(&timed);
    pthread_barrier_wait(&let_go);
    finish(&a);
}

/* ---- a condition ---- */

static void wait_ready(void)
{
    pthread_mutex_lock(&waited);
    while (!ready) {
        pthread_cond_wait(&ready_now, &waited);
        returns++;
    }
    pthread_mutex_unlock(&waited);
}

static void condition(void)
{
    struct person a;
    start(&a, wait_ready);
    until_waits(&a, &ready_now, sizeof ready_now);
    sleep_ms(10 * HOLD_MS);
    pthread_mutex_lock(&waited);
    ready = 1;
    pthread_mutex_unlock(&waited);
    pthread_cond_signal(&ready_now);
    finish(&a);
}

/* ---- readers and writers ---- */

static void write_shared(void)
{
    pthread_rwlock_wrlock(&shared);
    pthread_rwlock_unlock(&shared);
}

static void read_shared(void)
{
    pthread_rwlock_rdlock(&shared);
    pthread_rwlock_unlock(&shared);
}

static void readers(void)
{
    struct person a, b;
    pthread_rwlock_rdlock(&shared);
    start(&b, read_shared);
    finish(&b);
    start(&a, write_shared);
    until_waits(&a, &shared, sizeof shared);
    sleep_ms(HOLD_MS);
    pthread_rwlock_unlock(&shared);
    finish(&a);
    pthread_rwlock_wrlock(&shared);
    start(&b, read_shared);
    until_waits(&b, &shared, sizeof shared);
    pthread_rwlock_unlock(&shared);
    finish(&b);
}

/* ---- a spin lock, a semaphore, another process ---- */

static void take_spin(void)
{
    pthread_spin_lock(&spin);
    pthread_spin_unlock(&spin);
}

static void spins(void)
{
    struct person a;
    clockid_t clock;
    struct timespec ts = {0, 0};
    pthread_spin_init(&spin, PTHREAD_PROCESS_PRIVATE);
    pthread_spin_lock(&spin);
    start(&a, take_spin);
    pthread_getcpuclockid(a.thread, &clock);
    while (ts.tv_sec == 0 && ts.tv_nsec < HOLD_MS * 1000000L) {
        sleep_ms(1);
        clock_gettime(clock, &ts);
    }
    pthread_spin_unlock(&spin);
    finish(&a);
}

static void take_sem(void)
{
    sem_wait(&sem);
    sem_post(&sem);
}

static void semaphore(void)
{
    struct person a;
    sem_init(&sem, 0, 1);
    sem_wait(&sem);
    start(&a, take_sem);
    until_waits(&a, &sem, sizeof sem);
    sem_post(&sem);
    finish(&a);
}

static void processes(void)
{
    pthread_mutex_lock(&forked);
    pthread_mutex_unlock(&forked);
    pid_t child = fork();
    for (int i = 0; i < (child ? 1 : 3); i++) {
        pthread_mutex_lock(&forked);
        pthread_mutex_unlock(&forked);
    }
    if (!child)
        _exit(0);
    waitpid(child, NULL, 0);
}

/* Many, and of one birth: a class. */
static void heap(void)
{
    for (int i = 0; i < 1000; i++) {
        pthread_mutex_t *m = malloc(sizeof *m);
        pthread_mutex_init(m, NULL);
        pthread_mutex_lock(m);
        pthread_mutex_unlock(m);
        pthread_mutex_destroy(m);
        free(m);
    }
}

int main(void)
{
    contended();
    nested();
    again();
    tries();
    times_out();
    condition();
    readers();
    spins();
    semaphore();
    processes();
    heap();
    printf("%d\n", returns);
    return 0;
}
