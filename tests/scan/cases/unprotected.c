/* Most places hold the lock, one does not.
 * expect: unprotected memory=total function=look */
#include <pthread.h>
#include <stdlib.h>

static int total;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

static void *work(void *unused)
{
    pthread_mutex_lock(&lock);
    total += 1;
    pthread_mutex_unlock(&lock);
    pthread_mutex_lock(&lock);
    total += 2;
    pthread_mutex_unlock(&lock);
    return unused;
}

static int look(void)
{
#ifdef CLEAN
    pthread_mutex_lock(&lock);
    int now = total;
    pthread_mutex_unlock(&lock);
    return now;
#else
    return total;
#endif
}

int main(void)
{
    pthread_t thread;
    pthread_create(&thread, NULL, work, NULL);
    int now = look();
    pthread_join(thread, NULL);
    return now;
}
