/* Two orders; a lock around both keeps them apart.
 * expect: lock-order locks=a,b function=first function=second */
#include <pthread.h>
#include <stdlib.h>

static pthread_mutex_t a = PTHREAD_MUTEX_INITIALIZER, b = PTHREAD_MUTEX_INITIALIZER, gate = PTHREAD_MUTEX_INITIALIZER;

static void *first(void *unused)
{
#ifdef CLEAN
    pthread_mutex_lock(&gate);
#endif
    pthread_mutex_lock(&a);
    pthread_mutex_lock(&b);
    pthread_mutex_unlock(&b);
    pthread_mutex_unlock(&a);
#ifdef CLEAN
    pthread_mutex_unlock(&gate);
#endif
    return unused;
}

static void *second(void *unused)
{
#ifdef CLEAN
    pthread_mutex_lock(&gate);
#endif
    pthread_mutex_lock(&b);
    pthread_mutex_lock(&a);
    pthread_mutex_unlock(&a);
    pthread_mutex_unlock(&b);
#ifdef CLEAN
    pthread_mutex_unlock(&gate);
#endif
    return unused;
}

int main(void)
{
    pthread_t one, two;
    pthread_create(&one, NULL, first, NULL);
    pthread_create(&two, NULL, second, NULL);
    pthread_join(one, NULL);
    pthread_join(two, NULL);
    pthread_mutex_lock(&gate);
    pthread_mutex_unlock(&gate);
    return 0;
}
