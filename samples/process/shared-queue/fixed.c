/* A queue between processes: one puts numbers in, another one takes them out.
 *
 * The section teaches: mutex and conditions that are PTHREAD_PROCESS_SHARED lie with the items in memory that both
 * processes share. Each waits in a loop that tests the state, with the mutex held from the test on.
 *
 * What to look for: four numbers go through a queue of two places, whoever is faster; then a -1 says that there are no
 * more. snarl has nothing to report.
 *
 * Usage: fixed [ITEMS]    how many numbers go through the queue, 4 */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#define PLACES 2

static struct queue {
    pthread_mutex_t lock;
    pthread_cond_t not_empty, not_full;
    int item[PLACES];
    int first, n;
} * queue;
static int items = 4;

static int take(void)
{
    pthread_mutex_lock(&queue->lock);
    while (queue->n == 0)
        pthread_cond_wait(&queue->not_empty, &queue->lock);
    int item = queue->item[queue->first];
    queue->first = (queue->first + 1) % PLACES;
    queue->n--;
    pthread_cond_signal(&queue->not_full);
    pthread_mutex_unlock(&queue->lock);
    return item;
}

static void put(int item)
{
    pthread_mutex_lock(&queue->lock);
    while (queue->n == PLACES)
        pthread_cond_wait(&queue->not_full, &queue->lock);
    queue->item[(queue->first + queue->n++) % PLACES] = item;
    pthread_cond_signal(&queue->not_empty);
    pthread_mutex_unlock(&queue->lock);
}

static void consume(void)
{
    for (int item = take(); item >= 0; item = take())
        printf("consumer: took %d\n", item);
}

static void produce(void)
{
    for (int i = 0; i < items; i++)
        put(i);
    put(-1);
}

static void share_queue(void)
{
    pthread_mutexattr_t of_mutex;
    pthread_condattr_t of_condition;

    queue = mmap(NULL, sizeof *queue, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (queue == MAP_FAILED) {
        perror("mmap");
        exit(1);
    }
    pthread_mutexattr_init(&of_mutex);
    pthread_mutexattr_setpshared(&of_mutex, PTHREAD_PROCESS_SHARED);
    pthread_mutex_init(&queue->lock, &of_mutex);
    pthread_mutexattr_destroy(&of_mutex);
    pthread_condattr_init(&of_condition);
    pthread_condattr_setpshared(&of_condition, PTHREAD_PROCESS_SHARED);
    pthread_cond_init(&queue->not_empty, &of_condition);
    pthread_cond_init(&queue->not_full, &of_condition);
    pthread_condattr_destroy(&of_condition);
}

int main(int argc, char **argv)
{
    void (*const work[])(void) = {consume, produce};

    if (argc > 1)
        items = (int)strtol(argv[1], NULL, 10);
    share_queue();
    for (int i = 0; i < 2; i++)
        if (fork() == 0) {
            work[i]();
            exit(0);
        }
    while (wait(NULL) > 0)
        ;
    puts("done");
    return 0;
}
