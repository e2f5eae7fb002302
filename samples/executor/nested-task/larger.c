/* A pool that waits for itself, fixed by a larger pool: two threads, so that one may wait for the other.
 *
 * The section teaches: the pool has to have one thread more than tasks that can wait at the same time. That holds as
 * long as nobody nests deeper, or submits more reports; not to wait inside a task is the better way (`fixed.c`).
 *
 * What to look for: the second thread counts while the first one waits. snarl has nothing to report.
 *
 * Usage: larger [THREADS]    how many threads the pool has, 2 */
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
    return result_of(&counting); /* the other thread runs it */
}

int main(int argc, char **argv)
{
    int n = argc > 1 ? (int)strtol(argv[1], NULL, 10) : 2;
    struct task reporting = {.run = report};
    pthread_t pool[n];

    for (int i = 0; i < n; i++)
        pthread_create(&pool[i], NULL, worker, NULL);
    submit(&reporting);
    printf("report: %ld\n", result_of(&reporting));
    close_pool();
    for (int i = 0; i < n; i++)
        pthread_join(pool[i], NULL);
    return 0;
}
