/* A lost wake-up: the consumer of a queue goes to sleep after the producer has called.
 *
 * The section teaches: a condition variable remembers nothing. A signal reaches those who wait at that moment; when
 * nobody waits, it is gone. What counts is the state, here the number of items, and it has to be looked at under the
 * mutex that `pthread_cond_wait` gives back while it sleeps.
 *
 * What goes wrong: `take` looks whether the queue is empty, gives the mutex back, takes it again and waits, without
 * looking again. The producer puts its item and signals just between.
 *
 * What to look for: one item is in the queue, and the program hangs. `snarl run` says that it is stuck: the consumer
 * waits for a condition, `main` waits for the consumer, and nobody is left who could signal.
 *
 * Usage: bug [SECONDS]    how long the consumer is away between looking and waiting, 1 */
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static struct {
    pthread_mutex_t lock;
    pthread_cond_t not_empty;
    int item[8];
    int n;
} queue = {.lock = PTHREAD_MUTEX_INITIALIZER, .not_empty = PTHREAD_COND_INITIALIZER};
static unsigned seconds = 1;
static atomic_bool looked, called;

/* A second is long enough for the producer, nearly always. Waiting for it makes that certain. */
static void look_away(void)
{
    atomic_store(&looked, true);
    sleep(seconds);
    while (!atomic_load(&called))
        sched_yield();
}

static int take(void)
{
    pthread_mutex_lock(&queue.lock);
    bool empty = queue.n == 0;
    pthread_mutex_unlock(&queue.lock);
    if (empty)
        look_away();
    pthread_mutex_lock(&queue.lock);
    if (empty)
        pthread_cond_wait(&queue.not_empty, &queue.lock); /* it was empty then; is it now? */
    int item = queue.item[--queue.n];
    pthread_mutex_unlock(&queue.lock);
    return item;
}

static void put(int item)
{
    pthread_mutex_lock(&queue.lock);
    queue.item[queue.n++] = item;
    pthread_cond_signal(&queue.not_empty);
    pthread_mutex_unlock(&queue.lock);
}

static void *consumer(void *unused)
{
    (void)unused;
    printf("consumer: took %d\n", take());
    return NULL;
}

static void *producer(void *unused)
{
    (void)unused;
    while (!atomic_load(&looked))
        sched_yield();
    put(42);
    puts("producer: put 42");
    atomic_store(&called, true);
    return NULL;
}

int main(int argc, char **argv)
{
    pthread_t threads[2];

    if (argc > 1)
        seconds = (unsigned)strtoul(argv[1], NULL, 10);
    setvbuf(stdout, NULL, _IOLBF, 0); /* lines come out as they are printed, into a pipe too */
    pthread_create(&threads[0], NULL, consumer, NULL);
    pthread_create(&threads[1], NULL, producer, NULL);
    pthread_join(threads[1], NULL);
    pthread_join(threads[0], NULL);
    puts("done");
    return 0;
}
