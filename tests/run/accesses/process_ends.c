/* What a process has done in memory that it shares, and its end: whoever has seen the end comes after it, whether the
 * process was killed or not, and whichever way the end shows.
 *
 * @case process_killed_waited waited
 * @clean
 * Killed while the parent does not look.
 * @case process_killed_unseen unseen
 * @finding data-race verdict=observed memory=shared->value locks= side=in_child side=in_parent
 * What a killed process has learned of others comes with it: the parent knows the first child through the second.
 * @case process_killed_between between
 * @clean
 * One is killed in between; what the others do is compared as ever.
 * @case process_killed_beside beside
 * @finding data-race verdict=observed memory=shared->value locks= side=in_child side=in_other
 * The end of the pipe's other end.
 * @case process_end_of_pipe pipe
 * @clean
 * @case process_killed_end_of_pipe pipe-killed
 * @clean
 * @case process_end_signal sigchld
 * @clean
 * Its lock goes to the next.
 * @case process_killed_robust robust
 * @clean
 * @case process_killed_flock flock
 * @clean
 * A thread that has ended before its process.
 * @case process_thread_waited thread
 * @clean
 * A signal to another process.
 * @case process_signal signal
 * @clean
 * @case process_signal_early signal-early
 * @finding data-race verdict=observed memory=shared->value locks= side=in_child side=in_parent
 */
#include <sys/file.h>

#include "case.h"

struct shared {
    long value, other;
    pthread_mutex_t mutex, robust;
};

static struct shared *shared;
static const char *mode;
static int ends[2];
static char path[64];

static int is(const char *word)
{
    return !strcmp(mode, word);
}

static void kill_self(void)
{
    syscall(SYS_kill, getpid(), SIGKILL);
}

NOINLINE static void in_child(void)
{
    shared->value++;
    __asm__ volatile("# child" ::: "memory");
}

NOINLINE static void in_other(void)
{
    shared->value++;
    __asm__ volatile("# other" ::: "memory");
}

NOINLINE static void in_parent(void)
{
    shared->value++;
    __asm__ volatile("# parent" ::: "memory");
}

NOINLINE static void *in_thread(void *unused)
{
    shared->value++;
    step_done(1);
    return unused;
}

static pid_t begin(void (*work)(void))
{
    pid_t pid = fork();
    if (!pid) {
        work();
        _exit(0);
    }
    return pid;
}

static void child(void)
{
    if (is("pipe") || is("pipe-killed"))
        close(ends[0]);
    if (is("signal-early"))
        kill(getppid(), SIGUSR1);
    if (is("robust"))
        pthread_mutex_lock(&shared->robust);
    if (is("flock"))
        flock(open(path, O_RDWR), LOCK_EX);
    if (is("thread")) {
        pthread_t t;
        pthread_create(&t, NULL, in_thread, NULL);
        pthread_detach(t);
        step_wait(1);
    } else {
        in_child();
    }
    if (is("signal"))
        kill(getppid(), SIGUSR1);
    step_done(1);
    if (is("signal-early") || is("beside") || is("unseen"))
        step_wait(2);
    if (is("robust") || is("flock") || is("waited") || is("pipe-killed") || is("unseen"))
        kill_self();
}

/* It takes over from the first child, and is killed. */
static void successor(void)
{
    pthread_mutex_lock(&shared->mutex);
    shared->other++;
    pthread_mutex_unlock(&shared->mutex);
    kill_self();
}

static void predecessor(void)
{
    in_child();
    pthread_mutex_lock(&shared->mutex);
    shared->other++;
    pthread_mutex_unlock(&shared->mutex);
    step_done(1);
    step_wait(2);
}

static void killed(void)
{
    shared->other++;
    kill_self();
}

static void other(void)
{
    step_wait(1);
    in_other();
    step_done(2);
}

static int signals;
static void handler(int sig)
{
    (void)sig;
    word_add(&signals, 1);
}

static void see_end(pid_t first)
{
    char byte;
    sigset_t set;
    int sig;
    sigemptyset(&set);
    sigaddset(&set, is("sigchld") ? SIGCHLD : SIGUSR1);
    if (is("waited") || is("thread"))
        waitpid(first, NULL, 0);
    else if (is("pipe") || is("pipe-killed"))
        (void)!read(ends[0], &byte, 1);
    else if (is("sigchld") || is("signal") || is("signal-early"))
        sigwait(&set, &sig);
    else if (is("robust"))
        pthread_mutex_lock(&shared->robust);
    else if (is("flock"))
        flock(open(path, O_RDWR), LOCK_EX);
    else
        step_wait(1);
}

static void prepare(void)
{
    pthread_mutexattr_t m;
    sigset_t set;
    shared = mmap(NULL, sizeof *shared, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    pthread_mutexattr_init(&m);
    pthread_mutexattr_setpshared(&m, PTHREAD_PROCESS_SHARED);
    pthread_mutex_init(&shared->mutex, &m);
    pthread_mutexattr_setrobust(&m, PTHREAD_MUTEX_ROBUST);
    pthread_mutex_init(&shared->robust, &m);
    snprintf(path, sizeof path, "/tmp/snarl-case-%d", (int)getpid());
    close(open(path, O_RDWR | O_CREAT, 0600));
    (void)!pipe(ends);
    sigemptyset(&set);
    sigaddset(&set, SIGUSR1);
    sigaddset(&set, SIGCHLD);
    sigprocmask(SIG_BLOCK, &set, NULL);
    signal(SIGCHLD, handler);
}

int main(int argc, char **argv)
{
    mode = argc > 1 ? argv[1] : "waited";
    prepare();
    if (is("between")) {
        begin(predecessor);
        step_wait(1);
        waitpid(begin(successor), NULL, 0);
        in_parent();
        step_done(2);
    } else if (is("beside")) {
        pid_t second = begin(killed);
        waitpid(second, NULL, 0);
        begin(child);
        begin(other);
    } else {
        pid_t first = begin(child);
        close(ends[1]);
        if (is("robust") || is("flock"))
            step_wait(1);
        see_end(first);
        if (is("signal-early"))
            step_wait(1);
        in_parent();
        step_done(2);
    }
    while (wait(NULL) > 0)
        ;
    unlink(path);
    return 0;
}
