/* A lock of the program's own making, told of by annotations.
 * expect: data-race memory=shared function=work */
#include <pthread.h>
#include <snarl/snarl.h>
#include <stdatomic.h>

static atomic_uint next, taken;
static int shared;

static void enter(void)
{
    unsigned mine = atomic_fetch_add(&next, 1);
    while (atomic_load(&taken) != mine)
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
    atomic_fetch_add(&taken, 1);
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
