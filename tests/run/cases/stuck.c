/* Nobody can ever go on, though no lock is to blame; and what only looks like it.
 *
 * The signal came before the wait.
 * @case stuck_lost_wakeup lost_wakeup
 * @finding stuck verdict=observed side=waiter counts=yes
 * @strikes
 * @status 66
 * @case stuck_sem_never_posted sem
 * @finding stuck verdict=observed
 * @strikes
 * @case stuck_main_alone main_alone
 * @finding stuck verdict=observed side=main
 * @strikes
 * @case stuck_barrier barrier
 * @finding stuck verdict=observed
 * @strikes
 * @case stuck_join_self join_self
 * @snarl --on-deadlock=report
 * @finding stuck verdict=observed side=main
 * @stderr a thread joins itself
 * @case stuck_all_threads all
 * @finding stuck verdict=observed
 * @strikes
 * One task of a pool of one waits for another task of the same pool.
 * @case stuck_pool_of_one pool
 * @finding stuck verdict=observed side=task
 * @strikes
 * Two semaphores: each waits for what only the other would post afterwards.
 * @case stuck_semaphores_crossed crossed
 * @finding stuck|deadlock verdict=observed
 * @strikes
 * @case stuck_report lost_wakeup
 * @snarl --on-deadlock=report
 * @finding stuck verdict=observed side=waiter
 * @strikes
 * @hangs
 * @case stuck_break sem
 * @snarl --on-deadlock=break
 * @finding stuck verdict=observed
 * @strikes
 * @status 66
 * @output went on\n
 *
 * Somebody will wake them: a thread that sleeps first, one that waits for input, a handler, a timer, another process, a
 * time limit.
 * @case waits_for_sleeper sleeper
 * @clean
 * @case waits_for_reader reader
 * @clean
 * @case waits_for_handler handler
 * @clean
 * @case waits_for_itimer itimer
 * @clean
 * @case waits_for_timer_thread timer_thread
 * @clean
 * @case waits_for_process process
 * @clean
 * @case waits_with_limit limit
 * @clean
 * @case waits_for_spinner spinner
 * @clean
 * @case waits_for_lock_holder holder
 * @clean
 * @case barrier_filled_late barrier_late
 * @clean
 * @case main_ended_by_pthread_exit main_exit
 * @clean
 */
#include "case.h"
#include <sys/time.h>

static pthread_mutex_t m = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t c = PTHREAD_COND_INITIALIZER;
static pthread_barrier_t barrier;
static sem_t s, u, *shared;
static int done, pipe_fd[2];
static const char *shape;

static int is(const char *name)
{
    return !strcmp(shape, name);
}

static void *waiter(void *arg)
{
    step_wait(1);
    lock(&m);
    if (is("sleeper") || is("reader") || is("spinner") || is("holder"))
        while (!done)
            pthread_cond_wait(&c, &m);
    else
        pthread_cond_wait(&c, &m); /* no predicate: whatever was said before is lost */
    unlock(&m);
    return arg;
}

static void *signaller(void *arg)
{
    char byte;
    if (is("sleeper"))
        nap_ms(300);
    if (is("reader"))
        CHECK(read(pipe_fd[0], &byte, 1) == 1);
    if (is("spinner"))
        for (struct timespec a, b = {0}; clock_gettime(CLOCK_MONOTONIC, &a), !b.tv_sec || a.tv_sec < b.tv_sec + 1;)
            b = b.tv_sec ? b : a;
    lock(&m);
    if (is("holder"))
        nap_ms(200);
    done = 1;
    pthread_cond_signal(&c);
    unlock(&m);
    step_done(1);
    return arg;
}

static void *late_writer(void *arg)
{
    nap_ms(200);
    CHECK(write(pipe_fd[1], "x", 1) == 1);
    return arg;
}

static void *sem_waiter(void *arg)
{
    sem_wait(arg);
    return arg;
}

static void *crosses(void *arg)
{
    sem_t *mine = arg, *other = mine == &s ? &u : &s;
    sem_wait(mine);
    sem_post(other);
    return arg;
}

static void *arrives(void *arg)
{
    if (arg)
        nap_ms(200);
    pthread_barrier_wait(&barrier);
    return arg;
}

static void posts(int signal_number)
{
    (void)signal_number;
    sem_post(&s);
}

static void posts_from_timer(union sigval v)
{
    (void)v;
    sem_post(&s);
}

