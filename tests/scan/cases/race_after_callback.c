/* A function that is given away to be called is not called there: what follows is reached, though it never returns.
 * expect: data-race memory=counter function=count function=main */
#include <pthread.h>
#include <stdlib.h>

void on_failure(void (*f)(int)); /* of a library that nothing is known of */

static int counter;

static void stop(int status)
{
    exit(status);
}

static void *count(void *unused)
{
    counter++;
    return unused;
}

int main(void)
{
    pthread_t thread;
    on_failure(stop);
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
