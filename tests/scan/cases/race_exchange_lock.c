/* A lock made of an atomic exchange.
 * expect: data-race memory=counter function=work */
#include <pthread.h>
#include <stdatomic.h>

static atomic_flag lock = ATOMIC_FLAG_INIT;
static int counter;

static void spin_lock(atomic_flag *l)
{
    while (atomic_flag_test_and_set(l))
        ;
}

static void spin_unlock(atomic_flag *l)
{
    atomic_flag_clear(l);
}

static void *work(void *unused)
{
#ifdef CLEAN
    spin_lock(&lock);
#endif
    counter++;
#ifndef CLEAN
    spin_lock(&lock);
#endif
    spin_unlock(&lock);
    return unused;
}

int main(void)
{
    pthread_t thread[2];
    for (int i = 0; i < 2; i++)
        pthread_create(&thread[i], 0, work, 0);
    for (int i = 0; i < 2; i++)
        pthread_join(thread[i], 0);
    return 0;
}
