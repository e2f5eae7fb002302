/* Threads are created only when there are to be several: what is done without the lock when there is one is not done by them.
 * expect: data-race memory=length function=add function=work */
#include <pthread.h>
#include <stdlib.h>

#define MOST 8

static int threads = 1, length;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static void *list[MOST];

static void add(void)
{
#ifdef CLEAN
    if (threads == 1) {
#else
    if (threads == 2) {
#endif
        length++;
        return;
    }
    pthread_mutex_lock(&lock);
    length += 2;
    pthread_mutex_unlock(&lock);
}

static void *work(void *unused)
{
    add();
    return unused;
}

static void *make_list(void)
{
    return malloc(16);
}

static void start(void)
{
    if (threads == 1)
        return;
    for (int i = 0; i < threads; i++) {
        pthread_t thread;
        list[i] = make_list();
        if (pthread_create(&thread, NULL, work, NULL) != 0)
            exit(1);
    }
}

int main(int argc, char **argv)
{
    threads = argc > 1 ? atoi(argv[1]) % MOST : 1;
    start();
    for (;;)
        add();
}
