/* Signals that come while the thread is inside snarl wait until it leaves. What the program sees of them is what it sees
 * natively: how many, in which order, with what info, on which stack, under which mask, and what they interrupt.
 *
 * A thread makes slow work for snarl without end, so that most signals come inside; what is checked must hold for each.
 *
 * @case signals_inside_queued queued
 * @clean
 * @case signals_inside_counted counted
 * @clean
 * @case signals_inside_to_oneself oneself
 * @clean
 * @case signals_inside_mask mask
 * @clean
 * @case signals_inside_mask_changed changed
 * @clean
 * @case signals_inside_once once
 * @clean
 * @case signals_inside_own_stack stack
 * @clean
 * Several at once, on a stack that lies above what they interrupt.
 * @case signals_inside_stack_above above
 * @clean
 * @case signals_inside_not_deferred nodefer
 * @clean
 * @case signals_inside_jump jump
 * @clean
 * @case signals_inside_fault fault
 * @clean
 * @case signals_inside_sent_faults sent_faults
 * @clean
 */
#include "signals.h"
#include <setjmp.h>
#include <sys/time.h>
#include <sys/ucontext.h>

/* ---- number and order ---- */

static int expected[2];

static void in_order(int sig, siginfo_t *info, void *context)
{
    (void)context;
    int which = sig == SIGRTMIN + 2;
    MUST(info->si_value.sival_int == expected[which] && info->si_code == SI_QUEUE && info->si_pid == getpid());
    expected[which]++;
    word_add(&seen, 1);
}

static void queued(void)
{
    enum { BURST = 6, BURSTS = 300 };
    install(SIGRTMIN + 1, in_order, SA_SIGINFO, 0);
    install(SIGRTMIN + 2, in_order, SA_SIGINFO | SA_RESTART, SIGRTMIN + 1);
    pthread_t t = worker();
    for (int i = 0; i < BURSTS; i++) {
        for (int k = 0; k < BURST; k++) {
            union sigval v = {.sival_int = i * BURST + k};
            CHECK(!pthread_sigqueue(t, SIGRTMIN + 1, v));
            CHECK(!pthread_sigqueue(t, SIGRTMIN + 2, v));
        }
        if (i % 4 == 3)
            wait_seen((i + 1) * BURST * 2);
    }
    finish(t);
    CHECK(word_get(&seen) == BURSTS * BURST * 2 && expected[0] == expected[1]);
}

static void counted(void)
{
    install(SIGUSR1, counts, 0, 0);
    install(SIGUSR2, counts, SA_SIGINFO, 0);
    pthread_t t = worker();
    for (int i = 0; i < 500; i++)
        send_each(t, i % 2 ? SIGUSR1 : SIGUSR2, 1);
    finish(t);
    CHECK(word_get(&seen) == 500);
}

static void oneself(void)
{
    int n = 0;
    install(SIGUSR1, counts, SA_SIGINFO, 0);
    struct itimerval often = {{0, 200}, {0, 200}};
    install(SIGPROF, counts, 0, 0);
    for (int i = 0; i < 500; i++) {
        slow();
        CHECK(!raise(SIGUSR1));
        CHECK(word_get(&seen) == ++n);
        CHECK(!pthread_kill(pthread_self(), SIGUSR1));
        CHECK(word_get(&seen) == ++n);
        CHECK(!kill(getpid(), SIGUSR1));
        CHECK(word_get(&seen) == ++n);
        union sigval v = {.sival_int = 1};
        CHECK(!sigqueue(getpid(), SIGUSR1, v));
        CHECK(word_get(&seen) == ++n);
    }
    CHECK(!setitimer(ITIMER_PROF, &often, NULL));
    for (int before = word_get(&seen); word_get(&seen) < before + 200;)
        slow();
}

/* ---- mask, stack, flags ---- */

static void checks_mask(int sig, siginfo_t *info, void *context)
{
    (void)info;
    const ucontext_t *c = context;
    sigset_t now;
    pthread_sigmask(SIG_SETMASK, NULL, &now);
    MUST(sigismember(&now, sig) && sigismember(&now, SIGHUP) && sigismember(&now, SIGWINCH));
    MUST(!sigismember(&now, SIGUSR2) && !sigismember(&now, SIGTERM) && !sigismember(&now, SIGRTMIN));
    MUST(!sigismember(&c->uc_sigmask, sig) && !sigismember(&c->uc_sigmask, SIGHUP));
    MUST(sigismember(&c->uc_sigmask, SIGWINCH) && !sigismember(&c->uc_sigmask, SIGTERM));
    word_add(&seen, 1);
}

