/* A lock of the program's own making, told of by annotations.
 * expect: data-race memory=shared function=work */
#include <pthread.h>
#include <snarl/snarl.h>
#include <stdatomic.h>

static atomic_int taken;
static int shared;

static void enter(void)
{
    while (atomic_exchange(&taken, 1))
        ;
#ifdef CLEAN
    snarl_lock_acquired(&taken, SNARL_EXCLUSIVE);
#endif
}

static void leave(void)
{
#ifdef CLEAN
    snarl_lock_released(&taken);
#endif
    atomic_store(&taken, 0);
}

static void *work(void *unused)
{
    enter();
    shared++;
    leave();
    return unused;
}

int main(void)
{
    pthread_t one, two;
    pthread_create(&one, NULL, work, NULL);
    pthread_create(&two, NULL, work, NULL);
    pthread_join(one, NULL);
    pthread_join(two, NULL);
    return 0;
}
