/* A result that is handed back without synchronisation: the pool works it out, `main` reads it some time later.
 *
 * The section teaches: work that takes long goes to a pool of threads, so that the main thread, or an event loop, can
 * do other things. Handing the task over is done with a lock; handing the result back needs one as well.
 *
 * What goes wrong: the pool's thread stores the sum in the task. `main` does something else for a second, is sure that
 * the sum must be there by now, and reads it.
 *
 * What to look for: the sum of 10,000,000 numbers, 49999995000000, on a machine that is fast enough, and 0 on another
 * one. `snarl run` reports the data race on the task's result. The queue is locked as it should be, and there is no
 * race for it.
 *
 * Usage: bug [SECONDS [NUMBERS]]    how long main does something else, 1; how many numbers are added up, 10000000 */
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

struct task {
    long numbers;
    long result;
};
static pthread_mutex_t queue_lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t queue_changed = PTHREAD_COND_INITIALIZER;
static struct task *queued; /* one place is enough here */
static bool closed;

static long add_up(long numbers)
{
    long sum = 0;

    for (long i = 0; i < numbers; i++)
        sum += i;
    return sum;
}

/* The next task, or NULL when there will be none. */
static struct task *next_task(void)
{
    pthread_mutex_lock(&queue_lock);
    while (!queued && !closed)
        pthread_cond_wait(&queue_changed, &queue_lock);
    struct task *task = queued;
    queued = NULL;
    pthread_mutex_unlock(&queue_lock);
    return task;
}

static void *worker(void *unused)
{
    for (struct task *task = next_task(); task; task = next_task())
        task->result = add_up(task->numbers);
    return unused;
}

static void submit(struct task *task)
{
    pthread_mutex_lock(&queue_lock);
    queued = task;
    pthread_cond_signal(&queue_changed);
    pthread_mutex_unlock(&queue_lock);
}

static void close_pool(pthread_t thread)
{
    pthread_mutex_lock(&queue_lock);
    closed = true;
    pthread_cond_signal(&queue_changed);
    pthread_mutex_unlock(&queue_lock);
    pthread_join(thread, NULL);
}

int main(int argc, char **argv)
{
    static struct task summing = {.numbers = 10000000};
    unsigned seconds = argc > 1 ? (unsigned)strtoul(argv[1], NULL, 10) : 1;
    pthread_t thread;

    if (argc > 2)
        summing.numbers = strtol(argv[2], NULL, 10);
    pthread_create(&thread, NULL, worker, NULL);
    submit(&summing);
    sleep(seconds); /* something else */
    printf("sum: %ld\n", summing.result);
    close_pool(thread);
    return 0;
}
