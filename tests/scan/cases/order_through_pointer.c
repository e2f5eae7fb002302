/* What a pointer to a function calls.
 * expect: lock-order locks=inner,outer function=finish function=begin */
#include <pthread.h>
#include <stdlib.h>

static pthread_mutex_t outer = PTHREAD_MUTEX_INITIALIZER, inner = PTHREAD_MUTEX_INITIALIZER;

static void finish(void)
{
    pthread_mutex_lock(&outer);
    pthread_mutex_unlock(&outer);
}

static void nothing(void) {}

#ifdef CLEAN
static void (*const at_end)(void) = nothing;
#else
static void (*const at_end)(void) = finish;
#endif

static void *begin(void *unused)
{
    pthread_mutex_lock(&outer);
    pthread_mutex_lock(&inner);
    pthread_mutex_unlock(&inner);
    pthread_mutex_unlock(&outer);
    return unused;
}

static void *end(void *unused)
{
    pthread_mutex_lock(&inner);
    at_end();
    pthread_mutex_unlock(&inner);
    if (!unused)
        nothing();
    return unused;
}

int main(void)
{
    pthread_t one, two;
    pthread_create(&one, NULL, begin, NULL);
    pthread_create(&two, NULL, end, NULL);
    pthread_join(one, NULL);
    pthread_join(two, NULL);
    return 0;
}
