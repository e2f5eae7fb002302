/* Read in one section, written back in the next.
 * expect: atomicity memory=balance function=pay */
#include <pthread.h>
#include <stdlib.h>

static int balance;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

static void *pay(void *unused)
{
    for (int i = 0; i < 100; i++) {
        pthread_mutex_lock(&lock);
        int now = balance;
#ifndef CLEAN
        pthread_mutex_unlock(&lock);
        pthread_mutex_lock(&lock);
#endif
        balance = now + 1;
        pthread_mutex_unlock(&lock);
    }
    return unused;
}

int main(void)
{
    pthread_t threads[2];
    pthread_create(&threads[0], NULL, pay, NULL);
    pthread_create(&threads[1], NULL, pay, NULL);
    pthread_join(threads[0], NULL);
    pthread_join(threads[1], NULL);
    return balance;
}
