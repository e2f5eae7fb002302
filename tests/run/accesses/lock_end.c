/* Locks as data: a thread initialises or ends one that another thread uses, and nothing orders the two. What is done to
 * a lock before it is let go is known to whoever takes it next, and he may end it.
 *
 * @case lock_destroyed_mutex mutex destroy
 * @finding data-race memory=whole.mutex side=uses side=ends
 * @case lock_destroyed_rwlock rwlock destroy
 * @finding data-race memory=whole.rwlock side=uses side=ends
 * Readers do not know of each other.
 * @case lock_destroyed_readers readers destroy
 * @finding data-race memory=whole.rwlock side=uses side=ends
 * @case lock_destroyed_spin spin destroy
 * @finding data-race memory=whole.spin side=uses side=ends
 * @case lock_destroyed_condition condition destroy
 * @finding data-race memory=whole.condition side=uses side=ends
 * @case lock_destroyed_barrier barrier destroy
 * @finding data-race memory=whole.barrier side=uses side=ends
 * @case lock_destroyed_c11 c11 destroy
 * @finding data-race memory=whole.c11 side=uses side=ends
 * The memory goes, with whatever is in it.
 * @case lock_freed_mutex mutex free
 * @finding data-race memory=main#* side=uses side=ends
 * @case lock_freed_condition condition free
 * @finding data-race memory=main#* side=uses side=ends
 * @case lock_begun_again_mutex mutex again
 * @finding data-race memory=whole.mutex side=uses side=ends
 * @case lock_begun_again_condition condition again
 * @finding data-race memory=whole.condition side=uses side=ends
 * The initialisation comes first, but nothing says so.
 * @case lock_begun_mutex mutex begun
 * @finding data-race memory=whole.mutex side=begins side=uses
 * @case lock_begun_rwlock rwlock begun
 * @finding data-race memory=whole.rwlock side=begins side=uses
 * @case lock_begun_spin spin begun
 * @finding data-race memory=whole.spin side=begins side=uses
 * @case lock_begun_barrier barrier begun
 * @finding data-race memory=whole.barrier side=begins side=uses
 *
 * @case lock_joined_mutex mutex joined destroy
 * @clean
 * @case lock_joined_rwlock rwlock joined destroy
 * @clean
 * @case lock_joined_readers readers joined destroy
 * @clean
 * @case lock_joined_spin spin joined destroy
 * @clean
 * @case lock_joined_condition condition joined destroy
 * @clean
 * @case lock_joined_barrier barrier joined destroy
 * @clean
 * @case lock_joined_free mutex joined free
 * @clean
 * @case lock_joined_again mutex joined again
 * @clean
 * The last user destroys it, after he has taken it: a count of users under the lock itself.
 * @case lock_counted_mutex mutex counted destroy
 * @clean
 * @case lock_counted_free mutex counted free
 * @clean
 * @case lock_counted_rwlock rwlock counted destroy
 * @clean
 * A writer comes behind all readers.
 * @case lock_counted_readers readers counted destroy
 * @clean
 * Who has waited until he was told, under the mutex, may destroy both at once.
 * @case lock_told_condition told destroy
 * @clean
 * Waiters that have been told are out of it.
 * @case lock_waited_condition waited destroy
 * @clean
 */
#include "case.h"

#include <threads.h>

struct thing {
    pthread_mutex_t mutex;
    pthread_rwlock_t rwlock;
    pthread_spinlock_t spin;
    pthread_cond_t condition;
    pthread_barrier_t barrier;
    mtx_t c11;
    int users, done;
};
static struct thing whole, *thing = &whole;
static char **words;

static int said(const char *word)
{
    for (int i = 1; words[i]; i++)
        if (!strcmp(words[i], word))
            return 1;
    return 0;
}

static NOINLINE void begins(void)
{
    if (said("mutex") || said("told") || said("waited"))
        pthread_mutex_init(&thing->mutex, NULL);
    if (said("rwlock") || said("readers"))
        pthread_rwlock_init(&thing->rwlock, NULL);
    if (said("spin"))
        pthread_spin_init(&thing->spin, PTHREAD_PROCESS_PRIVATE);
    if (said("condition") || said("told") || said("waited"))
        pthread_cond_init(&thing->condition, NULL);
    if (said("barrier"))
        pthread_barrier_init(&thing->barrier, NULL, 1);
    if (said("c11"))
        mtx_init(&thing->c11, mtx_plain);
}

