/* Descriptors as data: a thread closes one that another thread uses, and nothing orders the two.
 *
 * @case fd_write_closed write
 * @finding data-race memory=main:descriptor side=uses side=ends
 * @case fd_read_closed read
 * @finding data-race memory=main:descriptor side=uses side=ends
 * The close comes first: the use fails, and nobody has opened the number again.
 * @case fd_closed_then_used late
 * @finding data-race memory=main:descriptor side=uses side=ends
 * @case fd_closed_twice twice
 * @finding data-race memory=main:descriptor side=uses side=ends
 * fclose closes, too.
 * @case fd_fclosed fclose
 * @finding data-race memory=main:descriptor side=uses side=ends
 * To put something else in its place leaves the number in use at every moment.
 * @case fd_replaced replaced
 * @clean
 * @case fd_replaced_closed replaced close
 * @finding data-race memory=uses:descriptor side=uses side=ends
 *
 * What passes through a pipe orders; so do a lock and a join.
 * @case fd_told_by_pipe pipe
 * @clean
 * @case fd_told_by_mutex mutex
 * @clean
 * Nothing to do with each other: the number has another life, which is seen, or which libc's own code begins.
 * @case fd_number_again again
 * @clean
 * @case fd_number_again_unseen again unseen
 * @clean
 * @case fd_number_came again message
 * @clean
 * All but one thread go on with others.
 * @case fd_neighbour neighbour
 * @clean
 */
#include "case.h"

#include <dirent.h>
#include <sys/socket.h>

static char **words;
static int fd, other[2];
static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static FILE *file;

static int said(const char *word)
{
    for (int i = 1; words[i]; i++)
        if (!strcmp(words[i], word))
            return 1;
    return 0;
}

static NOINLINE void uses(int number)
{
    char c = 0;
    if (said("read"))
        CHECK(read(number, &c, 1) >= 0);
    else if (said("twice"))
        CHECK(close(number) == -1);
    else if (said("replaced"))
        CHECK(dup2(other[0], number) == number);
    else
        CHECK((write(number, &c, 1) == 1) == !said("late"));
}

static NOINLINE void ends(int number)
{
    if (said("fclose"))
        CHECK(fclose(file) == 0);
    else if (said("replaced") && !said("close"))
        CHECK(dup2(other[1], number) == number);
    else
        CHECK(close(number) == 0);
}

static void *user(void *unused)
{
    char told = 1;
    if (said("late") || said("twice"))
        step_wait(1);
    if (said("mutex"))
        pthread_mutex_lock(&mutex);
    uses(said("neighbour") ? other[1] : fd);
    if (said("mutex"))
        pthread_mutex_unlock(&mutex);
    if (said("pipe"))
        CHECK(write(other[1], &told, 1) == 1);
    if (!said("late") && !said("twice"))
        step_done(1);
    return unused;
}

static void *closer(void *unused)
{
    char told;
    if (!said("late") && !said("twice"))
        step_wait(1);
    if (said("pipe"))
        CHECK(read(other[0], &told, 1) == 1);
    if (said("mutex"))
        pthread_mutex_lock(&mutex);
    ends(fd);
    if (said("mutex"))
        pthread_mutex_unlock(&mutex);
    if (said("late") || said("twice"))
        step_done(1);
    return unused;
}

/* The number's first life. */
static void *first(void *unused)
{
    char c = 0;
    int number = memfd_create("first", 0);
    CHECK(number == fd && write(number, &c, 1) == 1 && close(number) == 0);
    step_done(1);
    step_wait(2);
    return unused;
}

static NOINLINE int message(void)
{
    char c, room[CMSG_SPACE(sizeof(int))] = {0};
    struct iovec v = {&c, 1};
    struct msghdr m = {.msg_iov = &v, .msg_iovlen = 1, .msg_control = room, .msg_controllen = sizeof room};
    CHECK(recvmsg(other[1], &m, 0) == 1);
    return fd;
}

static void *second(void *unused)
{
    char c = 0;
    step_wait(1);
    DIR *directory = said("unseen") ? opendir("/") : NULL;
    int number = directory ? dirfd(directory) : said("message") ? message() : memfd_create("second", 0);
    CHECK(number == fd);
    CHECK((pwrite(number, &c, 1, 0) == 1) == !directory);
    CHECK(close(number) == 0);
    step_done(2);
    return unused;
}

static void send_one(void)
{
    char c = 0, room[CMSG_SPACE(sizeof(int))] = {0};
    struct iovec v = {&c, 1};
    struct msghdr m = {.msg_iov = &v, .msg_iovlen = 1, .msg_control = room, .msg_controllen = sizeof room};
    struct cmsghdr *h = CMSG_FIRSTHDR(&m);
    h->cmsg_level = SOL_SOCKET;
    h->cmsg_type = SCM_RIGHTS;
    h->cmsg_len = CMSG_LEN(sizeof(int));
    memcpy(CMSG_DATA(h), &fd, sizeof fd);
    CHECK(sendmsg(other[0], &m, 0) == 1);
}

int main(int argc, char **argv)
{
    (void)argc;
    words = argv;
    CHECK(said("message") ? socketpair(AF_UNIX, SOCK_STREAM, 0, other) == 0 : pipe(other) == 0);
    fd = memfd_create("data", 0);
    if (said("fclose"))
        CHECK((file = fdopen(fd, "r+")) != NULL);
    if (said("again")) {
        if (said("message"))
            send_one();
        close(fd);
    }
    pthread_t a = start(said("again") ? first : user, NULL), b = start(said("again") ? second : closer, NULL);
    join(a);
    join(b);
    return 0;
}
