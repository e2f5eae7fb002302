/* Two accounts, locked as they come, or the lesser one first.
 * expect: lock-order locks=x.lock,y.lock function=transfer */
#include <pthread.h>
#include <stdlib.h>

struct account {
    pthread_mutex_t lock;
    int number, balance;
};
static struct account x = {PTHREAD_MUTEX_INITIALIZER, 1, 0}, y = {PTHREAD_MUTEX_INITIALIZER, 2, 0};

static void transfer(struct account *from, struct account *to)
{
#ifdef CLEAN
    if (from->number < to->number) {
        pthread_mutex_lock(&from->lock);
        pthread_mutex_lock(&to->lock);
    } else {
        pthread_mutex_lock(&to->lock);
        pthread_mutex_lock(&from->lock);
    }
#else
    pthread_mutex_lock(&from->lock);
    pthread_mutex_lock(&to->lock);
#endif
    from->balance--;
    to->balance++;
    pthread_mutex_unlock(&from->lock);
    pthread_mutex_unlock(&to->lock);
}

static void *there(void *unused)
{
    transfer(&x, &y);
    return unused;
}

int main(void)
{
    pthread_t thread;
    pthread_create(&thread, NULL, there, NULL);
    transfer(&y, &x);
    pthread_join(thread, NULL);
    return 0;
}
