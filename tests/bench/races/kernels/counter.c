/* One counter under one mutex, from all threads. One element: lock, add one, unlock. */
#include "../bench.h"

#include <pthread.h>

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static long counter;

void prepare(void) {}

void part(long number)
{
    (void)number;
    for (long i = 0; i < times; i++) {
        pthread_mutex_lock(&lock);
        counter++;
        pthread_mutex_unlock(&lock);
    }
}

long check(void)
{
    require(counter == times * threads, "counter");
    return counter;
}
