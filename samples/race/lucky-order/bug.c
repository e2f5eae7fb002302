/* Lucky order: a race that another lock hides.
 *
 * The section teaches: that a program came out right, and even that a race detector saw its accesses in order, says only
 * how this run went. What matters is what keeps two accesses apart in every run.
 *
 * What goes wrong: each worker counts what it has served in one variable, `served`, and takes no lock for that. Before and
 * after, it writes into its own column of the log, under the log's lock. The second worker comes later; so the first
 * one's last log entry is before the second one's first, and with it everything else. Were the log not locked, or the
 * second worker a little earlier, the two additions would meet.
 *
 * What to look for: `snarl run` finds no data race, since in this run there was none. It says that `served` is
 * unprotected: the only thing between the two additions is a lock that was taken for other data. Such a finding is
 * possible, not observed; it does not change the exit status. `--fail-on=all` makes it count.
 *
 * Usage: bug [SECONDS]    how much later the second worker comes, 1 */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static pthread_mutex_t log_lock = PTHREAD_MUTEX_INITIALIZER;
static long logged[2];
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
    served++;
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
