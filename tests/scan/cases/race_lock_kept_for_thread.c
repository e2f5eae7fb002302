/* A thread that runs while its creator keeps the lock for it is alone; not when the creator gives it back before the join.
 * expect: data-race memory=shared function=helper function=other */
#include <pthread.h>

static int shared;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

static void *other(void *unused)
{
    pthread_mutex_lock(&lock);
    shared++;
    pthread_mutex_unlock(&lock);
    return unused;
}

static void *helper(void *unused)
{
    shared++;
    return unused;
}

int main(void)
{
    pthread_t one, two;
    pthread_create(&one, NULL, other, NULL);
    pthread_mutex_lock(&lock);
    pthread_create(&two, NULL, helper, NULL);
#ifdef CLEAN
    pthread_join(two, NULL);
    pthread_mutex_unlock(&lock);
#else
    pthread_mutex_unlock(&lock);
    pthread_join(two, NULL);
#endif
    pthread_join(one, NULL);
    return 0;
}