static void count(void)
{
    if (said("counted"))
        thing->users--;
}

static NOINLINE void uses(void)
{
    if (said("mutex")) {
        pthread_mutex_lock(&thing->mutex);
        count();
        pthread_mutex_unlock(&thing->mutex);
    } else if (said("readers")) {
        pthread_rwlock_rdlock(&thing->rwlock);
        pthread_rwlock_unlock(&thing->rwlock);
    } else if (said("rwlock")) {
        pthread_rwlock_wrlock(&thing->rwlock);
        count();
        pthread_rwlock_unlock(&thing->rwlock);
    } else if (said("spin")) {
        pthread_spin_lock(&thing->spin);
        pthread_spin_unlock(&thing->spin);
    } else if (said("condition")) {
        pthread_cond_signal(&thing->condition);
    } else if (said("barrier")) {
        pthread_barrier_wait(&thing->barrier);
    } else if (said("c11")) {
        mtx_lock(&thing->c11);
        mtx_unlock(&thing->c11);
    } else if (said("told")) {
        pthread_mutex_lock(&thing->mutex);
        thing->done = 1;
        pthread_cond_signal(&thing->condition);
        pthread_mutex_unlock(&thing->mutex);
    } else if (said("waited")) {
        pthread_mutex_lock(&thing->mutex);
        while (!thing->done)
            pthread_cond_wait(&thing->condition, &thing->mutex);
        thing->users--;
        pthread_mutex_unlock(&thing->mutex);
    }
}

static NOINLINE void ends(void)
{
    if (said("again")) {
        begins();
    } else if (said("free")) {
        free(thing);
    } else {
        if (said("mutex") || said("told") || said("waited"))
            pthread_mutex_destroy(&thing->mutex);
        if (said("rwlock") || said("readers"))
            pthread_rwlock_destroy(&thing->rwlock);
        if (said("spin"))
            pthread_spin_destroy(&thing->spin);
        if (said("condition") || said("told") || said("waited"))
            pthread_cond_destroy(&thing->condition);
        if (said("barrier"))
            pthread_barrier_destroy(&thing->barrier);
        if (said("c11"))
            mtx_destroy(&thing->c11);
    }
}

static void *user(void *unused)
{
    if (said("begun"))
        step_wait(1);
    uses();
    step_done(1);
    return unused;
}

static void *beginner(void *unused)
{
    begins();
    step_done(1);
    return unused;
}

/* The order that is meant, if any. */
static void settle(pthread_t a)
{
    if (said("joined")) {
        join(a);
    } else if (said("counted") && said("readers")) {
        pthread_rwlock_wrlock(&thing->rwlock);
        pthread_rwlock_unlock(&thing->rwlock);
    } else if (said("counted")) {
        uses();
        CHECK(thing->users == 0);
    } else if (said("told")) {
        pthread_mutex_lock(&thing->mutex);
        while (!thing->done)
            pthread_cond_wait(&thing->condition, &thing->mutex);
        pthread_mutex_unlock(&thing->mutex);
    } else if (said("waited")) {
        for (int left = 1, tell = 0; left; tell = 1) {
            pthread_mutex_lock(&thing->mutex);
            thing->done |= tell;
            pthread_cond_broadcast(&thing->condition);
            left = !tell || thing->users;
            pthread_mutex_unlock(&thing->mutex);
            nap_ms(5);
        }
    }
}

int main(int argc, char **argv)
{
    (void)argc;
    words = argv;
    if (said("free"))
        thing = calloc(1, sizeof *thing);
    thing->users = 2;
    if (said("waited"))
        thing->users = 1; /* before it has begun */
    if (said("begun")) {
        pthread_t a = start(beginner, NULL), b = start(user, NULL);
        join(a);
        join(b);
        return 0;
    }
    begins();
    pthread_t a = start(user, NULL);
    if (!said("told") && !said("waited"))
        step_wait(1);
    settle(a);
    ends();
    if (!said("joined"))
        join(a);
    return 0;
}
