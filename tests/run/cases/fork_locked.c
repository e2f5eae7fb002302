/* fork while another thread holds a lock: the child has nobody to give it back.
 *
 * @case fork_while_locked try
 * @finding lock-misuse:fork-while-locked locks=m
 * @status 66
 * @case fork_while_locked_hangs block
 * @finding lock-misuse:fork-while-locked locks=m
 * @finding deadlock verdict=observed locks=m
 * @strikes
 * @case fork_while_locked_unlock unlock
 * @finding lock-misuse:fork-while-locked|lock-misuse:unlock-not-owner locks=m
 *
 * The child does not touch it.
 * @case fork_while_locked_untouched untouched
 * @clean
 * @case fork_while_locked_exec exec
 * @clean
 * @case fork_while_locked_spawn spawn
 * @clean
 * Handlers of pthread_atfork take it before and give it back on both sides.
 * @case fork_with_atfork atfork
 * @clean
 * The handler in the child makes it new, as allocators do.
 * @case fork_with_atfork_init atfork_init
 * @clean
 * The forking thread holds it itself: the child's own thread holds it too.
 * @case fork_holding_itself self
 * @clean
 * The child makes it new.
 * @case fork_init_in_child init
 * @clean
 */
#include "case.h"
#include <spawn.h>

static pthread_mutex_t m = PTHREAD_MUTEX_INITIALIZER;
static const char *shape;

static int is(const char *name)
{
    return !strcmp(shape, name);
}

static void take(void)
{
    lock(&m);
}
static void give(void)
{
    unlock(&m);
}

static void make_new(void)
{
    pthread_mutex_init(&m, NULL);
}

static void *holder(void *arg)
{
    lock(&m);
    step_done(1);
    if (is("atfork") || is("atfork_init")) {
        wait_until_asleep(getpid(), getpid()); /* the forking thread waits in its handler */
        unlock(&m);
    }
    step_wait(2);
    if (!is("atfork") && !is("atfork_init"))
        unlock(&m);
    return arg;
}

NOINLINE static void in_child(void)
{
    if (is("try"))
        CHECK(pthread_mutex_trylock(&m) == EBUSY);
    else if (is("block")) {
        lock(&m);
        unlock(&m);
    } else if (is("unlock"))
        unlock(&m);
    else if (is("atfork") || is("self")) {
        if (is("atfork"))
            lock(&m);
        unlock(&m);
    } else if (is("atfork_init")) {
        lock(&m);
        unlock(&m);
    } else if (is("init")) {
        pthread_mutex_init(&m, NULL);
        lock(&m);
        unlock(&m);
    } else if (is("exec"))
        execl("/bin/true", "true", (char *)NULL);
    _exit(0);
}

int main(int argc, char **argv)
{
    pthread_t t = 0;
    pid_t child;
    if (argc < 2)
        return 64;
    shape = argv[1];
    if (is("atfork"))
        pthread_atfork(take, give, give);
    if (is("atfork_init"))
        pthread_atfork(take, give, make_new);
    if (is("self"))
        lock(&m);
    else {
        t = start(holder, NULL);
        step_wait(1);
    }
    if (is("spawn")) {
        char *args[] = {(char *)"true", NULL};
        extern char **environ;
        CHECK(!posix_spawn(&child, "/bin/true", NULL, NULL, args, environ));
    } else {
        child = fork();
        if (!child)
            in_child();
    }
    waitpid(child, NULL, 0);
    step_done(2);
    if (is("self"))
        unlock(&m);
    else
        join(t);
    return 0;
}
