/* What one lock operation costs. One row of the benchmark a run: bench ROW ITERATIONS [N]
 *
 * Prints "ns per pair" (one acquire and its release), the smallest of several measurements, and the resident memory in
 * kB. Run natively, under a pass-through shim, under snarl and under other tools by run.py. */
#define _GNU_SOURCE
#include <pthread.h>
#include <semaphore.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define MEASUREMENTS 5

static pthread_mutex_t nest[8];
static pthread_mutex_t *many;
static pthread_rwlock_t rw = PTHREAD_RWLOCK_INITIALIZER;
static pthread_spinlock_t spin;
static pthread_mutex_t recursive;
static sem_t sem;
static long iterations, n;
static pthread_barrier_t both;

static double now_ns(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (double)ts.tv_sec * 1e9 + (double)ts.tv_nsec;
}

static long resident_kb(void)
{
    char line[256];
    long kb = 0;
    FILE *f = fopen("/proc/self/status", "r");
    while (f && fgets(line, sizeof line, f))
        if (!strncmp(line, "VmHWM:", 6))
            kb = atol(line + 6);
    if (f)
        fclose(f);
    return kb;
}

static void nested(long depth)
{
    for (long i = 0; i < iterations / depth; i++) {
        for (long d = 0; d < depth; d++)
            pthread_mutex_lock(&nest[d]);
        for (long d = depth - 1; d >= 0; d--)
            pthread_mutex_unlock(&nest[d]);
    }
}

static void row_nest(void)
{
    nested(n);
}

static void row_many(void)
{
    for (long i = 0, at = 0; i < iterations; i++) {
        pthread_mutex_lock(&many[at]);
        pthread_mutex_unlock(&many[at]);
        if (++at == n)
            at = 0;
    }
}

/* Each of n inside one outer lock: n orders are known. Two pairs a turn. */
static void row_inside(void)
{
    for (long i = 0, at = 0; i < iterations / 2; i++) {
        pthread_mutex_lock(&nest[0]);
        pthread_mutex_lock(&many[at]);
        pthread_mutex_unlock(&many[at]);
        pthread_mutex_unlock(&nest[0]);
        if (++at == n)
            at = 0;
    }
}

static void row_read(void)
{
    for (long i = 0; i < iterations; i++) {
        pthread_rwlock_rdlock(&rw);
        pthread_rwlock_unlock(&rw);
    }
}

static void row_write(void)
{
    for (long i = 0; i < iterations; i++) {
        pthread_rwlock_wrlock(&rw);
        pthread_rwlock_unlock(&rw);
    }
}

static void row_sem(void)
{
    for (long i = 0; i < iterations; i++) {
        sem_wait(&sem);
        sem_post(&sem);
    }
}

static void row_spin(void)
{
    for (long i = 0; i < iterations; i++) {
        pthread_spin_lock(&spin);
        pthread_spin_unlock(&spin);
    }
}

static void row_recursive(void)
{
    for (long i = 0; i < iterations; i++) {
        pthread_mutex_lock(&recursive);
        pthread_mutex_unlock(&recursive);
    }
}

static void row_try(void)
{
    for (long i = 0; i < iterations; i++) {
        pthread_mutex_trylock(&nest[0]);
        pthread_mutex_unlock(&nest[0]);
    }
}

static void *contender(void *arg)
{
    pthread_barrier_wait(&both);
    for (long i = 0; i < iterations / 2; i++) {
        pthread_mutex_lock(&nest[0]);
        ++*(volatile long *)arg;
        pthread_mutex_unlock(&nest[0]);
    }
    return NULL;
}

static void row_contended(void)
{
    pthread_t t[2];
    static long count;
    for (int i = 0; i < 2; i++)
        pthread_create(&t[i], NULL, contender, &count);
    for (int i = 0; i < 2; i++)
        pthread_join(t[i], NULL);
}

/* n locks held at once, then all given back. */
static void row_held(void)
{
    for (long i = 0; i < iterations / n; i++) {
        for (long k = 0; k < n; k++)
            pthread_mutex_lock(&many[k]);
        for (long k = n - 1; k >= 0; k--)
            pthread_mutex_unlock(&many[k]);
    }
}

