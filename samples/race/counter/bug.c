/* The shared counter: two threads add to it, and additions get lost.
 *
 * The section teaches: threads share the program's memory. `counter++` is three steps: read the counter, add one, write
 * it back. What another thread writes between the first and the third is overwritten.
 *
 * What goes wrong: both threads count to 100,000 on the same variable, without a lock.
 *
 * What to look for: the sum is less than 200,000, and another one each time; on a good day it is right. `snarl run`
 * reports the data race on any day, with the variable, both lines, and the locks that were held there: none.
 *
 * Usage: bug [STEPS]    how far each thread counts, 100000 */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

static long steps = 100000;
static long counter;

static void *count(void *unused)
{
    for (long i = 0; i < steps; i++)
        counter++;
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
