/* The result of a wrapper tells whether the lock is held.
 * expect: data-race memory=shared function=work */
#include <pthread.h>
#include <stdlib.h>

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static int shared;

static int enter(void)
{
    return pthread_mutex_trylock(&lock) == 0;
}

static void *work(void *unused)
{
#ifdef CLEAN
    if (enter()) {
#else
    if (!enter()) {
        shared--;
    } else {
#endif
        shared++;
        pthread_mutex_unlock(&lock);
    }
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