static pthread_mutex_t gate = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t opened = PTHREAD_COND_INITIALIZER;
static long arrived;

static void *waits_for_all(void *arg)
{
    pthread_mutex_lock(&gate);
    if (++arrived == n)
        pthread_cond_broadcast(&opened);
    while (arrived < n)
        pthread_cond_wait(&opened, &gate);
    pthread_mutex_unlock(&gate);
    return arg;
}

/* n threads alive at once. */
static void row_threads(void)
{
    pthread_t *t = calloc((size_t)n, sizeof *t);
    pthread_attr_t attr;
    pthread_attr_init(&attr);
    pthread_attr_setstacksize(&attr, 65536);
    arrived = 0;
    for (long i = 0; i < n; i++)
        if (pthread_create(&t[i], &attr, waits_for_all, NULL)) {
            fprintf(stderr, "only %ld threads\n", i);
            exit(77);
        }
    for (long i = 0; i < n; i++)
        pthread_join(t[i], NULL);
    free(t);
}

/* n orders are known, then one of them is used again and again. */
static void know_orders(void)
{
    long side = 1;
    while (side * side < n)
        side++;
    for (long i = 0, made = 0; i < side && made < n; i++)
        for (long k = 0; k < side && made < n; k++, made++) {
            pthread_mutex_lock(&many[i]);
            pthread_mutex_lock(&many[side + k]);
            pthread_mutex_unlock(&many[side + k]);
            pthread_mutex_unlock(&many[i]);
        }
}

static const struct row {
    const char *name;
    void (*run)(void);
    int measurements;
} rows[] = {
    {"nest", row_nest, MEASUREMENTS},
    {"many", row_many, MEASUREMENTS},
    {"inside", row_inside, MEASUREMENTS},
    {"read", row_read, MEASUREMENTS},
    {"write", row_write, MEASUREMENTS},
    {"sem", row_sem, MEASUREMENTS},
    {"spin", row_spin, MEASUREMENTS},
    {"recursive", row_recursive, MEASUREMENTS},
    {"try", row_try, MEASUREMENTS},
    {"contended", row_contended, MEASUREMENTS},
    {"held", row_held, 2},
    {"threads", row_threads, 1},
    {"orders", NULL, MEASUREMENTS},
    {"live", row_many, 1},
};

/* A second thread that only sleeps: glibc locks without atomic instructions while there is one thread, which nobody
 * needs to measure. */
static void *sleeps(void *arg)
{
    for (;;)
        pause();
    return arg;
}

static void prepare(const char *name)
{
    pthread_t sleeper;
    pthread_mutexattr_t attr;
    long locks = !strcmp(name, "orders") ? 2 * n + 2 : n;
    for (int i = 0; i < 8; i++)
        pthread_mutex_init(&nest[i], NULL);
    many = calloc((size_t)locks, sizeof *many);
    for (long i = 0; i < locks; i++)
        pthread_mutex_init(&many[i], NULL);
    pthread_mutexattr_init(&attr);
    pthread_mutexattr_settype(&attr, PTHREAD_MUTEX_RECURSIVE);
    pthread_mutex_init(&recursive, &attr);
    pthread_spin_init(&spin, 0);
    sem_init(&sem, 0, 1);
    pthread_barrier_init(&both, NULL, 2);
    pthread_create(&sleeper, NULL, sleeps, NULL);
}

int main(int argc, char **argv)
{
    const struct row *row = NULL;
    double best = 0;
    if (argc < 3)
        return 64;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        if (!strcmp(rows[i].name, argv[1]))
            row = &rows[i];
    if (!row)
        return 64;
    iterations = atol(argv[2]);
    n = argc > 3 ? atol(argv[3]) : 1;
    prepare(row->name);
    if (!row->run)
        know_orders();
    for (int i = 0; i < row->measurements; i++) {
        double begin = now_ns();
        row->run ? row->run() : nested(2);
        double each = (now_ns() - begin) / (double)iterations;
        if (!i || each < best)
            best = each;
    }
    printf("%.2f %ld\n", best, resident_kb());
    return 0;
}
