/* Keys of descriptors: the ends of one thing have one key, other things others, whoever made them. */
#include "unit.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "fd_table.h"

/* Distinct things may share a key, rarely; equality by chance would make these tests fail about once in 100,000. */
#define CU_ASSERT_APART(a, b) CU_ASSERT_NOT_EQUAL(fd_key(a), fd_key(b))
#define CU_ASSERT_SAME(a, b)                                                                                           \
    do {                                                                                                               \
        CU_ASSERT_NOT_EQUAL(fd_key(a), 0);                                                                             \
        CU_ASSERT_EQUAL(fd_key(a), fd_key(b));                                                                         \
    } while (0)

static void end(int fd)
{
    fd_forget(fd);
    close(fd);
}

static void pipes(void)
{
    int a[2], b[2];
    CU_ASSERT_EQUAL_FATAL(pipe(a) | pipe(b), 0);
    CU_ASSERT_SAME(a[0], a[1]);
    CU_ASSERT_SAME(b[0], b[1]);
    CU_ASSERT_APART(a[0], b[0]);
    int copy = dup(a[1]);
    fd_copied(a[1], copy);
    CU_ASSERT_SAME(copy, a[0]);
    int unseen = dup(b[1]); /* the kernel is asked */
    CU_ASSERT_SAME(unseen, b[0]);
    end(a[0]), end(a[1]), end(b[0]), end(b[1]), end(copy), end(unseen);
    CU_ASSERT_EQUAL(fd_key(a[0]), 0);
}

static void files(void)
{
    char path[] = "/tmp/snarl-fd-XXXXXX";
    int a = mkstemp(path), b = open(path, O_RDONLY), directory = open("/", O_RDONLY), null = open("/dev/null", O_RDWR);
    CU_ASSERT_SAME(a, b);
    CU_ASSERT_TRUE(fd_key_is_file(fd_key(a)));
    CU_ASSERT_EQUAL(fd_key(directory), 0);
    CU_ASSERT_EQUAL(fd_key(null), 0);
    CU_ASSERT_EQUAL(fd_key(-1), 0);
    CU_ASSERT_EQUAL(fd_key(1 << 30), 0);
    unlink(path);
    end(a), end(b), end(directory), end(null);
}

static void made(void)
{
    int a = eventfd(0, 0), b = eventfd(0, 0), pair[2], other[2];
    fd_made(a);
    fd_made(b);
    CU_ASSERT_APART(a, b);
    CU_ASSERT_FALSE(fd_key_is_file(fd_key(a)));
    CU_ASSERT_EQUAL_FATAL(socketpair(AF_UNIX, SOCK_STREAM, 0, pair) | socketpair(AF_UNIX, SOCK_DGRAM, 0, other), 0);
    fd_made_pair(pair[0], pair[1]);
    fd_made_pair(other[0], other[1]);
    CU_ASSERT_SAME(pair[0], pair[1]);
    CU_ASSERT_APART(pair[0], other[1]);
    fd_forget_range((u32)pair[0], (u32)pair[1]);
    CU_ASSERT_SAME(pair[0], pair[1]); /* as all stream sockets without a name */
    end(a), end(b), end(pair[0]), end(pair[1]), end(other[0]), end(other[1]);
}

static void connect_to(int listener, const void *address, socklen_t length, int out[2])
{
    out[0] = socket(((const struct sockaddr *)address)->sa_family, SOCK_STREAM, 0);
    CU_ASSERT_EQUAL(fd_key(out[0]), 0);
    CU_ASSERT_EQUAL_FATAL(connect(out[0], address, length), 0);
    out[1] = accept(listener, NULL, NULL);
    CU_ASSERT_FATAL(out[1] >= 0);
}

static void connections(void)
{
    struct sockaddr_in in = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
    socklen_t n = sizeof in;
    int listener = socket(AF_INET, SOCK_STREAM, 0), a[2], b[2];
    CU_ASSERT_EQUAL_FATAL(bind(listener, (struct sockaddr *)&in, n) | listen(listener, 2), 0);
    CU_ASSERT_EQUAL_FATAL(getsockname(listener, (struct sockaddr *)&in, &n), 0);
    connect_to(listener, &in, n, a);
    connect_to(listener, &in, n, b);
    CU_ASSERT_SAME(a[0], a[1]);
    CU_ASSERT_SAME(b[0], b[1]);
    CU_ASSERT_APART(a[0], b[0]);
    CU_ASSERT_EQUAL(fd_key(listener), 0);
    end(listener), end(a[0]), end(a[1]), end(b[0]), end(b[1]);
}

static void connections_by_path(void)
{
    struct sockaddr_un un = {.sun_family = AF_UNIX};
    socklen_t n = (socklen_t)(sizeof un.sun_family + 1 +
                              (size_t)snprintf(un.sun_path + 1, 64, "snarl-test-fd-%d", (int)getpid()));
    int listener = socket(AF_UNIX, SOCK_STREAM, 0), a[2];
    CU_ASSERT_EQUAL_FATAL(bind(listener, (struct sockaddr *)&un, n) | listen(listener, 1), 0);
    connect_to(listener, &un, n, a);
    CU_ASSERT_SAME(a[0], a[1]);
    end(listener), end(a[0]), end(a[1]);
}

/* IPv4 through an IPv6 socket is the same connection. */
static void mapped_addresses(void)
{
    struct sockaddr_in6 any = {.sin6_family = AF_INET6};
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
    socklen_t n = sizeof any;
    int listener = socket(AF_INET6, SOCK_STREAM, 0), a[2];
    if (listener < 0 || bind(listener, (struct sockaddr *)&any, n) || listen(listener, 1))
        return; /* no IPv6 here */
    CU_ASSERT_EQUAL_FATAL(getsockname(listener, (struct sockaddr *)&any, &n), 0);
    to.sin_port = any.sin6_port;
    connect_to(listener, &to, sizeof to, a);
    CU_ASSERT_SAME(a[0], a[1]);
    end(listener), end(a[0]), end(a[1]);
}

UNIT_TESTS("descriptors", {"pipes", pipes}, {"files", files}, {"made", made}, {"connections", connections},
           {"connections_by_path", connections_by_path}, {"mapped_addresses", mapped_addresses})
