/* Signals in the middle of everything.
 *
 * @case signals_arriving_inside_our_code storm
 * @clean
 * @case signals_that_post_semaphores post
 * @clean
 * The handler's locks are its own: what the interrupted code holds is no order before them, and the other way round.
 * @case a_handler_that_takes_locks takes
 * @finding lock-misuse min=0 max=9
 * @case a_handler_that_forks forks
 * @clean
 * @case a_handler_that_exits exits
 * @clean
 * @exit 3
 * @case longjmp_out_of_handler jump
 * @clean
 * @case programs_that_own_sigsegv own_segv
 * @clean
 * @case programs_that_own_sigsegv_on_own_stack own_segv_stack
 * @clean
 * @case programs_that_mask_everything mask
 * @clean
 * @case sigwait_thread sigwait
 * @clean
 * @case dies_of_its_signal dies
 * @clean
 * @exit 139
 * @case aborts_in_thread abort
 * @clean
 * @exit 134
 * @case stop_and_continue stop
 * @clean
 */
#include "case.h"
#include <setjmp.h>
#include <sys/time.h>

static pthread_mutex_t a = PTHREAD_MUTEX_INITIALIZER, b = PTHREAD_MUTEX_INITIALIZER, m = PTHREAD_MUTEX_INITIALIZER;
static sem_t s;
static sigjmp_buf back;
static volatile sig_atomic_t seen;
static const char *shape;

static int is(const char *name)
{
    return !strcmp(shape, name);
}

static void install(int number, void (*f)(int), int flags)
{
    struct sigaction sa, old;
    memset(&sa, 0, sizeof sa);
    sa.sa_handler = f;
    sa.sa_flags = flags;
    sigemptyset(&sa.sa_mask);
    CHECK(!sigaction(number, &sa, NULL));
    CHECK(!sigaction(number, NULL, &old) && old.sa_handler == f);
}

static void every_millisecond(void)
{
    struct itimerval when = {{0, 1000}, {0, 1000}};
    CHECK(!setitimer(ITIMER_REAL, &when, NULL));
}

static void counts(int n)
{
    int saved = errno;
    (void)n;
    seen++;
    errno = saved;
}

static void posts(int n)
{
    (void)n;
    sem_post(&s);
    seen++;
}

static void takes_b(int n)
{
    (void)n;
    if (!pthread_mutex_trylock(&b)) {
        seen++;
        unlock(&b);
    }
    lock(&m);
    unlock(&m);
}

static void forks(int n)
{
    (void)n;
    pid_t child = fork();
    if (!child)
        _exit(0);
    waitpid(child, NULL, 0);
    seen++;
}

static void exits(int n)
{
    (void)n;
    _exit(3);
}

static void jumps(int n)
{
    (void)n;
    seen++;
    siglongjmp(back, 1);
}

/* Locks, orders and memory come and go until enough signals have arrived. */
static void *busy(void *arg)
{
    while (seen < 200) {
        pthread_mutex_t *fresh = malloc(sizeof *fresh);
        pthread_mutex_init(fresh, NULL);
        lock(&a);
        lock(fresh);
        unlock(fresh);
        unlock(&a);
        pthread_mutex_destroy(fresh);
        free(fresh);
    }
    return arg;
}

static void storm(void)
{
    install(SIGALRM, counts, SA_RESTART);
    pthread_t t[2] = {start(busy, NULL), start(busy, NULL)};
    every_millisecond();
    busy(NULL);
    join(t[0]);
    join(t[1]);
}

static void post(void)
{
    install(SIGALRM, posts, 0);
    every_millisecond();
    for (int i = 0; i < 100; i++)
        while (sem_wait(&s))
            CHECK(errno == EINTR);
}

static void takes(void)
{
    install(SIGUSR1, takes_b, 0);
    for (int i = 0; i < 10; i++) {
        lock(&a);
        raise(SIGUSR1); /* b inside a, in the handler */
        unlock(&a);
        lock(&b);
        raise(SIGUSR1);
        unlock(&b);
    }
    CHECK(seen == 10);
}

