/* Two locks, taken by one thread after the other; with TANGLED in two orders. That the two do not meet is no order that must be: a
 * semaphore is waited for, whoever posts it. */
#include <pthread.h>
#include <semaphore.h>
#include <snarl/snarl.h>

static pthread_mutex_t a = PTHREAD_MUTEX_INITIALIZER, b = PTHREAD_MUTEX_INITIALIZER;
static sem_t done;

static void *one(void *arg)
{
    pthread_mutex_lock(&a);
    pthread_mutex_lock(&b);
    pthread_mutex_unlock(&b);
    pthread_mutex_unlock(&a);
    sem_post(&done);
    return arg;
}

static void *two(void *arg)
{
#ifdef TANGLED
    pthread_mutex_t *outer = &b, *inner = &a;
#else
    pthread_mutex_t *outer = &a, *inner = &b;
#endif
    sem_wait(&done);
    pthread_mutex_lock(outer);
    pthread_mutex_lock(inner);
    pthread_mutex_unlock(inner);
    pthread_mutex_unlock(outer);
    return arg;
}

int main(void)
{
    pthread_t x, y;
    sem_init(&done, 0, 0);
    snarl_lock_name(&a, "first");
    pthread_create(&x, 0, one, 0);
    pthread_create(&y, 0, two, 0);
    pthread_join(x, 0);
    pthread_join(y, 0);
    return 0;
}
