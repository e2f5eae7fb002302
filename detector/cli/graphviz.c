/* A drawing by graphviz, where it is installed. Called by output.c. Takes no locks; allocates with malloc.
 *
 * Both ends of the conversation are served at once, and neither a large graph nor a broken dot keeps us: after a few
 * seconds it is ended, and the caller draws by itself. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/sys.h"
#include "cli.h"
#include "report/buffer.h"

#define PATIENCE_NS 8000000000ULL
#define MAX_ANSWER (64u << 20)
#define MAX_QUESTION (1u << 20) /* the time that dot takes grows faster than the graph */

/* Ours without what makes a program be watched. malloc'd. */
static char **environment(void)
{
    size_t n = 0, kept = 0;
    while (environ[n])
        n++;
    char **list = calloc(n + 1, sizeof *list);
    if (!list)
        abort();
    for (size_t i = 0; i < n; i++)
        if (strncmp(environ[i], "LD_PRELOAD=", 11) != 0 && strncmp(environ[i], "SNARL_", 6) != 0)
            list[kept++] = environ[i];
    return list;
}

static pid_t start(int in, int out)
{
    static char name[] = "dot", kind[] = "-Tsvg";
    char *argv[] = {name, kind, NULL};
    posix_spawn_file_actions_t files;
    posix_spawnattr_t attributes;
    sigset_t none, pipe;
    pid_t pid = -1;
    char **env = environment();
    sigemptyset(&none);
    sigemptyset(&pipe);
    sigaddset(&pipe, SIGPIPE);
    posix_spawn_file_actions_init(&files);
    posix_spawn_file_actions_adddup2(&files, in, 0);
    posix_spawn_file_actions_adddup2(&files, out, 1);
    posix_spawn_file_actions_addopen(&files, 2, "/dev/null", O_WRONLY, 0);
    posix_spawnattr_init(&attributes);
    posix_spawnattr_setsigmask(&attributes, &none);
    posix_spawnattr_setsigdefault(&attributes, &pipe);
    posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
    if (posix_spawnp(&pid, "dot", &files, &attributes, argv, env) != 0)
        pid = -1;
    posix_spawn_file_actions_destroy(&files);
    posix_spawnattr_destroy(&attributes);
    free(env);
    return pid;
}

/* Writes what fits; closes at the end, and when nobody reads. */
static void feed(int *fd, const char **text, size_t *n)
{
    ssize_t k = write(*fd, *text, *n);
    if (k > 0) {
        *text += k;
        *n -= (size_t)k;
    }
    if (!*n || (k < 0 && errno != EAGAIN && errno != EINTR)) {
        close(*fd);
        *fd = -1;
    }
}

/* True when the answer has come to its end in time. */
static bool talk(int *to, int from, const char *text, struct buffer *answer)
{
    u64 begin = sys_now();
    size_t n = strlen(text);
    char part[65536];
    for (;;) {
        u64 passed = sys_now() - begin;
        struct pollfd p[2] = {{from, POLLIN, 0}, {*to, POLLOUT, 0}};
        if (passed >= PATIENCE_NS || answer->length > MAX_ANSWER)
            return false;
        int ready = poll(p, 2, (int)((PATIENCE_NS - passed) / 1000000) + 1);
        if (ready < 0 && errno != EINTR)
            return false;
        if (ready <= 0)
            continue;
        if (p[1].revents && *to >= 0)
            feed(to, &text, &n);
        if (p[0].revents) {
            ssize_t k = read(from, part, sizeof part);
            if (k <= 0)
                return k == 0;
            buffer_add(answer, part, (size_t)k);
        }
    }
}

char *graphviz_svg(const char *dot)
{
    int to[2], from[2], status = -1;
    struct buffer answer = {0};
    struct sigaction ignore = {.sa_handler = SIG_IGN}, before;
    if (strlen(dot) > MAX_QUESTION || pipe2(to, O_CLOEXEC) < 0)
        return NULL;
    if (pipe2(from, O_CLOEXEC) < 0) {
        close(to[0]);
        close(to[1]);
        return NULL;
    }
    sigaction(SIGPIPE, &ignore, &before);
    pid_t pid = start(to[0], from[1]);
    close(to[0]);
    close(from[1]);
    fcntl(to[1], F_SETFL, O_NONBLOCK);
    bool whole = pid > 0 && talk(&to[1], from[0], dot, &answer);
    if (to[1] >= 0)
        close(to[1]);
    close(from[0]);
    if (pid > 0 && !whole)
        kill(pid, SIGKILL);
    while (pid > 0 && waitpid(pid, &status, 0) < 0 && errno == EINTR)
        ;
    sigaction(SIGPIPE, &before, NULL);
    char *svg = buffer_take(&answer);
    if (whole && WIFEXITED(status) && WEXITSTATUS(status) == 0 && strstr(svg, "<svg"))
        return svg;
    free(svg);
    return NULL;
}
