/* What order.c's threads send through: both ends of each kind of descriptor. */
#ifndef ENDS_H
#define ENDS_H

#define _GNU_SOURCE
#include <arpa/inet.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <mqueue.h>
#include <netinet/in.h>
#include <pthread.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/ipc.h>
#include <sys/msg.h>
#include <sys/sem.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/timerfd.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <unistd.h>

static int in, out; /* where the row's data comes out, and where it goes in */
static int id;      /* of a queue */
static char letter = 'x', received[64];

static void must(int ok)
{
    if (!ok) {
        perror("order");
        exit(2);
    }
}

/* ---- setting up: before the threads ---- */

static void nothing(void) {}
static void make_pipe(void)
{
    int fd[2];
    must(!pipe(fd));
    in = fd[0];
    out = fd[1];
}
static void make_copied_pipe(void)
{
    make_pipe();
    int fd = dup(out), other = fcntl(in, F_DUPFD, 50), third = dup2(fd, 60);
    must(close(out) == 0 && close(in) == 0 && fd >= 0);
    out = third;
    in = other;
}
static void make_pair(void)
{
    int fd[2];
    must(!socketpair(AF_UNIX, SOCK_STREAM, 0, fd));
    in = fd[0];
    out = fd[1];
}
static void make_datagrams(void)
{
    int fd[2];
    must(!socketpair(AF_UNIX, SOCK_DGRAM, 0, fd));
    in = fd[0];
    out = fd[1];
}
static void make_eventfd(void)
{
    in = eventfd(0, 0);
    out = dup(in);
}
static void make_fifo(void)
{
    char path[] = "/tmp/order-fifo-XXXXXX";
    must(mkdtemp(path) != NULL);
    char file[64];
    snprintf(file, sizeof file, "%s/fifo", path);
    must(!mkfifo(file, 0600));
    in = open(file, O_RDONLY | O_NONBLOCK);
    out = open(file, O_WRONLY);
    must(in >= 0 && out >= 0);
    unlink(file);
    rmdir(path);
}
static void make_file(void)
{
    char path[] = "/tmp/order-file-XXXXXX";
    out = mkstemp(path);
    in = open(path, O_RDONLY);
    must(in >= 0 && out >= 0);
    unlink(path);
}
static void make_tcp(void)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
    socklen_t n = sizeof a;
    int listener = socket(AF_INET, SOCK_STREAM, 0);
    must(!bind(listener, (struct sockaddr *)&a, sizeof a) && !listen(listener, 1));
    must(!getsockname(listener, (struct sockaddr *)&a, &n));
    out = socket(AF_INET, SOCK_STREAM, 0);
    must(!connect(out, (struct sockaddr *)&a, sizeof a));
    in = accept(listener, NULL, NULL);
    must(in >= 0);
    close(listener);
}
static void make_unix(void)
{
    struct sockaddr_un a = {.sun_family = AF_UNIX};
    int listener = socket(AF_UNIX, SOCK_STREAM, 0);
    socklen_t n = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 +
                              (unsigned)snprintf(a.sun_path + 1, 50, "order-%d", getpid()));
    must(!bind(listener, (struct sockaddr *)&a, n) && !listen(listener, 1));
    out = socket(AF_UNIX, SOCK_STREAM, 0);
    must(!connect(out, (struct sockaddr *)&a, n));
    in = accept(listener, NULL, NULL);
    must(in >= 0);
    close(listener);
}
static void make_udp(void)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
    socklen_t n = sizeof a;
    in = socket(AF_INET, SOCK_DGRAM, 0);
    out = socket(AF_INET, SOCK_DGRAM, 0);
    must(!bind(in, (struct sockaddr *)&a, sizeof a) && !getsockname(in, (struct sockaddr *)&a, &n));
    must(!connect(out, (struct sockaddr *)&a, n));
}
static void make_timer(void)
{
    in = timerfd_create(CLOCK_MONOTONIC, 0);
}
static void make_epoll(void)
{
    make_pipe();
    must(write(out, &letter, 1) == 1);
    out = epoll_create1(0);
}
static void make_mq(void)
{
    char name[32];
    struct mq_attr attr = {.mq_maxmsg = 1, .mq_msgsize = 16};
    snprintf(name, sizeof name, "/order-%d", getpid());
    in = out = mq_open(name, O_RDWR | O_CREAT, 0600, &attr);
    must(in >= 0);
    mq_unlink(name);
}
static void make_msg(void)
{
    id = msgget(IPC_PRIVATE, 0600);
    must(id >= 0);
}
static void make_sem(void)
{
    id = semget(IPC_PRIVATE, 1, 0600);
    must(id >= 0);
}
static void block_signal(void)
{
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGUSR1);
    pthread_sigmask(SIG_BLOCK, &set, NULL);
}
static void make_signalfd(void)
{
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGUSR1);
    block_signal();
    in = signalfd(-1, &set, 0);
}

#endif
