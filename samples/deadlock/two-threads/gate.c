/* Deadlock, fixed by a gate: whoever wants both locks first takes a third one.
 *
 * The section teaches: the circle needs two threads that are both on their way from one lock to the next. A gate lets
 * one of them in at a time. It costs the parallelism of all who need both locks, and nothing for those who need only
 * one.
 *
 * What to look for: the orders are still opposite, and a tool that looks at pairs of locks only would warn. snarl has
 * nothing to report: both orders were seen under the same gate, so they cannot meet.
 *
 * Usage: gate [SECONDS]    how long each thread works between its two locks, 1 */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static pthread_mutex_t gate = PTHREAD_MUTEX_INITIALIZER;
static pthread_mutex_t lock_a = PTHREAD_MUTEX_INITIALIZER;
static pthread_mutex_t lock_b = PTHREAD_MUTEX_INITIALIZER;
static unsigned seconds = 1;

static void *first(void *unused)
{
    (void)unused;
    pthread_mutex_lock(&gate);
    pthread_mutex_lock(&lock_a);
    puts("first:  has lock a, wants lock b");
    sleep(seconds);
    pthread_mutex_lock(&lock_b);
    puts("first:  has both");
    pthread_mutex_unlock(&lock_b);
    pthread_mutex_unlock(&lock_a);
    pthread_mutex_unlock(&gate);
    return NULL;
}

static void *second(void *unused)
{
    (void)unused;
    pthread_mutex_lock(&gate);
    pthread_mutex_lock(&lock_b);
    puts("second: has lock b, wants lock a");
    sleep(seconds);
    pthread_mutex_lock(&lock_a);
    puts("second: has both");
    pthread_mutex_unlock(&lock_a);
    pthread_mutex_unlock(&lock_b);
    pthread_mutex_unlock(&gate);
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
