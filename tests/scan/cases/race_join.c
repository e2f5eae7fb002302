/* A join orders two threads.
 * expect: data-race memory=counter function=count function=main */
#include <pthread.h>
#include <stdlib.h>

static int counter;

static void *count(void *unused)
{
    counter++;
    return unused;
}

int main(void)
{
    pthread_t thread;
    pthread_create(&thread, NULL, count, NULL);
#ifdef CLEAN
    pthread_join(thread, NULL);
    counter++;
#else
    counter++;
    pthread_join(thread, NULL);
#endif
    return 0;
}
