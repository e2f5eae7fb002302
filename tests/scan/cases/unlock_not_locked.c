/* Locked under one condition, unlocked under another, or the same.
 * expect: lock-misuse rule=unlock-not-locked locks=lock function=work */
#include <pthread.h>
#include <stdlib.h>

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static int shared;

static void *work(void *arg)
{
    int locked = arg == NULL;
    if (locked)
        pthread_mutex_lock(&lock);
    if (locked)
        shared++;
#ifdef CLEAN
    if (locked)
#endif
        pthread_mutex_unlock(&lock);
    return arg;
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
