/* A queue between processes with a lost wake-up: the consumer goes to sleep after the producer has called.
 *
 * The section teaches: conditions work between processes as they do between threads, and remember as little. What
 * counts is the state in the shared memory, and it has to be looked at under the mutex with which one waits.
 *
 * What goes wrong: `take` looks whether the queue is empty, gives the mutex back, takes it again and waits, without
 * looking again. The producer puts its item and signals just between.
 *
 * What to look for: one item is in the queue, and consumer and parent wait for ever. `snarl run` says that they are
 * stuck.
 *
 * Usage: bug [SECONDS]    how long the consumer is away between looking and waiting, 1 */
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

static struct queue {
    pthread_mutex_t lock;
    pthread_cond_t not_empty;
    int item[8];
    int n;
    atomic_bool looked, called;
} * queue;
static unsigned seconds = 1;

/* A second is long enough for the producer, nearly always. Waiting for it makes that certain. */
static void look_away(void)
{
    atomic_store(&queue->looked, true);
    sleep(seconds);
    while (!atomic_load(&queue->called))
        sched_yield();
}

static int take(void)
{
    pthread_mutex_lock(&queue->lock);
    bool empty = queue->n == 0;
    pthread_mutex_unlock(&queue->lock);
    if (empty)
        look_away();
    pthread_mutex_lock(&queue->lock);
    if (empty)
        pthread_cond_wait(&queue->not_empty, &queue->lock); /* it was empty then; is it now? */
    int item = queue->item[--queue->n];
    pthread_mutex_unlock(&queue->lock);
    return item;
}

static void put(int item)
{
    pthread_mutex_lock(&queue->lock);
    queue->item[queue->n++] = item;
    pthread_cond_signal(&queue->not_empty);
    pthread_mutex_unlock(&queue->lock);
}

static void consume(void)
{
    printf("consumer: took %d\n", take());
}

static void produce(void)
{
    while (!atomic_load(&queue->looked))
        sched_yield();
    put(42);
    puts("producer: put 42");
    atomic_store(&queue->called, true);
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
    pthread_condattr_destroy(&of_condition);
}

int main(int argc, char **argv)
{
    void (*const work[])(void) = {consume, produce};

    if (argc > 1)
        seconds = (unsigned)strtoul(argv[1], NULL, 10);
    setvbuf(stdout, NULL, _IOLBF, 0); /* lines come out as they are printed, into a pipe too */
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
