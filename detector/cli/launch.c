/* The watched program as a child process. Called by the verb run. Takes no locks.
 *
 * The child stays in our process group: terminal signals (^C, ^\, hang-up) reach both, so only signals that somebody
 * sent to us alone are forwarded. While it runs all of them are blocked here and taken one by one, so that nothing ends
 * snarl before the results are out. ^Z stops both; when the child stops by itself we stop too, so that the shell gets
 * its terminal back, and wake it when we are woken. */
#include "launch.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/types.h"

#define TICK_NS 100000000L

static const int forwarded[] = {SIGTERM, SIGINT, SIGHUP, SIGQUIT, SIGUSR1, SIGUSR2, SIGALRM};
static sigset_t taken, original;
static struct sigaction original_pipe;

void launch_prepare(void)
{
    struct sigaction ignore = {.sa_handler = SIG_IGN}, standard = {.sa_handler = SIG_DFL};
    sigemptyset(&taken);
    sigaddset(&taken, SIGCHLD);
    for (size_t i = 0; i < ARRAY_LEN(forwarded); i++)
        sigaddset(&taken, forwarded[i]);
    sigprocmask(SIG_BLOCK, &taken, &original);
    sigaction(SIGPIPE, &ignore,
              &original_pipe);           /* a closed standard error must not end us before the result file is written */
    sigaction(SIGCHLD, &standard, NULL); /* ignored by our parent, it would take the child's status away */
}

static void child(const struct launch *l, int report, struct sigaction *chld)
{
    sigaction(SIGPIPE, &original_pipe, NULL);
    sigaction(SIGCHLD, chld, NULL);
    sigprocmask(SIG_SETMASK, &original, NULL);
    execvp(l->path, l->argv);
    int err = errno;
    ssize_t n = write(report, &err, sizeof err);
    _exit(n == (ssize_t)sizeof err ? 126 : 125);
}

static bool has_terminal(void)
{
    for (int fd = 0; fd < 3; fd++)
        if (tcgetpgrp(fd) == getpgrp())
            return true;
    return false;
}

/* True when the child has ended. */
static bool reap(pid_t pid, int *status)
{
    int now;
    while (waitpid(pid, &now, WNOHANG | WUNTRACED | WCONTINUED) == pid) {
        if (WIFEXITED(now) || WIFSIGNALED(now)) {
            *status = now;
            return true;
        }
        if (WIFSTOPPED(now) && WSTOPSIG(now) != SIGTTIN && has_terminal()) {
            kill(getpid(), SIGSTOP);
            kill(pid, SIGCONT);
        }
    }
    return false;
}

static void wait_for(pid_t pid, const struct launch *l, int *status)
{
    const struct timespec tick = {0, l->tick_ns ? l->tick_ns : TICK_NS};
    while (!reap(pid, status)) {
        siginfo_t info;
        int sig = sigtimedwait(&taken, &info, &tick);
        if (sig > 0 && sig != SIGCHLD && info.si_code != SI_KERNEL && info.si_pid != pid)
            kill(pid, sig);
        if (l->tick)
            l->tick(l->arg);
    }
}

int launch_run(const struct launch *l, int *status)
{
    int report[2], err = 0;
    struct sigaction chld;
    sigaction(SIGCHLD, NULL, &chld);
    if (pipe2(report, O_CLOEXEC) < 0)
        return errno;
    pid_t pid = fork();
    if (pid < 0) {
        err = errno;
        close(report[0]);
        close(report[1]);
        return err;
    }
    if (pid == 0)
        child(l, report[1], &chld);
    close(report[1]);
    ssize_t n;
    do
        n = read(report[0], &err, sizeof err);
    while (n < 0 && errno == EINTR);
    close(report[0]);
    if (n == (ssize_t)sizeof err) {
        waitpid(pid, status, 0);
        return err;
    }
    wait_for(pid, l, status);
    return 0;
}
