/* A value in shared memory that one process reads in one critical section and writes back in another, while the other
 * process updates it. The steps order the two for themselves only.
 *
 * @case process_lost between
 * @finding atomicity verdict=observed memory=shared->value locks=* side=updates side=increments
 * Both do the same, and each loses the other's.
 * @case process_lost_both both
 * @finding atomicity verdict=observed memory=shared->value locks=* side=updates
 * It could have come in between: a finding, but none that counts.
 * @case process_lost_possibly possibly
 * @finding atomicity verdict=possible memory=shared->value locks=* side=updates side=increments counts=no
 *
 * The second section looks again.
 * @case process_looks_again again
 * @clean
 * All in one section.
 * @case process_one_section whole
 * @clean
 * Another lock is held all the time.
 * @case process_outer_lock outer
 * @clean
 * The other process writes something else.
 * @case process_other_value other
 * @clean
 * Its memory is its own.
 * @case process_own_value own
 * @clean
 */
#include "case.h"

struct shared {
    long value, other;
    pthread_mutex_t lock, outer;
};

static struct shared *shared;
static const char *mode;

static int is(const char *word)
{
    return !strcmp(mode, word);
}

static void take(void)
{
    pthread_mutex_lock(&shared->lock);
}

static void give(void)
{
    pthread_mutex_unlock(&shared->lock);
}

/* Between the two sections: the other process comes. */
static void between(void)
{
    if (is("both"))
        meet(0, 2);
    else if (!is("possibly") && !is("outer")) {
        step_done(1);
        step_wait(2);
    }
}

NOINLINE static void updates(void)
{
    if (is("outer"))
        pthread_mutex_lock(&shared->outer);
    take();
    long v = shared->value;
    if (is("whole"))
        shared->value = v + 1;
    give();
    between();
    take();
    if (is("again"))
        v = shared->value;
    if (!is("whole"))
        shared->value = v + 1;
    give();
    if (is("outer"))
        pthread_mutex_unlock(&shared->outer);
}

NOINLINE static void increments(void)
{
    if (is("outer"))
        pthread_mutex_lock(&shared->outer);
    take();
    if (is("other"))
        shared->other++;
    else
        shared->value++;
    give();
    if (is("outer"))
        pthread_mutex_unlock(&shared->outer);
}

static void child(void)
{
    if (is("both")) {
        updates();
    } else if (is("possibly") || is("outer")) {
        increments();
        step_done(1);
    } else {
        step_wait(1);
        increments();
        step_done(2);
    }
    _exit(0);
}

int main(int argc, char **argv)
{
    pthread_mutexattr_t m;
    mode = argc > 1 ? argv[1] : "between";
    shared = mmap(NULL, sizeof *shared, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (is("own"))
        shared = mmap(NULL, sizeof *shared, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    pthread_mutexattr_init(&m);
    pthread_mutexattr_setpshared(&m, PTHREAD_PROCESS_SHARED);
    pthread_mutex_init(&shared->lock, &m);
    pthread_mutex_init(&shared->outer, &m);
    if (!fork())
        child();
    if (is("possibly") || is("outer"))
        step_wait(1);
    updates();
    while (wait(NULL) > 0)
        ;
    return 0;
}
