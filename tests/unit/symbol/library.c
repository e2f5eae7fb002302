/* Fixture of test_symbol: a shared library with a version in its SONAME. */
#include "mark.h"

#include <pthread.h>

pthread_mutex_t library_lock = PTHREAD_MUTEX_INITIALIZER;
static struct {
    int n;
    pthread_rwlock_t lock;
} library_state[2];

__attribute__((noinline)) static void hidden(void)
{
    GLOBAL("libmarks:library.c:library_state[1].lock", "hidden/in_library/main", RWLOCK, &library_state[1].lock);
}

void in_library(void)
{
    library_state[0].n++;
    GLOBAL("libmarks:library_lock", "in_library/main", MUTEX, &library_lock);
    hidden();
    library_state[0].n++;
}
