/* What the case programs share: threads that meet at steps the detector cannot see.
 *
 * The interleaving of a case is forced, never hoped for. Steps are plain futex words in shared memory, so they make no
 * lock order, no happens-before edge and no waiter for snarl, and they work between processes as well as between
 * threads. */
#ifndef CASE_H
#define CASE_H

#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/futex.h>
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define NOINLINE __attribute__((noinline))
#define UNUSED __attribute__((unused))

/* steps[0] counts steps reached, the others count threads that have met. Touched by instructions that compilers do not
 * instrument: what a step orders is known to the program alone. */
static int *case_words;

UNUSED static int word_get(const int *w)
{
    int value;
    __asm__ volatile("movl %1, %0" : "=r"(value) : "m"(*w) : "memory");
    return value;
}

/* Returns what was there. */
UNUSED static int word_swap(int *w, int value)
{
    __asm__ volatile("xchgl %0, %1" : "+r"(value), "+m"(*w) : : "memory");
    return value;
}

UNUSED static int word_add(int *w, int value)
{
    int before = value;
    __asm__ volatile("lock xaddl %0, %1" : "+r"(before), "+m"(*w) : : "memory");
    return before + value;
}

__attribute__((constructor)) static void case_begin(void)
{
    case_words = (int *)mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (case_words == MAP_FAILED)
        _exit(70);
}

UNUSED static void word_set(int *w, int value)
{
    word_swap(w, value);
    syscall(SYS_futex, w, FUTEX_WAKE, INT_MAX, NULL, NULL, 0);
}

UNUSED static void word_wait(int *w, int at_least)
{
    int now;
    while ((now = word_get(w)) < at_least)
        syscall(SYS_futex, w, FUTEX_WAIT, now, NULL, NULL, 0);
}

/* Says that step n is done. */
UNUSED static void step_done(int n)
{
    word_set(&case_words[0], n);
}

/* Waits until somebody has said that step n, or a later one, is done. */
UNUSED static void step_wait(int n)
{
    word_wait(&case_words[0], n);
}

/* Waits until `parties` threads (or processes) have come to this place. */
UNUSED static void meet(int place, int parties)
{
    int n = word_add(&case_words[place + 1], 1);
    if (n >= parties)
        syscall(SYS_futex, &case_words[place + 1], FUTEX_WAKE, INT_MAX, NULL, NULL, 0);
    word_wait(&case_words[place + 1], parties);
}

UNUSED static void nap_ms(long ms)
{
    struct timespec ts = {ms / 1000, ms % 1000 * 1000000};
    syscall(SYS_nanosleep, &ts, NULL);
}

/* Waits until the thread with kernel id `tid` sleeps in the kernel: then it has really blocked. */
UNUSED static void wait_until_asleep(pid_t process, pid_t tid)
{
    char path[64], text[512];
    snprintf(path, sizeof path, "/proc/%d/task/%d/stat", (int)process, (int)tid);
    for (;;) {
        int fd = (int)syscall(SYS_openat, AT_FDCWD, path, O_RDONLY);
        long n = fd < 0 ? -1 : syscall(SYS_read, fd, text, sizeof text - 1);
        if (fd >= 0)
            syscall(SYS_close, fd);
        if (n <= 0)
            return;
        text[n] = 0;
        const char *p = strrchr(text, ')');
        if (p && p[2] == 'S')
            return;
        nap_ms(1);
    }
}

UNUSED static void *case_memory(size_t size)
{
    void *p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (p == MAP_FAILED)
        _exit(70);
    return p;
}

typedef void *(*case_routine)(void *);

UNUSED static pthread_t start(case_routine f, void *arg)
{
    pthread_t t;
    if (pthread_create(&t, NULL, f, arg))
        _exit(71);
    return t;
}

UNUSED static void join(pthread_t t)
{
    pthread_join(t, NULL);
}

/* Which of the program's shapes: main's first argument. */
UNUSED static int shape_is(char **argv, const char *name)
{
    return argv[1] && !strcmp(argv[1], name);
}

#define CHECK(condition)                                                                                               \
    do {                                                                                                               \
        if (!(condition)) {                                                                                            \
            dprintf(2, "%s:%d: %s does not hold (errno %d)\n", __FILE__, __LINE__, #condition, errno);                 \
            _exit(72);                                                                                                 \
        }                                                                                                              \
    } while (0)

#ifndef __cplusplus
#define lock(m) pthread_mutex_lock(m)
#define unlock(m) pthread_mutex_unlock(m)
#endif

#endif
