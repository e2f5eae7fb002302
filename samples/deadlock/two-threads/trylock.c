/* Deadlock, fixed by trying: a thread that cannot have its second lock at once gives the first one back and starts
 * again.
 *
 * The section teaches: nobody waits for ever who holds nothing while waiting. Where one order for all is out of reach,
 * because the locks come from different places, `pthread_mutex_trylock` and backing off break the circle instead.
 *
 * What to look for: the threads still want the locks in opposite order, and say how often they had to back off. The
 * pause is random: with equal pauses they could go on giving way to each other (a livelock). snarl has nothing to
 * report: a try never waits.
 *
 * Usage: trylock [SECONDS]    how long each thread works between its two locks, 1 */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static pthread_mutex_t lock_a = PTHREAD_MUTEX_INITIALIZER;
static pthread_mutex_t lock_b = PTHREAD_MUTEX_INITIALIZER;
static unsigned seconds = 1;

/* Takes both, waiting only while it holds nothing. Returns how often it had to back off. */
static int take_both(pthread_mutex_t *one, pthread_mutex_t *other, unsigned seed)
{
    int backed_off = 0;

    pthread_mutex_lock(one);
    sleep(seconds);
    while (pthread_mutex_trylock(other) != 0) {
        pthread_mutex_unlock(one);
        backed_off++;
        usleep((useconds_t)(rand_r(&seed) % 10000));
        pthread_mutex_lock(one);
    }
    return backed_off;
}

static void give_both(pthread_mutex_t *one, pthread_mutex_t *other)
{
    pthread_mutex_unlock(other);
    pthread_mutex_unlock(one);
}

static void *first(void *unused)
{
    (void)unused;
    int backed_off = take_both(&lock_a, &lock_b, 1);
    printf("first:  has both, backed off %d times\n", backed_off);
    give_both(&lock_a, &lock_b);
    return NULL;
}

static void *second(void *unused)
{
    (void)unused;
    int backed_off = take_both(&lock_b, &lock_a, 2);
    printf("second: has both, backed off %d times\n", backed_off);
    give_both(&lock_b, &lock_a);
    return NULL;
}

int main(int argc, char **argv)
{
    pthread_t threads[2];

    if (argc > 1)
        seconds = (unsigned)strtoul(argv[1], NULL, 10);
    pthread_create(&threads[0], NULL, first, NULL);
    pthread_create(&threads[1], NULL, second, NULL);
    pthread_join(threads[0], NULL);
    pthread_join(threads[1], NULL);
    puts("done");
    return 0;
}
