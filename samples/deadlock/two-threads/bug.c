/* Deadlock: two threads take two locks in opposite order.
 *
 * The section teaches: a thread that holds one lock and waits for another makes everybody who needs the first one wait
 * as well. When two threads do that the other way round, each waits for what the other holds, and neither will ever go
 * on.
 *
 * What goes wrong: `first` takes lock a and then lock b, `second` takes lock b and then lock a, with a second's work
 * between.
 *
 * What to look for: the program prints that each thread has its first lock, and then nothing more, for ever. Under
 * `snarl run` it is ended at that moment, and the report shows for both threads which lock they hold since where, and
 * which one they wait for.
 *
 * Usage: bug [SECONDS]    how long each thread works between its two locks, 1 */
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static pthread_mutex_t lock_a = PTHREAD_MUTEX_INITIALIZER;
static pthread_mutex_t lock_b = PTHREAD_MUTEX_INITIALIZER;
static unsigned seconds = 1;
static atomic_int holding;

/* A second is long enough for the other thread to get its lock, nearly always. Waiting for it makes that certain, on a
 * busy machine too: this program is here to fail. */
static void work(void)
{
    sleep(seconds);
    atomic_fetch_add(&holding, 1);
    while (atomic_load(&holding) < 2)
        sched_yield();
}

static void *first(void *unused)
{
    (void)unused;
    pthread_mutex_lock(&lock_a);
    puts("first:  has lock a, wants lock b");
    work();
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
    work();
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
    setvbuf(stdout, NULL, _IOLBF, 0); /* lines come out as they are printed, into a pipe too */
    pthread_create(&threads[0], NULL, first, NULL);
    pthread_create(&threads[1], NULL, second, NULL);
    pthread_join(threads[0], NULL);
    pthread_join(threads[1], NULL);
    puts("done");
    return 0;
}
