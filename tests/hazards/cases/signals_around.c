/* Signals that come while the thread is inside snarl (signals_inside.c): what they interrupt, what happens to them at
 * fork, exec and a thread's end, and handlers that snarl's trampoline is not in front of.
 *
 * @case signals_inside_interrupt interrupt
 * @clean
 * @case signals_inside_awaited awaited
 * @clean
 * @case signals_inside_fork forks
 * @clean
 * @case signals_inside_exec execs
 * @clean
 * @case signals_inside_thread_end ends
 * @clean
 * @case signals_inside_raw raw
 * @clean
 * @case signals_inside_sigset sigset
 * @clean
 * @case signals_inside_cancelled cancelled
 * @finding lock-misuse min=0 max=9
 * @no-ids
 */
#include "signals.h"
#include <poll.h>
#include <sys/select.h>
#include <sys/time.h>

#pragma GCC diagnostic ignored "-Wdeprecated-declarations"

static const char *self;

/* ---- what signals interrupt ---- */

static int ends[2], turns;
static sem_t never;

static int interrupted(int how)
{
    char c;
    struct timespec hour = {3600, 0}, until;
    struct pollfd p = {ends[0], POLLIN, 0};
    fd_set set;
    FD_ZERO(&set);
    FD_SET(ends[0], &set);
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += 3600;
    switch (how) {
    case 0:
        return sem_wait(&never);
    case 1:
        return sem_timedwait(&never, &until);
    case 2:
        return (int)read(ends[0], &c, 1);
    case 3:
        return poll(&p, 1, -1);
    case 4:
        return nanosleep(&hour, NULL);
    case 5:
        return select(ends[0] + 1, &set, NULL, NULL, NULL);
    default:
        return pause();
    }
}

static void *is_interrupted(void *arg)
{
    for (int n = 0; n < 350; n++) {
        slow();
        errno = 0;
        MUST(interrupted(n % 7) == -1 && errno == EINTR);
        word_add(&turns, 1);
    }
    return arg;
}

static void interrupt(void)
{
    CHECK(!pipe(ends));
    sem_init(&never, 0, 0);
    install(SIGUSR1, counts, 0, 0);
    pthread_t t = start(is_interrupted, NULL);
    while (word_get(&turns) < 350) {
        pthread_kill(t, SIGUSR1); /* natively, too, it may come before the call */
        nap_ms(0);
    }
    join(t);
    CHECK(!word_get(&failed));
}

static void *awaits(void *arg)
{
    sigset_t none;
    sigemptyset(&none);
    for (int n = 1; n <= 600; n++) {
        slow();
        int r = -1;
        struct pollfd p = {ends[0], POLLIN, 0};
        errno = 0;
        if (n % 3 == 0)
            r = sigsuspend(&none);
        else if (n % 3 == 1)
            r = ppoll(&p, 1, NULL, &none);
        else
            r = pselect(0, NULL, NULL, NULL, NULL, &none);
        MUST(r == -1 && errno == EINTR);
        MUST(word_get(&seen) == n);
        word_swap(&turns, n);
    }
    return arg;
}

static void awaited(void)
{
    sigset_t one;
    CHECK(!pipe(ends));
    install(SIGUSR1, counts, 0, 0);
    sigemptyset(&one);
    sigaddset(&one, SIGUSR1);
    pthread_sigmask(SIG_BLOCK, &one, NULL);
    pthread_t t = start(awaits, NULL);
    for (int n = 1; n <= 600; n++) {
        CHECK(!pthread_kill(t, SIGUSR1)); /* exactly one for each wait, while it works or waits */
        while (word_get(&turns) < n)
            sched_yield();
    }
    join(t);
    CHECK(!word_get(&failed));
}

/* ---- other ends ---- */

static void storm(void)
{
    struct itimerval often = {{0, 150}, {0, 150}};
    install(SIGALRM, counts, SA_RESTART, 0);
    CHECK(!setitimer(ITIMER_REAL, &often, NULL));
}

