/* The result before the join: `main` reads what a thread is still working on.
 *
 * The section teaches: `pthread_join` does two things. It waits until the thread has ended, and it orders all that the
 * thread has written before what comes after the join.
 *
 * What goes wrong: `main` starts the thread that adds numbers up, sleeps long enough, prints the sum, and joins
 * afterwards. How long is enough?
 *
 * What to look for: the sum is right on this machine, today. `snarl run` reports the data race on any day: the thread
 * writes the sum, `main` reads it, and nothing orders the one before the other. A sleep orders nothing.
 *
 * Usage: bug [SECONDS [NUMBERS]]    how long main sleeps, 1; how many numbers are added up, 100000 */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static long numbers = 100000;
static long sum;

static void *add_up(void *unused)
{
    for (long i = 0; i < numbers; i++)
        sum += i;
    return unused;
}

int main(int argc, char **argv)
{
    unsigned seconds = argc > 1 ? (unsigned)strtoul(argv[1], NULL, 10) : 1;
    pthread_t thread;

    if (argc > 2)
        numbers = strtol(argv[2], NULL, 10);
    pthread_create(&thread, NULL, add_up, NULL);
    sleep(seconds);
    printf("sum: %ld\n", sum);
    pthread_join(thread, NULL);
    return 0;
}
