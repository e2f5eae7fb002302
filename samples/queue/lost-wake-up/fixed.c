/* A lost wake-up, fixed: the consumer looks at the queue and goes to sleep in one critical section, and looks again
 * when it wakes.
 *
 * The section teaches: wait in a loop that tests the state, with the mutex held from the test on. `pthread_cond_wait`
 * gives the mutex back and falls asleep in one step, so no signal can come between. The loop is for wake-ups without a
 * reason, and for items that another consumer was faster to take.
 *
 * What to look for: four numbers go through a queue of two places, whoever is faster; then a -1 says that there are no
 * more. snarl has nothing to report.
 *
 * Usage: fixed [ITEMS]    how many numbers go through the queue, 4 */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#define PLACES 2

static struct {
    pthread_mutex_t lock;
    pthread_cond_t not_empty, not_full;
    int item[PLACES];
    int first, n;
} queue = {
    .lock = PTHREAD_MUTEX_INITIALIZER, .not_empty = PTHREAD_COND_INITIALIZER, .not_full = PTHREAD_COND_INITIALIZER};
static int items = 4;

static int take(void)
{
    pthread_mutex_lock(&queue.lock);
    while (queue.n == 0)
        pthread_cond_wait(&queue.not_empty, &queue.lock);
    int item = queue.item[queue.first];
    queue.first = (queue.first + 1) % PLACES;
    queue.n--;
    pthread_cond_signal(&queue.not_full);
    pthread_mutex_unlock(&queue.lock);
    return item;
}

static void put(int item)
{
    pthread_mutex_lock(&queue.lock);
    while (queue.n == PLACES)
        pthread_cond_wait(&queue.not_full, &queue.lock);
    queue.item[(queue.first + queue.n++) % PLACES] = item;
    pthread_cond_signal(&queue.not_empty);
    pthread_mutex_unlock(&queue.lock);
}

static void *consumer(void *unused)
{
    (void)unused;
    for (int item = take(); item >= 0; item = take())
        printf("consumer: took %d\n", item);
    return NULL;
}

static void *producer(void *unused)
{
    (void)unused;
    for (int i = 0; i < items; i++)
        put(i);
    put(-1);
    return NULL;
}

int main(int argc, char **argv)
{
    pthread_t threads[2];

    if (argc > 1)
        items = (int)strtol(argv[1], NULL, 10);
    pthread_create(&threads[0], NULL, consumer, NULL);
    pthread_create(&threads[1], NULL, producer, NULL);
    pthread_join(threads[1], NULL);
    pthread_join(threads[0], NULL);
    puts("done");
    return 0;
}
