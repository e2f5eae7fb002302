/* Deadlock, fixed by one order: both threads take lock a before lock b.
 *
 * The section teaches: when all threads take the locks that they hold together in one order, none of them can wait for
 * a thread that waits for it: the one that has the last lock of the order never waits at all.
 *
 * What to look for: the second thread waits for lock a before it has anything, so the first one gets lock b and both
 * end. snarl has nothing to report: the only order that it saw is a before b.
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
    pthread_mutex_lock(&lock_a);
    puts("second: has lock a, wants lock b");
    sleep(seconds);
    pthread_mutex_lock(&lock_b);
    puts("second: has both");
    pthread_mutex_unlock(&lock_b);
    pthread_mutex_unlock(&lock_a);
    return NULL;
}

int main(int argc, char **argv)
{
    pthread_t threads[2];

    if (argc > 1)
        seconds = (unsigned)strtoul(argv[1], NULL, 10);
    pthread_create(&threads[0], NULL, first, NULL);
    pthread_create(&threads[1], NULL, second, NULL);
    pthread_join(threads[0], NULL);
    pthread_join(threads[1], NULL);
    puts("done");
    return 0;
}
