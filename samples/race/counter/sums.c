/* The shared counter, fixed by not sharing it: each thread has a sum of its own.
 *
 * The section teaches: the cheapest lock is the one that nobody needs. Each thread counts for itself, and `main` adds
 * the sums up when both have ended. `pthread_join` orders what the thread has written before what `main` then reads.
 *
 * What to look for: 200,000, each time, and faster than with a mutex or an atomic. The two sums are neighbours in an
 * array; snarl has nothing to report, for neighbours are not the same.
 *
 * Usage: sums [STEPS]    how far each thread counts, 100000 */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

static long steps = 100000;
static long sum[2];

static void *count(void *own_sum)
{
    long *own = own_sum;

    for (long i = 0; i < steps; i++)
        ++*own;
    return NULL;
}

int main(int argc, char **argv)
{
    pthread_t threads[2];

    if (argc > 1)
        steps = strtol(argv[1], NULL, 10);
    pthread_create(&threads[0], NULL, count, &sum[0]);
    pthread_create(&threads[1], NULL, count, &sum[1]);
    pthread_join(threads[0], NULL);
    pthread_join(threads[1], NULL);
    printf("%ld of %ld\n", sum[0] + sum[1], 2 * steps);
    return 0;
}
