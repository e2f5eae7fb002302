/* A result that is handed back, fixed: the completion comes through an eventfd, the result under the task's mutex.
 *
 * The section teaches: the pool says that a task is done by an event, which an event loop can await with `poll` beside
 * everything else. The mutex orders what the pool has written before what the other side reads.
 *
 * What to look for: the sum of 10,000,000 numbers, 49999995000000, as soon as it is there. snarl has nothing to report.
 *
 * Usage: fixed [NUMBERS]    how many numbers are added up, 10000000 */
#include <poll.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

struct task {
    long numbers;
    long result;
    pthread_mutex_t lock; /* of the result */
    int done;             /* an eventfd */
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
    for (struct task *task = next_task(); task; task = next_task()) {
        long sum = add_up(task->numbers);
        pthread_mutex_lock(&task->lock);
        task->result = sum;
        pthread_mutex_unlock(&task->lock);
        eventfd_write(task->done, 1);
    }
    return unused;
}

static void submit(struct task *task)
{
    pthread_mutex_lock(&queue_lock);
    queued = task;
    pthread_cond_signal(&queue_changed);
    pthread_mutex_unlock(&queue_lock);
}

static long await(struct task *task)
{
    struct pollfd event = {.fd = task->done, .events = POLLIN};

    while (poll(&event, 1, -1) != 1)
        ; /* an event loop would do something else meanwhile */
    pthread_mutex_lock(&task->lock);
    long result = task->result;
    pthread_mutex_unlock(&task->lock);
    return result;
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
    static struct task summing = {.numbers = 10000000, .lock = PTHREAD_MUTEX_INITIALIZER};
    pthread_t thread;

    if (argc > 1)
        summing.numbers = strtol(argv[1], NULL, 10);
    summing.done = eventfd(0, EFD_CLOEXEC);
    pthread_create(&thread, NULL, worker, NULL);
    submit(&summing);
    printf("sum: %ld\n", await(&summing));
    close_pool(thread);
    close(summing.done);
    return 0;
}
