/* The result before the join, fixed: first join, then read.
 *
 * The section teaches: the join is what makes the result complete, and visible. It takes as long as it has to, and no
 * longer.
 *
 * What to look for: the right sum on any machine, and no sleep. snarl has nothing to report.
 *
 * Usage: fixed [NUMBERS]    how many numbers are added up, 100000 */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

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
    pthread_t thread;

    if (argc > 1)
        numbers = strtol(argv[1], NULL, 10);
    pthread_create(&thread, NULL, add_up, NULL);
    pthread_join(thread, NULL);
    printf("sum: %ld\n", sum);
    return 0;
}
