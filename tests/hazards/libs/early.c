/* A library whose constructor and destructor take locks: it is initialised before the program's own code. */
#define _GNU_SOURCE
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

static pthread_mutex_t own = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t cond = PTHREAD_COND_INITIALIZER;
static int calls;

static void use(void)
{
    pthread_mutex_lock(&own);
    pthread_cond_broadcast(&cond);
    flockfile(stdout);
    funlockfile(stdout);
    free(calloc(3, 5));
    calls++;
    pthread_mutex_unlock(&own);
}

__attribute__((constructor)) static void early_begin(void)
{
    use();
}

__attribute__((destructor)) static void early_end(void)
{
    use();
}

int early_calls(void);
int early_calls(void)
{
    return calls;
}
