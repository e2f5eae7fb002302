/* Deadlock that does not strike: two threads take two locks in opposite order, but in this run one after the other.
 *
 * The section teaches: whether a deadlock strikes depends on the schedule, and tests mostly run the lucky one. The bug
 * is in the orders, and these show in every run.
 *
 * What goes wrong: `first` takes lock a and then lock b, `second` takes lock b and then lock a. Here `second` happens
 * to start its work when `first` is done with its own, because the one tells the other; nothing keeps the next version
 * from dropping that line.
 *
 * What to look for: the program ends well, every time. `snarl run` reports the cycle of the two orders all the same
 * (lock-order), with the same id as if the deadlock had struck: it is the same bug.
 *
 * Usage: bug [SECONDS]    how long each thread works between its two locks, 1 */
#include <pthread.h>
#include <semaphore.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static pthread_mutex_t lock_a = PTHREAD_MUTEX_INITIALIZER;
static pthread_mutex_t lock_b = PTHREAD_MUTEX_INITIALIZER;
static sem_t first_is_done;
static unsigned seconds = 1;

static void *first(void *unused)
{
    (void)unused;
    pthread_mutex_lock(&lock_a);
    puts("first:  has lock a, wants lock b");
    sleep(seconds);
    pthread_mutex_lock(&lock_b);
    puts("first:  has both");
    pthread_mutex_unlock(&lock_b);
    pthread_mutex_unlock(&lock_a);
    sem_post(&first_is_done);
    return NULL;
}

static void *second(void *unused)
{
    (void)unused;
    sem_wait(&first_is_done); /* the luck of this run */
    pthread_mutex_lock(&lock_b);
    puts("second: has lock b, wants lock a");
    sleep(seconds);
    pthread_mutex_lock(&lock_a);
    puts("second: has both");
    pthread_mutex_unlock(&lock_a);
    pthread_mutex_unlock(&lock_b);
    return NULL;
}

int main(int argc, char **argv)
{
    pthread_t threads[2];

    if (argc > 1)
        seconds = (unsigned)strtoul(argv[1], NULL, 10);
    sem_init(&first_is_done, 0, 0);
    pthread_create(&threads[0], NULL, first, NULL);
    pthread_create(&threads[1], NULL, second, NULL);
    pthread_join(threads[0], NULL);
    pthread_join(threads[1], NULL);
    sem_destroy(&first_is_done);
    puts("done");
    return 0;
}
