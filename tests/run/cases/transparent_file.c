/* What file lock calls answer, in two processes with several descriptors each, is the same with and without snarl:
 * seeded random sequences that never wait, and the calls that wait (woken, interrupted, refused by the kernel).
 *
 * @case transparent_file random
 * @finding lock-order min=0 max=99 counts=no
 * @snarl --fail-on=deadlock --on-deadlock=report
 * @case transparent_file_waits waits
 * @snarl --fail-on=stuck --on-deadlock=report
 * @finding deadlock locks=*first.lock*,*first.lock*
 */
#include "transparent.h"
#include <stdlib.h>
#include <sys/file.h>
#include <sys/socket.h>

#define check(x)                                                                                                       \
    do {                                                                                                               \
        if (!(x)) {                                                                                                    \
            perror(#x);                                                                                                \
            exit(3);                                                                                                   \
        }                                                                                                              \
    } while (0)

enum { FILES = 2, PER_FILE = 3, FDS = FILES * PER_FILE };

static char path[FILES][256];
static int fd[FDS];
static unsigned seed = 20;

static unsigned pick(unsigned n)
{
    seed = seed * 1664525u + 1013904223u;
    return (seed >> 10) % n;
}

/* The third descriptor of each file is a duplicate of the second. */
static void open_one(int i)
{
    fd[i] = i % PER_FILE == 2 && fd[i - 1] >= 0 ? dup(fd[i - 1]) : open(path[i / PER_FILE], O_RDWR | O_CREAT, 0600);
}

static int record(int i, int cmd, short type, off_t start, off_t len)
{
    struct flock fl = {
        .l_type = type, .l_whence = (short)(len % 2 ? SEEK_SET : SEEK_CUR), .l_start = start, .l_len = len};
    return fcntl(fd[i], cmd, &fl);
}

/* One operation by the calling process; what it answered. */
static int operation(unsigned what, int i, unsigned a, unsigned b)
{
    static const short types[] = {F_RDLCK, F_WRLCK, F_UNLCK};
    static const int flocks[] = {LOCK_SH, LOCK_EX, LOCK_UN};
    static const int lockfs[] = {F_TLOCK, F_ULOCK, F_TEST, F_TLOCK};
    errno = 0;
    switch (what) {
    case 0:
    case 1:
        return flock(fd[i], flocks[a % 3] | (a % 3 == 2 && a % 2 ? 0 : LOCK_NB));
    case 2:
    case 3:
        return record(i, F_SETLK, types[a % 3], b % 20, (off_t)(a % 7) * 3);
    case 4:
    case 5:
        return record(i, F_OFD_SETLK, types[a % 3], b % 20, (off_t)(a % 7) * 3);
    case 6:
        return lockf(fd[i], lockfs[a % 4], (off_t)(b % 30));
    case 7: { /* who is in the way */
        struct flock fl = {.l_type = types[a % 2], .l_start = b % 20, .l_len = 5};
        int r = fcntl(fd[i], b % 2 ? F_GETLK : F_OFD_GETLK, &fl);
        return r ? r : fl.l_type * 100 + (int)fl.l_start + 3 * (int)fl.l_len;
    }
    case 8: {
        int r = close(fd[i]);
        open_one(i);
        return r;
    }
    default:
        return fcntl(fd[i], F_SETFD, FD_CLOEXEC) + fcntl(fd[i], F_GETFD);
    }
}

struct order {
    unsigned what, a, b;
    int i;
};
struct answer {
    int result, error;
};

static void serve(int channel)
{
    struct order o;
    while (read(channel, &o, sizeof o) == sizeof o) {
        struct answer a;
        a.result = operation(o.what, o.i, o.a, o.b);
        a.error = a.result == -1 ? errno : 0;
        if (write(channel, &a, sizeof a) != sizeof a)
            break;
    }
    _exit(0);
}

static void random_calls(void)
{
    int channel[2];
    check(socketpair(AF_UNIX, SOCK_STREAM, 0, channel) == 0);
    if (fork() == 0) {
        close(channel[0]);
        for (int i = 0; i < FDS; i++)
            open_one(i);
        serve(channel[1]);
    }
    close(channel[1]);
    for (int i = 0; i < FDS; i++)
        open_one(i);
    for (int n = 0; n < 4000; n++) {
        struct order o = {pick(10), pick(1000), pick(1000), (int)pick(FDS)};
        struct answer a;
        bool here = pick(2);
        if (here) {
            a.result = operation(o.what, o.i, o.a, o.b);
            a.error = a.result == -1 ? errno : 0;
        } else {
            check(write(channel[0], &o, sizeof o) == sizeof o && read(channel[0], &a, sizeof a) == sizeof a);
        }
        printf("%d %s: op %u on %d (%u, %u) = %d %s\n", n, here ? "parent" : "child", o.what, o.i, o.a, o.b, a.result,
               result_name(a.error));
    }
    close(channel[0]);
    wait(NULL);
}

/* ---- calls that wait ---- */

static void nothing(int sig)
{
    (void)sig;
}

static void waiting_calls(void)
{
    struct sigaction action = {.sa_handler = nothing};
    sigaction(SIGUSR1, &action, NULL);
    for (int i = 0; i < FDS; i++)
        open_one(i);
    SAY(record(0, F_SETLKW, F_WRLCK, 0, 9));
    SAY(record(0, F_SETLKW, F_WRLCK, 0, 9));
    SAY(flock(fd[1], LOCK_EX));
    SAY(flock(fd[2], LOCK_EX)); /* the same description */
    int told[2];
    char byte = 0;
    check(pipe(told) == 0);
    pid_t child = fork();
    if (child == 0) {
        struct flock fl = {.l_type = F_WRLCK, .l_start = 20, .l_len = 9};
        int mine = open(path[0], O_RDWR);
        int r = fcntl(mine, F_SETLK, &fl);
        fl.l_start = 0;
        errno = 0;
        r += fcntl(mine, F_SETLKW, &fl); /* interrupted */
        r += 10 * (errno == EINTR);
        check(write(told[1], &byte, 1) == 1);
        r += 100 * fcntl(mine, F_SETLKW, &fl); /* taken when the parent gives it up */
        _exit(r == 9 ? 0 : 1);
    }
    wait_until_asleep(child, child);
    kill(child, SIGUSR1);
    check(read(told[0], &byte, 1) == 1);
    wait_until_asleep(child, child);
    SAY(record(0, F_SETLKW, F_WRLCK, 20, 9)); /* would close the cycle: the kernel says EDEADLK */
    SAY(record(0, F_SETLK, F_UNLCK, 0, 9));
    int status = -1;
    check(waitpid(child, &status, 0) == child);
    printf("child %d\n", status);
    SAY(flock(fd[1], LOCK_UN));
    child = fork();
    if (child == 0) { /* shared with the parent: nothing to wait for; then alone */
        int r = flock(fd[1], LOCK_EX);
        int other = open(path[0], O_RDWR);
        r += flock(other, LOCK_EX | LOCK_NB) == -1 && errno == EWOULDBLOCK;
        close(fd[1]);
        close(fd[2]);
        r += 2 * (flock(other, LOCK_EX | LOCK_NB) == -1); /* the parent still has it open */
        _exit(r);
    }
    check(waitpid(child, &status, 0) == child);
    printf("child %d\n", status);
    SAY(flock(fd[1], LOCK_SH)); /* converted */
    SAY(flock(fd[0], LOCK_SH)); /* another description of the same file */
    SAY(flock(fd[0], LOCK_EX | LOCK_NB));
}

int main(int argc, char **argv)
{
    char folder[] = "/tmp/snarl-case-XXXXXX";
    check(argc == 2 && mkdtemp(folder));
    for (int i = 0; i < FILES; i++)
        snprintf(path[i], sizeof path[i], "%s/%s.lock", folder, i ? "second" : "first");
    if (!strcmp(argv[1], "random"))
        random_calls();
    else
        waiting_calls();
    for (int i = 0; i < FILES; i++)
        unlink(path[i]);
    rmdir(folder);
    return 0;
}
