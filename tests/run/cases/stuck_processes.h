/* What stuck_processes.c and stuck_processes_not.c share: two that talk, a pool, and the ways in which they wait. */
#ifndef STUCK_PROCESSES_H
#define STUCK_PROCESSES_H

#include "case.h"
#include <poll.h>
#include <stdbool.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/file.h>
#include <sys/select.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/timerfd.h>

#define LONG_MS 700 /* longer than snarl takes to see that nothing moves */
#define MUCH (1 << 20)

static char seen = '-';    /* what the last read has brought */
static int one[2], two[2]; /* pipes, or sockets with both ends alike */
static struct {
    pthread_mutex_t lock;
    pthread_cond_t signal;
    sem_t sem;
} * shared;

/* ---- what waits ---- */

UNUSED NOINLINE static int read_byte(int fd)
{
    char byte = 0;
    long n = read(fd, &byte, 1);
    seen = n == 1 ? byte : '-';
    return n == 1 ? byte : -errno;
}

UNUSED NOINLINE static void receive_byte(int fd)
{
    char byte;
    CHECK(recv(fd, &byte, 1, 0) <= 1);
}

UNUSED NOINLINE static void read_counter(int fd)
{
    unsigned long value;
    CHECK(read(fd, &value, sizeof value) == (long)sizeof value);
}

UNUSED NOINLINE static void write_much(int fd)
{
    static char much[MUCH];
    for (long at = 0, n; at < MUCH; at += n)
        CHECK((n = write(fd, much + at, (size_t)(MUCH - at))) > 0);
}

UNUSED NOINLINE static void write_byte(int fd)
{
    CHECK(write(fd, "x", 1) == 1);
}

UNUSED NOINLINE static void wait_for(pid_t child)
{
    int status;
    CHECK(waitpid(child, &status, 0) == child);
}

UNUSED NOINLINE static void poll_for_byte(int fd)
{
    struct pollfd p = {fd, POLLIN, 0};
    CHECK(poll(&p, 1, -1) == 1);
}

UNUSED NOINLINE static void select_byte(int fd)
{
    fd_set set;
    FD_ZERO(&set);
    FD_SET(fd, &set);
    CHECK(select(fd + 1, &set, NULL, NULL, NULL) == 1);
}

UNUSED NOINLINE static void epoll_for_byte(int fd, int timeout)
{
    struct epoll_event e = {.events = EPOLLIN};
    int set = epoll_create1(0);
    CHECK(set >= 0 && epoll_ctl(set, EPOLL_CTL_ADD, fd, &e) == 0);
    CHECK(epoll_wait(set, &e, 1, timeout) >= 0);
    close(set);
}

UNUSED NOINLINE static void wait_for_signal(void)
{
    pthread_mutex_lock(&shared->lock);
    pthread_cond_wait(&shared->signal, &shared->lock);
    pthread_mutex_unlock(&shared->lock);
}

UNUSED NOINLINE static void wait_for_post(sem_t *s)
{
    CHECK(sem_wait(s) == 0);
}

UNUSED NOINLINE static void answer_with_lock(void)
{
    pthread_mutex_lock(&shared->lock);
    pthread_mutex_unlock(&shared->lock);
    write_byte(one[1]);
}

/* ---- what they wait with ---- */

static void make_pipes(void)
{
    CHECK(pipe(one) == 0 && pipe(two) == 0);
}

static void make_sockets(void)
{
    CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, one) == 0);
    two[0] = one[1]; /* what the second reads from, and the first writes to */
    two[1] = one[0];
}

UNUSED static void make_shared(void)
{
    pthread_mutexattr_t m;
    pthread_condattr_t c;
    shared = case_memory(sizeof *shared);
    pthread_mutexattr_init(&m);
    pthread_mutexattr_setpshared(&m, PTHREAD_PROCESS_SHARED);
    pthread_mutex_init(&shared->lock, &m);
    pthread_condattr_init(&c);
    pthread_condattr_setpshared(&c, PTHREAD_PROCESS_SHARED);
    pthread_cond_init(&shared->signal, &c);
    sem_init(&shared->sem, 1, 0);
}

