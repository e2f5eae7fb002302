/* For signals_*.c: a thread that makes slow work for snarl without end, and signals sent to it. */
#ifndef SIGNALS_H
#define SIGNALS_H

#include "case.h"

static int over, seen, failed; /* by uninstrumented instructions, no call of snarl's */

/* ---- work ---- */

UNUSED static void slow(void)
{
    pthread_mutex_t outer, inner;
    pthread_mutex_init(&outer, NULL);
    pthread_mutex_init(&inner, NULL);
    lock(&outer);
    lock(&inner);
    unlock(&inner);
    unlock(&outer);
    pthread_mutex_destroy(&inner);
    pthread_mutex_destroy(&outer);
}

UNUSED static void *works(void *arg)
{
    while (!word_get(&over))
        slow();
    return arg;
}

UNUSED static pthread_t worker(void)
{
    word_swap(&over, 0);
    word_swap(&seen, 0);
    return start(works, NULL);
}

UNUSED static void finish(pthread_t t)
{
    word_swap(&over, 1);
    join(t);
    CHECK(!word_get(&failed));
}

static void must(int holds, int line)
{
    if (!holds)
        word_swap(&failed, line);
}
#define MUST(condition) must(condition, __LINE__)

UNUSED static void wait_seen(int n)
{
    while (word_get(&seen) < n)
        sched_yield();
}

UNUSED static void install(int number, void (*f)(int, siginfo_t *, void *), int flags, int also_blocked)
{
    struct sigaction sa;
    memset(&sa, 0, sizeof sa);
    sa.sa_sigaction = f;
    sa.sa_flags = flags;
    sigemptyset(&sa.sa_mask);
    if (also_blocked)
        sigaddset(&sa.sa_mask, also_blocked);
    CHECK(!sigaction(number, &sa, NULL));
}

UNUSED static void counts(int sig, siginfo_t *info, void *context)
{
    (void)sig, (void)info, (void)context;
    word_add(&seen, 1);
}

/* One after the other, each when the one before has been handled. */
UNUSED static void send_each(pthread_t t, int sig, int n)
{
    int before = word_get(&seen);
    for (int i = 1; i <= n; i++) {
        CHECK(!pthread_kill(t, sig));
        wait_seen(before + i);
    }
}

/* Runs the shape that the first argument names. */
struct shape {
    const char *name;
    void (*run)(void);
};
UNUSED static int run_shape(const struct shape *shapes, size_t n, char **argv)
{
    for (size_t i = 0; i < n; i++)
        if (shape_is(argv, shapes[i].name)) {
            shapes[i].run();
            return 0;
        }
    return 64;
}

#endif
