/* What passes through descriptors, queues and signals orders the threads at its ends.
 *
 * For each row a first thread writes miss_NAME, sends something, and writes hit_NAME; then a second one receives it and
 * reads both. Sending happened before receiving, so miss_NAME is no race; hit_NAME is one. With "ordered" the second
 * thread begins after the first one's end: no race at all. */
#include "ends.h"
#include "step.h"

/* ---- sending, receiving ---- */

static void send_letter(void)
{
    must(write(out, &letter, 1) == 1);
}
static void receive_letter(void)
{
    must(read(in, received, 1) == 1);
}
static void send_vector(void)
{
    must(writev(out, &(struct iovec){&letter, 1}, 1) == 1);
}
static void receive_vector(void)
{
    must(readv(in, &(struct iovec){received, 1}, 1) == 1);
}
static void send_socket(void)
{
    must(send(out, &letter, 1, 0) == 1);
}
static void receive_socket(void)
{
    must(recv(in, received, 1, 0) == 1);
}
static void send_message(void)
{
    must(sendmsg(out, &(struct msghdr){.msg_iov = &(struct iovec){&letter, 1}, .msg_iovlen = 1}, 0) == 1);
}
static void receive_message(void)
{
    must(recvmsg(in, &(struct msghdr){.msg_iov = &(struct iovec){received, 1}, .msg_iovlen = 1}, 0) == 1);
}
static void send_end(void)
{
    close(out);
}
static void send_shutdown(void)
{
    shutdown(out, SHUT_WR);
}
static void receive_end(void)
{
    must(read(in, received, 1) == 0);
}
static void send_event(void)
{
    must(!eventfd_write(out, 1));
}
static void receive_event(void)
{
    eventfd_t value;
    must(!eventfd_read(in, &value));
}
static void send_eight(void)
{
    must(write(out, &(long){1}, 8) == 8);
}
static void receive_eight(void)
{
    must(read(in, received, 8) == 8);
}
static void send_file(void)
{
    must(pwrite(out, &letter, 1, 0) == 1);
}
static void receive_file(void)
{
    must(pread(in, received, 1, 0) == 1);
}
static void send_stream(void)
{
    FILE *f = fdopen(out, "w");
    must(fprintf(f, "%c", letter) == 1);
    must(fclose(f) == 0);
}
static void receive_stream(void)
{
    FILE *f = fdopen(in, "r");
    must(fgetc(f) == letter);
    fclose(f);
}
static void send_timer(void)
{
    must(!timerfd_settime(in, 0, &(struct itimerspec){.it_value = {.tv_nsec = 1}}, NULL));
}
static void send_epoll(void)
{
    must(!epoll_ctl(out, EPOLL_CTL_ADD, in, &(struct epoll_event){.events = EPOLLIN}));
}
static void receive_epoll(void)
{
    struct epoll_event e;
    must(epoll_wait(out, &e, 1, -1) == 1);
}
static void send_mq(void)
{
    must(!mq_send(out, "hello", 6, 0));
}
static void receive_mq(void)
{
    must(mq_receive(in, received, sizeof received, NULL) == 6);
}
static void send_msg(void)
{
    struct {
        long type;
        char text[8];
    } m = {1, "hello"};
    must(!msgsnd(id, &m, sizeof m.text, 0));
}
static void receive_msg(void)
{
    struct {
        long type;
        char text[8];
    } m;
    must(msgrcv(id, &m, sizeof m.text, 0, 0) == sizeof m.text);
    msgctl(id, IPC_RMID, NULL);
}
static void send_sem(void)
{
    must(!semop(id, &(struct sembuf){0, 1, 0}, 1));
}
static void receive_sem(void)
{
    must(!semop(id, &(struct sembuf){0, -1, 0}, 1));
    semctl(id, 0, IPC_RMID);
}
static void send_signal(void)
{
    must(!kill(getpid(), SIGUSR1));
}
static void send_queued(void)
{
    must(!sigqueue(getpid(), SIGUSR1, (union sigval){.sival_int = 1}));
}
static void receive_sigwait(void)
{
    sigset_t set;
    int sig;
    sigemptyset(&set);
    sigaddset(&set, SIGUSR1);
    must(!sigwait(&set, &sig));
}
static void receive_siginfo(void)
{
    sigset_t set;
    siginfo_t info;
    sigemptyset(&set);
    sigaddset(&set, SIGUSR1);
    must(sigwaitinfo(&set, &info) == SIGUSR1);
}
static void receive_signalfd(void)
{
    struct signalfd_siginfo info;
    must(read(in, &info, sizeof info) == sizeof info);
}
static volatile sig_atomic_t handled;
static void handler(int sig)
{
    (void)sig;
    handled++;
}
static void make_handler(void)
{
    block_signal();
    must(signal(SIGUSR1, handler) != SIG_ERR);
}
static void receive_handler(void)
{
    sigset_t none;
    sigemptyset(&none);
    sigsuspend(&none);
    must(handled == 1);
}

/* Code that is not instrumented: linked, and opened later. */
void relay_write(int fd);
void relay_read(int fd);
static void (*opened_write)(int fd), (*opened_read)(int fd);
static void send_foreign(void)
{
    relay_write(out);
}
static void receive_foreign(void)
{
    relay_read(in);
}
static void make_opened(void)
{
    make_pipe();
    void *library = dlopen("./libsurroundings_opened.so", RTLD_LAZY);
    must(library != NULL);
    opened_write = (void (*)(int))dlsym(library, "relay_write");
    opened_read = (void (*)(int))dlsym(library, "relay_read");
}
static void send_opened(void)
{
    opened_write(out);
}
static void receive_opened(void)
{
    opened_read(in);
}

