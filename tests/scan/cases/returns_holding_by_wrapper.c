/* A function that takes and gives back a lock by functions of its own keeps it when memory is short.
 * expect: lock-misuse rule=returns-holding locks=queue_lock function=put */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

static pthread_mutex_t queue_lock = PTHREAD_MUTEX_INITIALIZER;
static void *queue[8];
static int length;

static void lock(pthread_mutex_t *mutex)
{
    if (pthread_mutex_lock(mutex) != 0)
        abort();
}

static void unlock(pthread_mutex_t *mutex)
{
    if (pthread_mutex_unlock(mutex) != 0)
        abort();
}

static int put(void)
{
    lock(&queue_lock);
    void *item = malloc(100);
    if (!item) {
#ifdef CLEAN
        unlock(&queue_lock);
#endif
        return -1;
    }
    queue[length++ % 8] = item;
    unlock(&queue_lock);
    return 0;
}

static void *work(void *unused)
{
    if (put() != 0)
        puts("full");
    return unused;
}

int main(void)
{
    pthread_t thread;
    pthread_create(&thread, NULL, work, NULL);
    work(NULL);
    pthread_join(thread, NULL);
    return 0;
}
