/* A result is handed over under a condition, and read when the lock is free again.
 * expect: data-race memory=result function=work function=main
 * clean: low */
#include <pthread.h>

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t done_changed = PTHREAD_COND_INITIALIZER;
static int result, done;

static void *work(void *unused)
{
#ifdef CLEAN
    result = 42;
#endif
    pthread_mutex_lock(&lock);
    done = 1;
    pthread_cond_signal(&done_changed);
    pthread_mutex_unlock(&lock);
#ifndef CLEAN
    result = 42;
#endif
    return unused;
}

static void wait_for_it(void)
{
    pthread_mutex_lock(&lock);
    while (!done)
        pthread_cond_wait(&done_changed, &lock);
    pthread_mutex_unlock(&lock);
}

int main(void)
{
    pthread_t thread;
    pthread_create(&thread, NULL, work, NULL);
    wait_for_it();
    int got = result;
    pthread_join(thread, NULL);
    return got != 42;
}
