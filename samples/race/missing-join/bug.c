/* A missing join: a function hands a variable of its own to a thread, and returns before the thread is done with it.
 *
 * The section teaches: start the threads, then join them. A thread gets the address of its argument, not the argument:
 * that has to live as long as the thread needs it, and a local variable is gone when its function returns.
 *
 * What goes wrong: `start` returns at once. Its place on the stack is used again by the next call of `start`, for the
 * number of the second thread, while the first thread reads its own number there.
 *
 * What to look for: two threads of the same number, or of a number that nobody gave. On a quiet day all looks right.
 * `snarl run` reports the data race on the variable of `start`: read by the thread, written by the second call.
 *
 * Usage: bug [STEPS]    how many steps each thread prints, 3 */
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

static pthread_t start(int n)
{
    int number = n;
    pthread_t thread;

    pthread_create(&thread, NULL, print_steps, &number);
    return thread; /* and `number` is gone */
}

int main(int argc, char **argv)
{
    pthread_t threads[2];

    if (argc > 1)
        steps = (int)strtol(argv[1], NULL, 10);
    threads[0] = start(1);
    threads[1] = start(2);
    pthread_join(threads[0], NULL);
    pthread_join(threads[1], NULL);
    return 0;
}
