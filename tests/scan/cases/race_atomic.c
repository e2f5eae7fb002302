/* Atomic accesses are no race.
 * expect: data-race memory=ready */
#include <pthread.h>
#include <stdlib.h>

#ifdef CLEAN
static _Atomic int ready;
#else
static int ready;
#endif

static void *set(void *unused)
{
    ready = 1;
    return unused;
}

int main(void)
{
    pthread_t thread;
    pthread_create(&thread, NULL, set, NULL);
    while (!ready)
        ;
    pthread_join(thread, NULL);
    return 0;
}
