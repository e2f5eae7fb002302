/* A signal handler leaves a blocked call by siglongjmp: the thread waits no longer, so others may wait for what it
 * holds.
 *
 * @case left_mutex_wait mutex
 * @clean
 * @case left_semaphore_wait semaphore
 * @clean
 * @case left_condition_wait condition
 * @clean
 * The handler only interrupts the wait, taking a lock of its own meanwhile: the wait goes on.
 * @case interrupted_wait interrupted
 * @clean */
#include "case.h"

#include <setjmp.h>

static pthread_mutex_t mine = PTHREAD_MUTEX_INITIALIZER, others = PTHREAD_MUTEX_INITIALIZER,
                       inner = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t never = PTHREAD_COND_INITIALIZER;
static sem_t zero;
static sigjmp_buf back;
static const char *shape;
static int tid;

static int is(const char *name)
{
    return !strcmp(shape, name);
}

static void on_signal(int s)
{
    (void)s;
    if (!is("interrupted"))
        siglongjmp(back, 1);
    lock(&inner);
    unlock(&inner);
}

static void *blocks(void *arg)
{
    lock(&mine);
    word_set(&tid, (int)syscall(SYS_gettid));
    if (!sigsetjmp(back, 1)) {
        if (is("mutex") || is("interrupted"))
            lock(&others);
        else if (is("semaphore"))
            sem_wait(&zero);
        else if (is("condition"))
            pthread_cond_wait(&never, &mine);
        if (is("interrupted"))
            unlock(&others);
    } /* out of a condition wait one comes with the mutex: glibc takes it again */
    step_done(1);
    if (!is("interrupted")) /* main asks for what is held here */
        wait_until_asleep(getpid(), getpid());
    unlock(&mine);
    return arg;
}

int main(int argc, char **argv)
{
    struct sigaction act = {.sa_handler = on_signal};
    (void)argc;
    shape = argv[1];
    sigaction(SIGUSR1, &act, NULL);
    sem_init(&zero, 0, 0);
    lock(&others);
    pthread_t t = start(blocks, NULL);
    word_wait(&tid, 1);
    wait_until_asleep(getpid(), tid);
    CHECK(pthread_kill(t, SIGUSR1) == 0);
    if (is("interrupted")) {
        nap_ms(20);
        wait_until_asleep(getpid(), tid);
        unlock(&others);
        step_wait(1);
    } else {
        step_wait(1);
        lock(&mine);
        unlock(&mine);
        unlock(&others);
    }
    join(t);
    return 0;
}
