/* For programs that print what every call answers, so that a run under snarl can be compared with a native one:
 * results by name, errno when the call changed it, and a second thread that does one thing at a time while the first
 * one watches. */
#ifndef TRANSPARENT_H
#define TRANSPARENT_H

#include "case.h"

#include <stdbool.h>
#include <threads.h>

#define ERRNO_UNTOUCHED 77

static const char *result_name(int r)
{
    const char *name = r > 0 ? strerrorname_np(r) : NULL;
    return r == 0 ? "0" : r == -1 ? "-1" : r == PTHREAD_BARRIER_SERIAL_THREAD ? "serial" : name ? name : "?";
}

static void say(const char *what, int result, int error)
{
    printf("  %s = %s", what, result_name(result));
    if (error != ERRNO_UNTOUCHED)
        printf(" (errno %s)", result_name(error));
    putchar('\n');
}

/* Makes the call and prints what it answered. */
#define SAY(call)                                                                                                      \
    do {                                                                                                               \
        errno = ERRNO_UNTOUCHED;                                                                                       \
        int said_ = (call);                                                                                            \
        say(#call, said_, errno);                                                                                      \
    } while (0)

UNUSED static struct timespec from_now(clockid_t clock, long ms)
{
    struct timespec ts;
    clock_gettime(clock, &ts);
    ts.tv_nsec += ms * 1000000;
    ts.tv_sec += ts.tv_nsec / 1000000000;
    ts.tv_nsec %= 1000000000;
    return ts;
}

/* Deadlines: long past, before 1970, impossible. */
UNUSED static const struct timespec past = {1, 0}, negative = {-1, 0}, wrong = {1, 1000000000}, wrong_too = {1, -1};

/* A thread that does what it is told, one order at a time. */
struct worker {
    pthread_t thread;
    void (*order)(void *);
    void *arg;
    int word; /* even: idle, odd: ordered */
    int tid;
};

UNUSED static void *worker_main(void *arg)
{
    struct worker *w = (struct worker *)arg;
    word_set(&w->tid, (int)syscall(SYS_gettid));
    for (int n = 1;; n += 2) {
        word_wait(&w->word, n);
        if (!w->order)
            return NULL;
        w->order(w->arg);
        word_set(&w->word, n + 1);
    }
}

UNUSED static void worker_start(struct worker *w)
{
    memset(w, 0, sizeof *w);
    w->thread = start(worker_main, w);
    word_wait(&w->tid, 1);
}

/* Begins an order; the worker may block in it. */
UNUSED static void worker_begin(struct worker *w, void (*order)(void *), void *arg)
{
    w->order = order;
    w->arg = arg;
    word_set(&w->word, w->word + 1);
}
UNUSED static void worker_do(struct worker *w, void (*order)(void *), void *arg)
{
    int done = w->word + 2;
    worker_begin(w, order, arg);
    word_wait(&w->word, done);
}
UNUSED static void worker_end(struct worker *w)
{
    worker_begin(w, NULL, NULL);
    join(w->thread);
}

#endif
