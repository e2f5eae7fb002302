/* Work is handed to helpers, and waited for, by an atomic count for each. What is done meanwhile is done at the same time.
 * expect: data-race memory=mode function=hand_over function=help
 * clean: low */
#include <pthread.h>
#include <stdatomic.h>

#define MOST 4

static atomic_ulong pending[MOST];
static int mode, work[MOST];

static unsigned long get(long id)
{
    return atomic_load(&pending[id]);
}

static void set(long id, unsigned long n)
{
    atomic_store(&pending[id], n);
}

static void *help(void *given)
{
    long id = (long)given;
    for (;;) {
        if (get(id) == 0)
            continue;
        if (mode)
            work[id]++;
        set(id, 0);
    }
    return given;
}

static void hand_over(int how)
{
#ifdef CLEAN
    mode = how;
#endif
    for (long i = 0; i < MOST; i++)
        set(i, 1 + (unsigned long)how);
#ifndef CLEAN
    mode = how;
#endif
    for (;;) {
        unsigned long left = 0;
        for (long i = 0; i < MOST; i++)
            left += get(i);
        if (left == 0)
            break;
    }
}

int main(void)
{
    for (long i = 0; i < MOST; i++) {
        pthread_t thread;
        set(i, 0);
        if (pthread_create(&thread, NULL, help, (void *)i) != 0)
            return 1;
    }
    for (int how = 0;; how ^= 1)
        hand_over(how);
}
