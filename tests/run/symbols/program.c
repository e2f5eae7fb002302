/* Two locks in both orders, one thread after the other, by functions that are inlined or not. For symbols_test.py, which
 * builds it with and without debug information. */
#include "case.h"

static pthread_mutex_t first = PTHREAD_MUTEX_INITIALIZER, second = PTHREAD_MUTEX_INITIALIZER;

static inline __attribute__((always_inline)) void nest(pthread_mutex_t *outer, pthread_mutex_t *inner)
{
    pthread_mutex_lock(outer);
    pthread_mutex_lock(inner); /* mark: nest */
    pthread_mutex_unlock(inner);
    pthread_mutex_unlock(outer);
}

static __attribute__((noinline)) void forwards(void)
{
    nest(&first, &second); /* mark: forwards */
}

static __attribute__((noinline)) void backwards(void)
{
    nest(&second, &first); /* mark: backwards */
}

static void *early(void *unused)
{
    forwards();
    step_done(1);
    return unused;
}

static void *late(void *unused)
{
    step_wait(1);
    backwards();
    return unused;
}

int main(void)
{
    pthread_t a = start(early, NULL), b = start(late, NULL);
    join(a);
    join(b);
    return 0;
}