static void send_splice(void)
{
    int fd[2];
    must(!pipe(fd) && write(fd[1], &letter, 1) == 1);
    must(splice(fd[0], NULL, out, NULL, 1, 0) == 1);
}

/* X(name, set up, send, receive) */
#define ROWS(X)                                                                                                        \
    X(pipe, make_pipe, send_letter, receive_letter)                                                                    \
    X(pipe_vector, make_pipe, send_vector, receive_vector)                                                             \
    X(pipe_copies, make_copied_pipe, send_letter, receive_letter)                                                      \
    X(pipe_end, make_pipe, send_end, receive_end)                                                                      \
    X(pipe_stream, make_pipe, send_stream, receive_stream)                                                             \
    X(pipe_splice, make_pipe, send_splice, receive_letter)                                                             \
    X(fifo, make_fifo, send_letter, receive_letter)                                                                    \
    X(socketpair, make_pair, send_letter, receive_letter)                                                              \
    X(socketpair_send, make_pair, send_socket, receive_socket)                                                         \
    X(socketpair_message, make_pair, send_message, receive_message)                                                    \
    X(socketpair_shutdown, make_pair, send_shutdown, receive_end)                                                      \
    X(datagrams, make_datagrams, send_socket, receive_socket)                                                          \
    X(tcp, make_tcp, send_socket, receive_letter)                                                                      \
    X(tcp_end, make_tcp, send_end, receive_end)                                                                        \
    X(unix_path, make_unix, send_letter, receive_socket)                                                               \
    X(udp, make_udp, send_socket, receive_socket)                                                                      \
    X(eventfd, make_eventfd, send_eight, receive_eight)                                                                \
    X(eventfd_calls, make_eventfd, send_event, receive_event)                                                          \
    X(file, make_file, send_letter, receive_letter)                                                                    \
    X(file_at, make_file, send_file, receive_file)                                                                     \
    X(timerfd, make_timer, send_timer, receive_eight)                                                                  \
    X(epoll, make_epoll, send_epoll, receive_epoll)                                                                    \
    X(mq, make_mq, send_mq, receive_mq)                                                                                \
    X(msg, make_msg, send_msg, receive_msg)                                                                            \
    X(sysv_sem, make_sem, send_sem, receive_sem)                                                                       \
    X(sigwait, block_signal, send_signal, receive_sigwait)                                                             \
    X(sigqueue, block_signal, send_queued, receive_siginfo)                                                            \
    X(handler, make_handler, send_signal, receive_handler)                                                             \
    X(foreign, make_pipe, send_foreign, receive_foreign)                                                               \
    X(foreign_opened, make_opened, send_opened, receive_opened)                                                        \
    X(signalfd, make_signalfd, send_signal, receive_signalfd)

#define VARIABLES(name, make, send, receive) static int miss_##name, hit_##name;
ROWS(VARIABLES)

#define FUNCTIONS(name, make, send, receive)                                                                           \
    static void begin_##name(void)                                                                                     \
    {                                                                                                                  \
        miss_##name = 1;                                                                                               \
        send();                                                                                                        \
        hit_##name = 1;                                                                                                \
    }                                                                                                                  \
    static int end_##name(void)                                                                                        \
    {                                                                                                                  \
        receive();                                                                                                     \
        return miss_##name + hit_##name;                                                                               \
    }
ROWS(FUNCTIONS)

static const struct row {
    void (*make)(void), (*begin)(void);
    int (*end)(void);
} rows[] = {
#define ROW(name, make, send, receive) {make, begin_##name, end_##name},
    ROWS(ROW)};
#define NROWS (sizeof rows / sizeof rows[0])

static void *first(void *row)
{
    const struct row *r = row;
    r->begin();
    step_done((int)(r - rows) + 1);
    return NULL;
}

static void *second(void *row)
{
    const struct row *r = row;
    step_wait((int)(r - rows) + 1);
    return (void *)(long)r->end();
}

static void run(const struct row *r, int ordered)
{
    pthread_t t[2];
    r->make();
    must(!pthread_create(&t[0], NULL, first, (void *)r));
    if (ordered)
        pthread_join(t[0], NULL);
    must(!pthread_create(&t[1], NULL, second, (void *)r));
    if (!ordered)
        pthread_join(t[0], NULL);
    pthread_join(t[1], NULL);
}

/* A thread that is cancelled in a call that waits ends as it should, and errno is the call's. */
static void *waits(void *unused)
{
    (void)unused;
    read(in, received, 1);
    return NULL;
}

static void cancelled(void)
{
    pthread_t t;
    void *result;
    make_pipe();
    must(!pthread_create(&t, NULL, waits, NULL) && !pthread_cancel(t) && !pthread_join(t, &result));
    must(result == PTHREAD_CANCELED);
    close(in);
    must(read(in, received, 1) == -1 && errno == EBADF);
    must(write(-1, received, 1) == -1 && errno == EBADF);
}

int main(int argc, char **argv)
{
    chdir(dirname(argv[0]));
    for (unsigned i = 0; i < NROWS; i++)
        run(&rows[i], argc > 1);
    cancelled();
    return 0;
}
