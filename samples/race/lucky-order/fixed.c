/* Lucky order, fixed: what two threads change has a lock of its own.
 *
 * The section teaches: one lock for one thing, taken at every access to it. Then no order of the threads matters.
 *
 * What to look for: the same work and the same output, in whichever order the workers come. snarl has nothing to report.
 *
 * Usage: fixed [SECONDS]    how much later the second worker comes, 1 */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static pthread_mutex_t log_lock = PTHREAD_MUTEX_INITIALIZER;
static long logged[2];
static pthread_mutex_t served_lock = PTHREAD_MUTEX_INITIALIZER;
static long served;

static void write_log(long worker)
{
    pthread_mutex_lock(&log_lock);
    logged[worker]++;
    pthread_mutex_unlock(&log_lock);
}

static void *serve(void *worker)
{
    write_log((long)worker);
    pthread_mutex_lock(&served_lock);
    served++;
    pthread_mutex_unlock(&served_lock);
    write_log((long)worker);
    return NULL;
}

int main(int argc, char **argv)
{
    unsigned seconds = argc > 1 ? (unsigned)strtoul(argv[1], NULL, 10) : 1;
    pthread_t threads[2];

    pthread_create(&threads[0], NULL, serve, (void *)0L);
    sleep(seconds);
    pthread_create(&threads[1], NULL, serve, (void *)1L);
    pthread_join(threads[0], NULL);
    pthread_join(threads[1], NULL);
    printf("served: %ld, logged: %ld and %ld\n", served, logged[0], logged[1]);
    return 0;
}
