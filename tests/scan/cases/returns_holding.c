/* An early return keeps the lock; a function that tells by its result that it has the lock does not.
 * expect: lock-misuse rule=returns-holding locks=lock function=put */
#include <pthread.h>
#include <stdlib.h>

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static int room = 10;

#ifdef CLEAN
static int begin(void)
{
    pthread_mutex_lock(&lock);
    if (room > 0)
        return 1;
    pthread_mutex_unlock(&lock);
    return 0;
}
#endif

static int put(int n)
{
#ifdef CLEAN
    if (!begin())
        return -1;
#else
    pthread_mutex_lock(&lock);
    if (room < n)
        return -1;
#endif
    room -= n;
    pthread_mutex_unlock(&lock);
    return 0;
}

static void *work(void *unused)
{
    put(2);
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
