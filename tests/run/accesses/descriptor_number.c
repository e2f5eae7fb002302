/* A table by descriptor numbers, as servers have it: whoever has closed a connection is done with its entry, and whoever
 * is given the number next begins a new one. The kernel orders the two; what the program does to that end is unseen.
 *
 * @case number_accepted accept
 * @clean
 * @case number_of_socket socket
 * @clean
 * The entry is touched when the number may have been given out already.
 * @case number_accepted_late accept late
 * @finding data-race memory=table.uses side=ends side=begins
 * @case number_of_socket_late socket late
 * @finding data-race memory=table.uses side=ends side=begins
 * Another number.
 * @case number_of_other other
 * @finding data-race memory=table.uses side=ends side=begins
 * Files come and go everywhere: their numbers order nothing.
 * @case number_of_file file
 * @finding data-race memory=table.uses side=ends side=begins
 */
#include "case.h"

#include <fcntl.h>
#include <netinet/in.h>
#include <sys/socket.h>

static char **words;
static int listening, other = -1, number;
static struct {
    long uses;
} table;

static int said(const char *word)
{
    for (int i = 1; words[i]; i++)
        if (!strcmp(words[i], word))
            return 1;
    return 0;
}

static int connection(void)
{
    return said("file") ? memfd_create("data", 0) : socket(AF_INET, SOCK_STREAM, 0);
}

static NOINLINE void ends(void)
{
    table.uses++;
}
static NOINLINE void begins(void)
{
    table.uses = 1;
}

static void *closer(void *unused)
{
    if (!said("late"))
        ends();
    CHECK(close(number) == 0);
    if (said("late"))
        ends();
    step_done(1);
    return unused;
}

static void *opener(void *unused)
{
    step_wait(1);
    if (said("other"))
        CHECK(fcntl(other, F_DUPFD, number) == number); /* so that the next one is another */
    int fd = said("accept") ? accept(listening, NULL, NULL) : connection();
    CHECK((fd == number) == !said("other"));
    begins();
    return unused;
}

/* Both are connected before the threads begin: that orders nothing here. */
static void connect_to_us(void)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t n = sizeof a;
    listening = socket(AF_INET, SOCK_STREAM, 0);
    CHECK(bind(listening, (struct sockaddr *)&a, n) == 0 && listen(listening, 4) == 0);
    CHECK(getsockname(listening, (struct sockaddr *)&a, &n) == 0);
    for (int i = 0; i < 2; i++) {
        int fd = socket(AF_INET, SOCK_STREAM, 0);
        CHECK(connect(fd, (struct sockaddr *)&a, n) == 0);
    }
}

int main(int argc, char **argv)
{
    (void)argc;
    words = argv;
    other = dup(0);
    connect_to_us();
    number = said("accept") ? accept(listening, NULL, NULL) : connection();
    pthread_t a = start(closer, NULL), b = start(opener, NULL);
    join(a);
    join(b);
    return 0;
}
