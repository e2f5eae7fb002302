/* A lock made of an atomic instruction.
 * expect: data-race memory=counter function=work */
#include <pthread.h>

static volatile unsigned long lock;
static int counter;

static void spin_lock(volatile unsigned long *l, unsigned long value)
{
    for (;;) {
        if (*l == 0 && __sync_bool_compare_and_swap(l, 0, value))
            return;
        for (int i = 0; i < 100; i++)
            if (*l == 0 && __sync_bool_compare_and_swap(l, 0, value))
                return;
    }
}

#define spin_unlock(l) (*(l) = 0)

static void *work(void *unused)
{
#ifdef CLEAN
    spin_lock(&lock, 1);
#endif
    counter++;
#ifndef CLEAN
    spin_lock(&lock, 1);
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
