/* Destroyed by the thread that holds it.
 * expect: lock-misuse rule=destroy-locked locks=lock function=main */
#include <pthread.h>
#include <stdlib.h>

static pthread_mutex_t lock;

int main(void)
{
    pthread_mutex_init(&lock, NULL);
    pthread_mutex_lock(&lock);
#ifdef CLEAN
    pthread_mutex_unlock(&lock);
#endif
    pthread_mutex_destroy(&lock);
    return 0;
}