static void clean_child(void)
{
    sigset_t now;
    sigprocmask(SIG_SETMASK, NULL, &now);
    for (int i = 1; i < SIGRTMAX; i++)
        if (sigismember(&now, i))
            _exit(1);
    slow();
    word_swap(&seen, 0);
    raise(SIGALRM);
    _exit(word_get(&seen) != 1);
}

static void forks(void)
{
    int status;
    storm();
    for (int i = 0; i < 100; i++) {
        slow();
        pid_t child = fork();
        if (!child)
            clean_child();
        while (waitpid(child, &status, 0) < 0)
            CHECK(errno == EINTR);
        CHECK(status == 0);
    }
}

static void execs(void)
{
    int status;
    storm();
    for (int i = 0; i < 20; i++) {
        pid_t child = fork();
        if (!child) {
            storm(); /* timers are not inherited by fork, but kept by exec: SIGALRM must not find the default action */
            for (int k = 0; k < 20; k++)
                slow();
            struct itimerval off = {{0, 0}, {0, 0}};
            setitimer(ITIMER_REAL, &off, NULL);
            execl(self, self, "child", NULL);
            _exit(1);
        }
        while (waitpid(child, &status, 0) < 0)
            CHECK(errno == EINTR);
        CHECK(status == 0);
    }
}

static void *short_work(void *arg)
{
    for (int i = 0; i < 3; i++)
        slow();
    return arg;
}

static void ends_early(void)
{
    storm();
    for (int i = 0; i < 300; i++) {
        pthread_t t = start(short_work, NULL), u = start(short_work, NULL);
        join(t);
        join(u);
    }
}

/* ---- handlers that are entered in other ways ---- */

static char own_stack[65536];

static void *works_with_stack(void *arg)
{
    stack_t st = {.ss_sp = own_stack, .ss_size = sizeof own_stack};
    CHECK(!sigaltstack(&st, NULL));
    step_done(1);
    return works(arg);
}

struct kernel_action {
    void (*handler)(int);
    unsigned long flags;
    void (*restorer)(void);
    unsigned long mask;
};

static void works_too(int sig)
{
    (void)sig;
    slow();
    word_add(&seen, 1);
}

static void raw(void)
{
    struct kernel_action a;
    install(SIGUSR1, counts, SA_ONSTACK, 0);
    CHECK(!syscall(SYS_rt_sigaction, SIGUSR1, NULL, &a, 8));
    a.handler = works_too;
    CHECK(!syscall(SYS_rt_sigaction, SIGUSR1, &a, NULL, 8));
    pthread_t t = start(works_with_stack, NULL);
    step_wait(1);
    send_each(t, SIGUSR1, 500);
    finish(t);
}

static void by_sigset(void)
{
    CHECK(sigset(SIGUSR1, works_too) == SIG_DFL);
    CHECK(sigset(SIGUSR1, SIG_HOLD) == works_too);
    CHECK(sigset(SIGUSR1, works_too) == SIG_HOLD);
    struct sigaction now;
    CHECK(!sigaction(SIGUSR1, NULL, &now) && now.sa_handler == works_too);
    pthread_t t = worker();
    send_each(t, SIGUSR1, 500);
    finish(t);
    CHECK(sigset(SIGUSR1, SIG_DFL) == works_too);
}

static void *works_cancellable(void *arg)
{
    pthread_setcanceltype(PTHREAD_CANCEL_ASYNCHRONOUS, NULL);
    return works(arg);
}

static void cancelled(void)
{
    for (int i = 0; i < 100; i++) {
        pthread_t t = start(works_cancellable, NULL);
        nap_ms(1);
        CHECK(!pthread_cancel(t));
        join(t);
        slow();
    }
}

static const struct shape shapes[] = {
    {"interrupt", interrupt}, {"awaited", awaited},     {"forks", forks},
    {"execs", execs},         {"ends", ends_early},     {"raw", raw},
    {"sigset", by_sigset},    {"cancelled", cancelled}, {"child", clean_child},
};

int main(int argc, char **argv)
{
    (void)argc;
    self = argv[0];
    if (shape_is(argv, "child"))
        install(SIGALRM, counts, 0, 0);
    return run_shape(shapes, sizeof shapes / sizeof *shapes, argv);
}