static void *works_masked(void *arg)
{
    sigset_t now;
    while (!word_get(&over)) {
        slow();
        pthread_sigmask(SIG_SETMASK, NULL, &now);
        MUST(sigismember(&now, SIGWINCH) && !sigismember(&now, SIGUSR1) && !sigismember(&now, SIGTERM));
        for (int i = 1; i < SIGRTMAX; i++)
            MUST(i == SIGWINCH || !sigismember(&now, i));
    }
    return arg;
}

static void mask(void)
{
    sigset_t one;
    sigemptyset(&one);
    sigaddset(&one, SIGWINCH);
    install(SIGUSR1, checks_mask, SA_SIGINFO, SIGHUP);
    pthread_sigmask(SIG_BLOCK, &one, NULL);
    pthread_t t = start(works_masked, NULL);
    send_each(t, SIGUSR1, 500);
    finish(t);
}

/* The handler changes the mask of what it interrupts. */
static void changes_mask(int sig, siginfo_t *info, void *context)
{
    (void)info;
    ucontext_t *c = context;
    if (sig == SIGUSR1)
        sigaddset(&c->uc_sigmask, SIGTERM);
    else
        sigdelset(&c->uc_sigmask, SIGTERM);
    word_add(&seen, 1);
}

static void *finds_change(void *arg)
{
    sigset_t now;
    for (int n = 1; n <= 500; n++) {
        while (word_get(&seen) < n)
            slow();
        pthread_sigmask(SIG_SETMASK, NULL, &now);
        MUST(sigismember(&now, SIGTERM) == n % 2);
        word_swap(&over, n);
    }
    return arg;
}

static void changed(void)
{
    install(SIGUSR1, changes_mask, SA_SIGINFO, 0);
    install(SIGUSR2, changes_mask, SA_SIGINFO, 0);
    pthread_t t = start(finds_change, NULL);
    for (int n = 1; n <= 500; n++) {
        CHECK(!pthread_kill(t, n % 2 ? SIGUSR1 : SIGUSR2));
        while (word_get(&over) < n)
            sched_yield();
    }
    join(t);
    CHECK(!word_get(&failed));
}

static void rearms(int sig, siginfo_t *info, void *context)
{
    struct sigaction now;
    (void)context;
    CHECK(!sigaction(sig, NULL, &now));
    MUST(now.sa_handler == SIG_DFL && info->si_code == SI_TKILL);
    install(sig, rearms, SA_SIGINFO | (int)SA_RESETHAND, 0);
    word_add(&seen, 1);
}

static void once(void)
{
    install(SIGUSR1, rearms, SA_SIGINFO | (int)SA_RESETHAND, 0);
    pthread_t t = worker();
    send_each(t, SIGUSR1, 500);
    finish(t);
}

static char own_stack[65536];

static void on_own_stack(int sig, siginfo_t *info, void *context)
{
    char here;
    (void)sig, (void)info, (void)context;
    MUST(&here >= own_stack && &here < own_stack + sizeof own_stack);
    slow();
    word_add(&seen, 1);
}

static void *works_with_stack(void *arg)
{
    stack_t st = {.ss_sp = own_stack, .ss_size = sizeof own_stack};
    CHECK(!sigaltstack(&st, NULL));
    step_done(1);
    return works(arg);
}

static void stack(void)
{
    install(SIGUSR1, on_own_stack, SA_SIGINFO | SA_ONSTACK, 0);
    pthread_t t = start(works_with_stack, NULL);
    step_wait(1);
    send_each(t, SIGUSR1, 500);
    finish(t);
}

static void *works_below(void *arg)
{
    char high[65536];
    stack_t st = {.ss_sp = high, .ss_size = sizeof high}, off = {.ss_flags = SS_DISABLE};
    CHECK(!sigaltstack(&st, NULL));
    step_done(1);
    works(arg);
    CHECK(!sigaltstack(&off, NULL));
    return arg;
}

static void works_and_counts(int sig, siginfo_t *info, void *context)
{
    counts(sig, info, context);
    slow();
}

