/* A condition is waited for with its mutex held.
 * expect: lock-misuse rule=wait-without-lock locks=lock function=work */
#include <pthread.h>
#include <stdlib.h>

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t ready = PTHREAD_COND_INITIALIZER;

static void *work(void *unused)
{
#ifdef CLEAN
    pthread_mutex_lock(&lock);
#endif
    pthread_cond_wait(&ready, &lock);
#ifdef CLEAN
    pthread_mutex_unlock(&lock);
#endif
    return unused;
}

int main(void)
{
    pthread_t one, two;
    pthread_create(&one, NULL, work, NULL);
    pthread_create(&two, NULL, work, NULL);
    pthread_join(one, NULL);
    pthread_join(two, NULL);
    return 0;
}
