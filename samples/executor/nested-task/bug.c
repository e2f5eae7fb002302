/* A pool that waits for itself: a task waits for the result of another task of the same pool.
 *
 * The section teaches: a thread pool runs as many tasks at a time as it has threads. A task that waits for another one
 * keeps its thread meanwhile. When all threads are kept like that, what they wait for is never started.
 *
 * What goes wrong: `report` runs in a pool of one thread, hands `count` to the same pool and waits for its result.
 * `count` stands in the pool's queue, behind the task that waits for it.
 *
 * What to look for: the program prints that the report is begun, and hangs. `snarl run` says that it is stuck: the only
 * worker waits for a result inside a task, `main` waits for that task's result.
 *
 * Usage: bug [THREADS]    how many threads the pool has, 1 */
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>

struct task {
    long (*run)(void);
    long result;
    bool done;
    struct task *next;
};
static pthread_mutex_t pool_lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t work_waits = PTHREAD_COND_INITIALIZER, work_done = PTHREAD_COND_INITIALIZER;
static struct task *first_task, **last_task = &first_task;
static bool closed;

static void submit(struct task *task)
{
    pthread_mutex_lock(&pool_lock);
    *last_task = task;
    last_task = &task->next;
    pthread_cond_signal(&work_waits);
    pthread_mutex_unlock(&pool_lock);
}

static long result_of(struct task *task)
{
    pthread_mutex_lock(&pool_lock);
    while (!task->done)
        pthread_cond_wait(&work_done, &pool_lock);
    pthread_mutex_unlock(&pool_lock);
    return task->result;
}

static struct task *next_task(void)
{
    while (!first_task && !closed)
        pthread_cond_wait(&work_waits, &pool_lock);
    struct task *task = first_task;
    if (task && !(first_task = task->next))
        last_task = &first_task;
    return task;
}

static void *worker(void *unused)
{
    struct task *task;

    pthread_mutex_lock(&pool_lock);
    while ((task = next_task())) {
        pthread_mutex_unlock(&pool_lock);
        long result = task->run();
        pthread_mutex_lock(&pool_lock);
        task->result = result;
        task->done = true;
        pthread_cond_broadcast(&work_done);
    }
    pthread_mutex_unlock(&pool_lock);
    return unused;
}

static void close_pool(void)
{
    pthread_mutex_lock(&pool_lock);
    closed = true;
    pthread_cond_broadcast(&work_waits);
    pthread_mutex_unlock(&pool_lock);
}

static long count(void)
{
    return 42;
}

static long report(void)
{
    struct task counting = {.run = count};

    puts("report: begun");
    submit(&counting);
    return result_of(&counting); /* who is to run it? */
}

int main(int argc, char **argv)
{
    int n = argc > 1 ? (int)strtol(argv[1], NULL, 10) : 1;
    struct task reporting = {.run = report};
    pthread_t pool[n];

    setvbuf(stdout, NULL, _IOLBF, 0); /* lines come out as they are printed, into a pipe too */
    for (int i = 0; i < n; i++)
        pthread_create(&pool[i], NULL, worker, NULL);
    submit(&reporting);
    printf("report: %ld\n", result_of(&reporting));
    close_pool();
    for (int i = 0; i < n; i++)
        pthread_join(pool[i], NULL);
    return 0;
}