static void above(void)
{
    enum { ROUNDS = 300, KINDS = 4 };
    for (int i = 0; i < KINDS; i++)
        install(SIGRTMIN + i, works_and_counts, SA_SIGINFO | SA_ONSTACK, 0);
    pthread_t t = start(works_below, NULL);
    step_wait(1);
    for (int n = 1; n <= ROUNDS; n++) {
        for (int i = 0; i < KINDS; i++)
            CHECK(!pthread_kill(t, SIGRTMIN + i));
        wait_seen(n * KINDS);
    }
    finish(t);
    CHECK(word_get(&seen) == ROUNDS * KINDS);
}

static void nests(int sig, siginfo_t *info, void *context)
{
    static int depth, deepest;
    (void)info, (void)context;
    deepest = ++depth;
    slow();
    if (depth < 3)
        pthread_kill(pthread_self(), sig); /* at once */
    slow();
    MUST(deepest == 3);
    if (!--depth)
        word_add(&seen, 1);
}

static void nodefer(void)
{
    install(SIGUSR1, nests, SA_NODEFER, 0);
    pthread_t t = worker();
    for (int i = 1; i <= 300; i++) {
        CHECK(!pthread_kill(t, SIGUSR1));
        wait_seen(i);
        nap_ms(0);
    }
    finish(t);
}

/* ---- jumps and faults ---- */

static __thread sigjmp_buf back;

static void jumps(int sig, siginfo_t *info, void *context)
{
    (void)sig, (void)info, (void)context;
    word_add(&seen, 1);
    siglongjmp(back, 1);
}

static void *works_jumped(void *arg)
{
    sigset_t now;
    while (!word_get(&over))
        if (sigsetjmp(back, 1)) {
            pthread_sigmask(SIG_SETMASK, NULL, &now);
            for (int i = 1; i < SIGRTMAX; i++)
                MUST(!sigismember(&now, i));
            word_swap(&case_words[100], 0);
        } else {
            for (; !word_get(&over); word_swap(&case_words[100], 1)) { /* nothing is held here for long */
                sem_t s;
                sem_init(&s, 0, 1);
                sem_trywait(&s);
                sem_post(&s);
                sem_destroy(&s);
            }
        }
    return arg;
}

static void jump(void)
{
    install(SIGUSR1, jumps, 0, 0);
    pthread_t t = start(works_jumped, NULL);
    for (int i = 1; i <= 500; i++) {
        while (!word_get(&case_words[100]))
            sched_yield();
        word_swap(&case_words[100], 0);
        CHECK(!pthread_kill(t, SIGUSR1));
        wait_seen(i);
    }
    finish(t);
}

static int faults;

static void faulted(int sig, siginfo_t *info, void *context)
{
    (void)sig, (void)context;
    MUST(info->si_code > 0);
    faults++;
    siglongjmp(back, 1);
}

/* A fault in what snarl calls, left by a jump; then a signal must come through without a call of snarl's. */
static void *works_faulting(void *arg)
{
    for (int n = 0; n < 100; n++) {
        if (!sigsetjmp(back, 1))
            pthread_mutex_lock((pthread_mutex_t *)8);
        volatile char deep[20000];
        deep[0] = deep[19999] = 1;
        int before = word_get(&seen);
        while (word_get(&seen) < before + 2)
            continue;
        slow();
    }
    word_swap(&over, 1);
    return arg;
}

static void fault(void)
{
    install(SIGSEGV, faulted, SA_SIGINFO, 0);
    install(SIGUSR1, counts, 0, 0);
    pthread_t t = start(works_faulting, NULL);
    while (!word_get(&over))
        pthread_kill(t, SIGUSR1);
    finish(t);
    CHECK(faults == 100);
}

static void sent_faults(void)
{
    static const int numbers[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP};
    for (int flags = 0; flags < 2; flags++) {
        for (int i = 0; i < 5; i++)
            install(numbers[i], counts, flags ? SA_SIGINFO : 0, 0);
        pthread_t t = worker();
        for (int i = 0; i < 300; i++)
            send_each(t, numbers[i % 5], 1);
        finish(t);
    }
}

static const struct shape shapes[] = {
    {"queued", queued},   {"counted", counted}, {"oneself", oneself}, {"mask", mask},
    {"changed", changed}, {"once", once},       {"stack", stack},     {"above", above},
    {"nodefer", nodefer}, {"jump", jump},       {"fault", fault},     {"sent_faults", sent_faults},
};

int main(int argc, char **argv)
{
    (void)argc;
    return run_shape(shapes, sizeof shapes / sizeof *shapes, argv);
}
