/* Signals that find the thread in the middle of snarl's own code: their handlers are watched all the same. The thread
 * makes slow work for snarl all the time, so that most of the signals come there; what holds must hold for each.
 *
 * @case signal_inside_posts posts
 * @clean
 * @case signal_inside_releases releases
 * @clean
 * @case signal_inside_locks locks
 * @clean
 * @case signal_inside_fast posts fast
 * @clean
 * @case signal_inside_accesses releases accesses
 * @clean
 * Too late: who is told does not know what comes then.
 * @case signal_inside_posts_first posts early
 * @finding data-race memory=payload side=handler side=sends
 * @case signal_inside_releases_first releases early
 * @finding data-race memory=payload side=handler side=sends
 * @case signal_inside_unlocks_first locks early
 * @finding data-race memory=payload side=handler side=sends
 */
#include "case.h"

#define SIGNALS 150

enum tells { POSTS, RELEASES, LOCKS };

static enum tells tells;
static int early, work;
static int payload, flag, told;
static int prepared[SIGNALS];           /* by the thread before it is interrupted */
static int asked, ready, handled, over; /* by uninstrumented instructions */
static sem_t posted;
static pthread_mutex_t guard = PTHREAD_MUTEX_INITIALIZER;
static int area[4096];

static NOINLINE void tell(void)
{
    switch (tells) {
    case POSTS:
        sem_post(&posted);
        return;
    case RELEASES:
        __atomic_fetch_add(&flag, 1, __ATOMIC_RELEASE);
        return;
    case LOCKS:
        lock(&guard);
        told++;
        unlock(&guard);
    }
}

static NOINLINE void handler(int sig)
{
    (void)sig;
    if (early)
        tell();
    payload++;
    if (!early)
        tell();
    word_add(&handled, 1);
}

static int told_now(void)
{
    lock(&guard);
    int n = told;
    unlock(&guard);
    return n;
}

static void hear(int n)
{
    switch (tells) {
    case POSTS:
        while (sem_wait(&posted))
            CHECK(errno == EINTR);
        return;
    case RELEASES:
        while (__atomic_load_n(&flag, __ATOMIC_ACQUIRE) < n)
            sched_yield();
        return;
    case LOCKS:
        while (told_now() < n)
            sched_yield();
    }
}

/* Everything here is new to snarl each time. */
static void slow(unsigned i)
{
    pthread_mutex_t outer, inner;
    pthread_mutex_init(&outer, NULL);
    pthread_mutex_init(&inner, NULL);
    lock(&outer);
    lock(&inner);
    unlock(&inner);
    unlock(&outer);
    pthread_mutex_destroy(&inner);
    pthread_mutex_destroy(&outer);
    area[i % 4096] = 1;
}

static void *works(void *unused)
{
    static pthread_mutex_t one = PTHREAD_MUTEX_INITIALIZER;
    int done = 0;
    for (unsigned i = 0; !word_get(&over); i++) {
        if (word_get(&asked)) {
            prepared[done++] = 1;
            word_swap(&asked, 0);
            word_swap(&ready, 1);
        }
        if (work == 'f') {
            lock(&one);
            unlock(&one);
        } else if (work == 'a') {
            area[i * 67 % 4096]++;
            __atomic_fetch_add(&area[i % 7], 1, __ATOMIC_RELEASE);
        } else {
            slow(i);
        }
    }
    return unused;
}

static NOINLINE void sends(pthread_t t)
{
    int sum = 0;
    for (int n = 1; n <= SIGNALS; n++) {
        word_swap(&asked, 1);
        while (!word_swap(&ready, 0))
            sched_yield();
        CHECK(!pthread_kill(t, SIGUSR1));
        hear(n);
        while (word_get(&handled) < n) /* so that the two are never at it in the same instant */
            sched_yield();
        sum += payload + prepared[n - 1];
    }
    CHECK(early || sum == SIGNALS * (SIGNALS + 1) / 2 + SIGNALS);
}

int main(int argc, char **argv)
{
    tells = shape_is(argv, "posts") ? POSTS : shape_is(argv, "locks") ? LOCKS : RELEASES;
    early = argc > 2 && !strcmp(argv[2], "early");
    work = argc > 2 ? argv[2][0] : 0;
    struct sigaction act = {.sa_handler = handler};
    CHECK(!sigaction(SIGUSR1, &act, NULL));
    sem_init(&posted, 0, 0);
    pthread_t t = start(works, NULL);
    sends(t);
    word_swap(&over, 1);
    join(t);
    return 0;
}
