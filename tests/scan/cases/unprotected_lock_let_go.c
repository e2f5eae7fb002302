/* A function that lets the caller's lock go for a while, on some ways.
 * expect: unprotected memory=count function=work */
#include <pthread.h>
#include <stdlib.h>

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static int count;

static void crawl(int steps)
{
    while (steps-- > 0)
        if (steps % 10 == 0) {
            pthread_mutex_unlock(&lock);
#ifndef CLEAN
            count += rand() % 2;
#endif
            pthread_mutex_lock(&lock);
        }
}

static void *work(void *unused)
{
    pthread_mutex_lock(&lock);
    crawl(rand());
    count++;
    count *= 3;
    pthread_mutex_unlock(&lock);
    return unused;
}

int main(void)
{
    pthread_t thread[2];
    for (int i = 0; i < 2; i++)
        pthread_create(&thread[i], NULL, work, NULL);
    for (int i = 0; i < 2; i++)
        pthread_join(thread[i], NULL);
    return 0;
}
