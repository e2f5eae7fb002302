/* Values that are read in one critical section and written back two sections later, as by workers that take a task
 * under the lock each time and let go of it while they work. What puts the threads in order is unseen.
 *
 * The section between the two looks at the version again: what is written rests on that look.
 * @case looks_between between
 * @clean
 * The other thread's update comes after the look.
 * @case looks_too_early early
 * @finding atomicity verdict=observed memory=shared.value locks=shared.lock side=looks_and_writes side=increments
 * There is no look.
 * @case looks_at_nothing nothing
 * @finding atomicity verdict=observed memory=shared.value locks=shared.lock side=looks_and_writes side=increments
 */
#include <stdbool.h>

#include "case.h"

static struct {
    pthread_mutex_t lock;
    long value, version, other;
} shared = {.lock = PTHREAD_MUTEX_INITIALIZER};

#define LOCK() pthread_mutex_lock(&shared.lock)
#define UNLOCK() pthread_mutex_unlock(&shared.lock)

static const char *mode;
static bool is(const char *word)
{
    return strcmp(mode, word) == 0;
}

/* The other thread makes its update. */
static void lets_it(void)
{
    step_done(1);
    step_wait(2);
}

NOINLINE static void looks_and_writes(void)
{
    LOCK();
    long v = shared.value, version = shared.version;
    UNLOCK();
    if (!is("early"))
        lets_it();
    LOCK();
    if (is("nothing"))
        shared.other++;
    else if (shared.version != version)
        v = 7;
    UNLOCK();
    if (is("early"))
        lets_it();
    LOCK();
    shared.value = v + 1;
    UNLOCK();
}

NOINLINE static void increments(void)
{
    LOCK();
    shared.value++;
    shared.version++;
    UNLOCK();
}

static void *first(void *unused)
{
    looks_and_writes();
    return unused;
}

static void *second(void *unused)
{
    step_wait(1);
    increments();
    step_done(2);
    return unused;
}

int main(int argc, char **argv)
{
    CHECK(argc == 2);
    mode = argv[1];
    pthread_t a = start(first, NULL), b = start(second, NULL);
    join(a);
    join(b);
    return 0;
}
