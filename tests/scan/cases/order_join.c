/* Two orders; the second thread begins when the first has ended.
 * expect: lock-order locks=a,b function=first function=second */
#include <pthread.h>
#include <stdlib.h>

static pthread_mutex_t a = PTHREAD_MUTEX_INITIALIZER, b = PTHREAD_MUTEX_INITIALIZER, gate = PTHREAD_MUTEX_INITIALIZER;

static void *first(void *unused)
{
    pthread_mutex_lock(&a);
    pthread_mutex_lock(&b);
    pthread_mutex_unlock(&b);
    pthread_mutex_unlock(&a);
    return unused;
}

static void *second(void *unused)
{
    pthread_mutex_lock(&b);
    pthread_mutex_lock(&a);
    pthread_mutex_unlock(&a);
    pthread_mutex_unlock(&b);
    return unused;
}

int main(void)
{
    pthread_t one, two;
    pthread_create(&one, NULL, first, NULL);
#ifdef CLEAN
    pthread_join(one, NULL);
#endif
    pthread_create(&two, NULL, second, NULL);
#ifndef CLEAN
    pthread_join(one, NULL);
#endif
    pthread_join(two, NULL);
    pthread_mutex_lock(&gate);
    pthread_mutex_unlock(&gate);
    return 0;
}
