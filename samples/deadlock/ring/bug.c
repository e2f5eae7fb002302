/* Deadlock in a ring: five philosophers at a round table, five forks, and each takes the left fork first.
 *
 * The section teaches: a deadlock needs no two threads that disagree about two locks. Every pair of neighbours shares
 * one fork only; it is all five together who wait in a circle.
 *
 * What goes wrong: philosopher n takes fork n and then fork n + 1, the last one fork 4 and then fork 0. When all of
 * them have their left fork, nobody will ever get a right one.
 *
 * What to look for: `snarl run` shows the circle of five, each with the fork in hand and the one waited for. With
 * "in-turn" the philosophers eat one after the other and the run ends well: snarl reports the same circle as a
 * lock-order finding.
 *
 * Usage: bug [SECONDS [in-turn]]    how long each philosopher thinks between the two forks, 1 */
#include <pthread.h>
#include <sched.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define SEATS 5

static pthread_mutex_t forks[SEATS];
static sem_t turn[SEATS + 1];
static unsigned seconds = 1;
static int in_turn;
static atomic_int holding;

static void think(void)
{
    sleep(seconds);
    atomic_fetch_add(&holding, 1);
    while (!in_turn && atomic_load(&holding) < SEATS)
        sched_yield(); /* until each has a fork: after a second they nearly always have */
}

static void *philosopher(void *number)
{
    long n = (long)number;

    if (in_turn)
        sem_wait(&turn[n]);
    pthread_mutex_lock(&forks[n]);
    think();
    pthread_mutex_lock(&forks[(n + 1) % SEATS]);
    printf("philosopher %ld eats\n", n);
    pthread_mutex_unlock(&forks[(n + 1) % SEATS]);
    pthread_mutex_unlock(&forks[n]);
    sem_post(&turn[n + 1]);
    return NULL;
}

int main(int argc, char **argv)
{
    pthread_t threads[SEATS];

    if (argc > 1)
        seconds = (unsigned)strtoul(argv[1], NULL, 10);
    in_turn = argc > 2 && strcmp(argv[2], "in-turn") == 0;
    for (int i = 0; i <= SEATS; i++)
        sem_init(&turn[i], 0, i == 0);
    for (int i = 0; i < SEATS; i++)
        pthread_mutex_init(&forks[i], NULL);
    for (long i = 0; i < SEATS; i++)
        pthread_create(&threads[i], NULL, philosopher, (void *)i);
    for (int i = 0; i < SEATS; i++)
        pthread_join(threads[i], NULL);
    puts("done");
    return 0;
}
