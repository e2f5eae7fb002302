/* A missing join, fixed: the numbers belong to the function that joins the threads.
 *
 * The section teaches: keep what a thread works with where it lives until the join, here in `main`. Then start all
 * threads, and then join all of them: joining each at once would let them run one after the other.
 *
 * What to look for: the steps of both threads, each with its own number, in any order. snarl has nothing to report.
 *
 * Usage: fixed [STEPS]    how many steps each thread prints, 3 */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

static int steps = 3;

static void *print_steps(void *number)
{
    for (int i = 1; i <= steps; i++)
        printf("thread %d: step %d\n", *(int *)number, i);
    return NULL;
}

static pthread_t start(int *number)
{
    pthread_t thread;

    pthread_create(&thread, NULL, print_steps, number);
    return thread;
}

int main(int argc, char **argv)
{
    int numbers[] = {1, 2};
    pthread_t threads[2];

    if (argc > 1)
        steps = (int)strtol(argv[1], NULL, 10);
    threads[0] = start(&numbers[0]);
    threads[1] = start(&numbers[1]);
    pthread_join(threads[0], NULL);
    pthread_join(threads[1], NULL);
    return 0;
}