static void wait_for_signal(void)
{
    struct sigaction sa;
    memset(&sa, 0, sizeof sa);
    sa.sa_handler = posts;
    sa.sa_flags = SA_RESTART;
    sigaction(SIGALRM, &sa, NULL);
    if (is("itimer")) {
        struct itimerval when = {{0, 0}, {0, 200000}};
        setitimer(ITIMER_REAL, &when, NULL);
    } else
        alarm(1);
    while (sem_wait(&s))
        CHECK(errno == EINTR);
}

static void wait_for_timer(void)
{
    timer_t timer;
    struct sigevent ev;
    struct itimerspec when = {{0, 0}, {0, 200000000}};
    memset(&ev, 0, sizeof ev);
    ev.sigev_notify = SIGEV_THREAD;
    ev.sigev_notify_function = posts_from_timer;
    CHECK(!timer_create(CLOCK_MONOTONIC, &ev, &timer));
    timer_settime(timer, 0, &when, NULL);
    sem_wait(&s);
    timer_delete(timer);
}

static void wait_for_process(void)
{
    shared = case_memory(4096);
    sem_init(shared, 1, 0);
    pid_t child = fork();
    if (!child) {
        nap_ms(200);
        sem_post(shared);
        _exit(0);
    }
    sem_wait(shared);
    waitpid(child, NULL, 0);
}

static void with_limit(void)
{
    struct timespec soon;
    clock_gettime(CLOCK_REALTIME, &soon);
    soon.tv_sec += 1;
    lock(&m);
    CHECK(pthread_cond_timedwait(&c, &m, &soon) == ETIMEDOUT);
    unlock(&m);
    CHECK(sem_timedwait(&s, &soon) && errno == ETIMEDOUT);
}

/* A pool with one worker; its task submits another one and waits for that. */
static int submitted, finished;

NOINLINE static void task(void)
{
    submitted++;
    while (finished < 2)
        pthread_cond_wait(&c, &m);
}

static void *worker(void *arg)
{
    lock(&m);
    while (finished < 2) {
        while (!submitted)
            pthread_cond_wait(&c, &m);
        submitted--;
        task();
        finished++;
        pthread_cond_broadcast(&c);
    }
    unlock(&m);
    return arg;
}

static void pool(void)
{
    pthread_t t = start(worker, NULL);
    lock(&m);
    submitted++;
    pthread_cond_broadcast(&c);
    while (finished < 2)
        pthread_cond_wait(&c, &m);
    unlock(&m);
    join(t);
}

static void *outlives_main(void *arg)
{
    nap_ms(200);
    exit(0);
    return arg;
}

static void pair(case_routine f, void *x, case_routine g, void *y)
{
    pthread_t t1 = start(f, x), t2 = start(g, y);
    join(t1);
    join(t2);
}

int main(int argc, char **argv)
{
    if (argc < 2)
        return 64;
    shape = argv[1];
    sem_init(&s, 0, 0);
    sem_init(&u, 0, 0);
    pthread_barrier_init(&barrier, NULL, is("barrier") ? 3 : 2);
    CHECK(!pipe(pipe_fd));
    if (is("sleeper") || is("reader") || is("spinner") || is("holder"))
        step_done(1);
    if (is("sem")) {
        join(start(sem_waiter, &s));
        dprintf(1, "went on\n");
    } else if (is("main_alone"))
        sem_wait(&s);
    else if (is("barrier"))
        pair(arrives, NULL, arrives, NULL);
    else if (is("barrier_late"))
        pair(arrives, NULL, arrives, argv);
    else if (is("join_self"))
        CHECK(pthread_join(pthread_self(), NULL) == EDEADLK);
    else if (is("all")) {
        start(waiter, NULL);
        start(sem_waiter, &s);
        step_done(1);
        sem_wait(&u);
    } else if (is("crossed"))
        pair(crosses, &s, crosses, &u);
    else if (is("pool"))
        pool();
    else if (is("handler") || is("itimer"))
        wait_for_signal();
    else if (is("timer_thread"))
        wait_for_timer();
    else if (is("process"))
        wait_for_process();
    else if (is("limit"))
        with_limit();
    else if (is("main_exit")) {
        start(outlives_main, NULL);
        pthread_exit(NULL);
    } else {
        if (is("reader"))
            start(late_writer, NULL);
        pair(waiter, NULL, signaller, NULL);
    }
    return 0;
}
