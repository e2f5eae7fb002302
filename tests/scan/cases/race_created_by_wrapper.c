/* Two threads made by one function: which one is joined is known by its handle.
 * expect: data-race memory=shared function=first function=second */
#include <pthread.h>
#include <stdlib.h>

static int shared;

static void *first(void *unused)
{
    shared = 1;
    return unused;
}

static void *second(void *unused)
{
    shared = 2;
    return unused;
}

static void start(pthread_t *handle, void *(*run)(void *))
{
    pthread_create(handle, NULL, run, NULL);
}

int main(void)
{
    pthread_t one, two;
    start(&one, first);
#ifdef CLEAN
    pthread_join(one, NULL);
    start(&two, second);
#else
    start(&two, second);
    pthread_join(one, NULL);
#endif
    pthread_join(two, NULL);
    return shared;
}