/* ---- two that talk: the first reads from `one`, the second from `two` ---- */

static const char *shape;
static int is(const char *name)
{
    return !strcmp(shape, name);
}

UNUSED NOINLINE static void first(void)
{
    if (is("sockets"))
        receive_byte(one[0]);
    else if (is("full_sockets"))
        write_much(one[0]);
    else if (is("counters"))
        read_counter(one[0]);
    else if (is("poll"))
        poll_for_byte(one[0]);
    else if (is("select"))
        select_byte(one[0]);
    else if (is("epoll"))
        epoll_for_byte(one[0], -1);
    else
        read_byte(one[0]);
    if (!is("polite") && !is("break"))
        write_byte(two[1]);
}

UNUSED NOINLINE static void second(void)
{
    if (is("sockets"))
        receive_byte(two[0]);
    else if (is("full_sockets"))
        write_much(two[0]);
    else if (is("counters"))
        read_counter(two[0]);
    else
        CHECK(read_byte(two[0]) != 0 && (!is("break") || seen == '-'));
    write_byte(one[1]);
}

static pid_t begin(void (*f)(void))
{
    pid_t child = fork();
    CHECK(child >= 0);
    if (child)
        return child;
    f();
    _exit(0);
}

/* The second is a child; for pipes, each closes what it does not use. */
UNUSED static void talk(void)
{
    if (fork() == 0) {
        if (one[0] != one[1] && one[0] != two[1]) {
            close(one[0]);
            close(two[1]);
        }
        second();
        _exit(0);
    }
    if (one[0] != one[1] && one[0] != two[1]) {
        close(two[0]);
        close(one[1]);
    }
    first();
    wait(NULL);
}

static void close_all(void)
{
    close(one[0]);
    close(one[1]);
    close(two[0]);
    close(two[1]);
}

/* ---- a pool: workers take tasks from a pipe; a task of depth > 0 puts another one in and waits for its answer ---- */

#define ANSWERS 8
static int tasks[2], answers[ANSWERS][2];

struct task {
    char depth, answer;
};

UNUSED NOINLINE static void put_task(char depth, char answer)
{
    struct task t = {depth, answer};
    CHECK(write(tasks[1], &t, sizeof t) == (long)sizeof t);
}

UNUSED NOINLINE static void run_task(const struct task *t)
{
    if (t->depth) {
        put_task((char)(t->depth - 1), (char)(t->answer + 4));
        read_byte(answers[t->answer + 4][0]);
    }
    write_byte(answers[(int)t->answer][1]);
}

UNUSED NOINLINE static void serve(void)
{
    struct task t;
    while (read(tasks[0], &t, sizeof t) == (long)sizeof t && t.depth >= 0)
        run_task(&t);
}

UNUSED static void pool(int workers)
{
    CHECK(pipe(tasks) == 0);
    for (int i = 0; i < ANSWERS; i++)
        CHECK(pipe(answers[i]) == 0);
    for (int i = 0; i < workers; i++)
        begin(serve);
    put_task(1, 0);
    if (workers < 2)
        put_task(1, 1);
    read_byte(answers[0][0]);
    for (int i = 0; i < workers; i++)
        put_task(-1, 0);
    while (wait(NULL) > 0)
        ;
}

static void much(void)
{
    close(one[0]);
    write_much(one[1]);
}

UNUSED static void full_pipe(bool drain)
{
    static char buffer[65536];
    pid_t child = begin(much);
    close(one[1]);
    while (drain && read(one[0], buffer, sizeof buffer) > 0)
        ;
    wait_for(child);
}

static void make_ends(void)
{
    if (is("sockets") || is("full_sockets"))
        make_sockets();
    else if (is("counters"))
        CHECK((one[0] = one[1] = eventfd(0, 0)) >= 0 && (two[0] = two[1] = eventfd(0, 0)) >= 0);
    else
        make_pipes();
}

#endif
