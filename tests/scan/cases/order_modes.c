/* Two orders of reader-writer locks; readers do not exclude each other.
 * expect: lock-order locks=a,b function=first function=second */
#include <pthread.h>
#include <stdlib.h>

static pthread_rwlock_t a = PTHREAD_RWLOCK_INITIALIZER, b = PTHREAD_RWLOCK_INITIALIZER;

#ifdef CLEAN
#define ASK pthread_rwlock_rdlock
#else
#define ASK pthread_rwlock_wrlock
#endif

static void *first(void *unused)
{
    pthread_rwlock_rdlock(&a);
    ASK(&b);
    pthread_rwlock_unlock(&b);
    pthread_rwlock_unlock(&a);
    return unused;
}

static void *second(void *unused)
{
    pthread_rwlock_rdlock(&b);
    ASK(&a);
    pthread_rwlock_unlock(&a);
    pthread_rwlock_unlock(&b);
    return unused;
}

int main(void)
{
    pthread_t one, two;
    pthread_create(&one, NULL, first, NULL);
    pthread_create(&two, NULL, second, NULL);
    pthread_join(one, NULL);
    pthread_join(two, NULL);
    return 0;
}
