/* Deadlock in a ring, fixed: every philosopher takes the fork with the lower number first.
 *
 * The section teaches: one order for all locks breaks every ring, however long. Only one philosopher has to change: the
 * last one, who now takes fork 0 before fork 4, and so takes nothing while somebody else has fork 0.
 *
 * What to look for: all five eat, and snarl has nothing to report: every order goes from a lower to a higher number.
 *
 * Usage: fixed [SECONDS]    how long each philosopher thinks between the two forks, 1 */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define SEATS 5

static pthread_mutex_t forks[SEATS];
static unsigned seconds = 1;

static void *philosopher(void *number)
{
    long n = (long)number;
    long left = n, right = (n + 1) % SEATS;
    long lower = left < right ? left : right;
    long higher = left < right ? right : left;

    pthread_mutex_lock(&forks[lower]);
    sleep(seconds);
    pthread_mutex_lock(&forks[higher]);
    printf("philosopher %ld eats\n", n);
    pthread_mutex_unlock(&forks[higher]);
    pthread_mutex_unlock(&forks[lower]);
    return NULL;
}

int main(int argc, char **argv)
{
    pthread_t threads[SEATS];

    if (argc > 1)
        seconds = (unsigned)strtoul(argv[1], NULL, 10);
    for (int i = 0; i < SEATS; i++)
        pthread_mutex_init(&forks[i], NULL);
    for (long i = 0; i < SEATS; i++)
        pthread_create(&threads[i], NULL, philosopher, (void *)i);
    for (int i = 0; i < SEATS; i++)
        pthread_join(threads[i], NULL);
    puts("done");
    return 0;
}