static void jump(void)
{
    install(SIGALRM, jumps, SA_NODEFER);
    for (volatile int i = 0; i < 50; i++)
        if (!sigsetjmp(back, 1)) {
            struct itimerval soon = {{0, 0}, {0, 500}};
            setitimer(ITIMER_REAL, &soon, NULL);
            for (;
                 ;) { /* a semaphore, since a jump out of a mutex's critical section would be the program's own fault */
                sem_post(&s);
                sem_trywait(&s);
            }
        }
    lock(&a);
    unlock(&a);
}

static char handler_stack[65536];

static void own_segv(void)
{
    if (is("own_segv_stack")) {
        stack_t st = {.ss_sp = handler_stack, .ss_size = sizeof handler_stack}, now;
        CHECK(!sigaltstack(&st, NULL));
        CHECK(!sigaltstack(NULL, &now) && now.ss_sp == handler_stack);
    }
    install(SIGSEGV, jumps, SA_ONSTACK | SA_NODEFER);
    install(SIGILL, jumps, SA_ONSTACK | SA_NODEFER);
    for (volatile int i = 0; i < 10; i++) {
        lock(&a);
        if (!sigsetjmp(back, 1))
            *(volatile int *)(long)(8 + i) = 1;
        unlock(&a);
        if (!sigsetjmp(back, 1))
            __builtin_trap();
    }
    CHECK(seen == 20);
}

static void mask(void)
{
    sigset_t all, now, old;
    sigfillset(&all);
    CHECK(!pthread_sigmask(SIG_SETMASK, &all, &old));
    lock(&a);
    lock(&b);
    unlock(&b);
    unlock(&a);
    CHECK(!pthread_sigmask(SIG_SETMASK, NULL, &now));
    for (int n = 1; n < NSIG; n++)
        if (n != SIGKILL && n != SIGSTOP && (n < 32 || n >= SIGRTMIN))
            CHECK(sigismember(&now, n) == 1);
    pthread_t t = start(busy, NULL);
    seen = 1000;
    join(t);
    CHECK(!pthread_sigmask(SIG_SETMASK, &old, NULL));
    lock(&a);
    unlock(&a);
    CHECK(!pthread_sigmask(SIG_SETMASK, NULL, &now));
    for (int n = 1; n < NSIG; n++)
        CHECK(sigismember(&now, n) == sigismember(&old, n));
}

static void *waits_for_signal(void *arg)
{
    int n = 0;
    sigwait(arg, &n);
    sem_post(&s);
    return arg;
}

static void with_sigwait(void)
{
    sigset_t one;
    sigemptyset(&one);
    sigaddset(&one, SIGUSR1);
    pthread_sigmask(SIG_BLOCK, &one, NULL);
    pthread_t t = start(waits_for_signal, &one);
    if (!fork()) {
        nap_ms(100);
        kill(getppid(), SIGUSR1);
        _exit(0);
    }
    sem_wait(&s);
    join(t);
    wait(NULL);
}

static void *aborts(void *arg)
{
    lock(&a);
    abort();
    return arg;
}

static void stop(void)
{
    pid_t child = fork();
    if (!child) {
        for (int i = 0; i < 3; i++) {
            lock(&a);
            raise(SIGSTOP);
            unlock(&a);
        }
        _exit(0);
    }
    int status;
    for (int i = 0; i < 3; i++) {
        CHECK(waitpid(child, &status, WUNTRACED) == child && WIFSTOPPED(status));
        kill(child, SIGCONT);
    }
    CHECK(waitpid(child, &status, 0) == child && status == 0);
}

int main(int argc, char **argv)
{
    if (argc < 2)
        return 64;
    shape = argv[1];
    sem_init(&s, 0, 0);
    if (is("storm"))
        storm();
    else if (is("post"))
        post();
    else if (is("takes"))
        takes();
    else if (is("forks")) {
        install(SIGUSR1, forks, 0);
        for (int i = 0; i < 5; i++)
            raise(SIGUSR1);
        CHECK(seen == 5);
    } else if (is("exits")) {
        install(SIGALRM, exits, 0);
        every_millisecond();
        seen = -2000000000;
        busy(NULL);
    } else if (is("jump"))
        jump();
    else if (is("own_segv") || is("own_segv_stack"))
        own_segv();
    else if (is("mask"))
        mask();
    else if (is("sigwait"))
        with_sigwait();
    else if (is("dies"))
        raise(SIGSEGV);
    else if (is("abort"))
        join(start(aborts, NULL));
    else
        stop();
    return 0;
}
