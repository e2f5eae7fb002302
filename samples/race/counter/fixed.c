/* The shared counter, fixed by a mutex around the addition.
 *
 * The section teaches: what has to happen as a whole stands between lock and unlock, and everybody who touches the
 * counter takes the same mutex.
 *
 * What to look for: 200,000, each time. It takes longer than the bug does: one thread waits while the other one adds.
 * snarl has nothing to report.
 *
 * Usage: fixed [STEPS]    how far each thread counts, 100000 */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

static long steps = 100000;
static pthread_mutex_t counter_lock = PTHREAD_MUTEX_INITIALIZER;
static long counter;

static void *count(void *unused)
{
    for (long i = 0; i < steps; i++) {
        pthread_mutex_lock(&counter_lock);
        counter++;
        pthread_mutex_unlock(&counter_lock);
    }
    return unused;
}

int main(int argc, char **argv)
{
    pthread_t threads[2];

    if (argc > 1)
        steps = strtol(argv[1], NULL, 10);
    pthread_create(&threads[0], NULL, count, NULL);
    pthread_create(&threads[1], NULL, count, NULL);
    pthread_join(threads[0], NULL);
    pthread_join(threads[1], NULL);
    printf("%ld of %ld\n", counter, 2 * steps);
    return 0;
}
