/* Deadlock that does not strike, fixed: the thread that comes second really does come second.
 *
 * The section teaches: one way out of a deadlock is not to run the two at the same time at all. What makes that safe is
 * an order that holds in every schedule: here `second` is created only when `first` has been joined.
 *
 * What to look for: the same two orders as in bug.c, and no report: a thread that has ended cannot meet one that was
 * not yet there.
 *
 * Usage: fixed [SECONDS]    how long each thread works between its two locks, 1 */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static pthread_mutex_t lock_a = PTHREAD_MUTEX_INITIALIZER;
static pthread_mutex_t lock_b = PTHREAD_MUTEX_INITIALIZER;
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
    return NULL;
}

static void *second(void *unused)
{
    (void)unused;
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
    pthread_t thread;

    if (argc > 1)
        seconds = (unsigned)strtoul(argv[1], NULL, 10);
    pthread_create(&thread, NULL, first, NULL);
    pthread_join(thread, NULL);
    pthread_create(&thread, NULL, second, NULL);
    pthread_join(thread, NULL);
    puts("done");
    return 0;
}
