/* The program's mistake becomes a fault inside snarl's own code: it is the program's signal as ever.
 *
 * @case crash_in_our_own_code survive
 * @finding lock-order verdict=possible locks=a,b
 * @case crash_in_our_own_code_without_a_bug survive ordered
 * @clean
 * @case crash_in_our_own_code_not_handled die
 * @clean
 * @exit 139
 */
#include "inversion.h"
#include <setjmp.h>

static pthread_mutex_t in_handler = PTHREAD_MUTEX_INITIALIZER;
static sigjmp_buf back;
static int faults;

static void on_fault(int number)
{
    (void)number;
    pthread_mutex_lock(&in_handler);
    faults++;
    pthread_mutex_unlock(&in_handler);
    siglongjmp(back, 1);
}

static void must_fault(int (*call)(void *), void *where)
{
    if (!sigsetjmp(back, 1)) {
        call(where);
        puts("no fault");
    }
}

static int wait_holding(void *where)
{
    return pthread_cond_wait(where, &a);
}

static int (*const calls[])(void *) = {
    (int (*)(void *))pthread_mutex_lock,
    (int (*)(void *))pthread_mutex_trylock,
    (int (*)(void *))pthread_mutex_unlock,
    (int (*)(void *))pthread_rwlock_rdlock,
    (int (*)(void *))pthread_rwlock_wrlock,
    (int (*)(void *))pthread_rwlock_unlock,
    (int (*)(void *))pthread_spin_lock,
    (int (*)(void *))pthread_spin_unlock,
    (int (*)(void *))sem_wait,
    (int (*)(void *))sem_post,
    (int (*)(void *))pthread_cond_signal,
    (int (*)(void *))pthread_cond_broadcast,
    (int (*)(void *))pthread_barrier_wait,
    wait_holding,
};

static void *same_order(void *arg)
{
    step_wait(1);
    return one(arg);
}

int main(int argc, char **argv)
{
    if (!strcmp(argv[1], "die"))
        return pthread_mutex_lock((pthread_mutex_t *)8);
    struct sigaction sa;
    memset(&sa, 0, sizeof sa);
    sa.sa_handler = on_fault;
    CHECK(!sigaction(SIGSEGV, &sa, NULL) && !sigaction(SIGBUS, &sa, NULL));
    for (int round = 0; round < 3; round++)
        for (size_t i = 0; i < sizeof calls / sizeof *calls; i++) {
            must_fault(calls[i], (void *)8);
            must_fault(calls[i], (void *)0xdead000000000000);
        }
    pthread_t t, u;
    CHECK(!pthread_create(&t, NULL, one, NULL) && !pthread_create(&u, NULL, argc > 2 ? same_order : two, NULL));
    CHECK(!pthread_join(t, NULL) && !pthread_join(u, NULL));
    printf("%d faults\n", faults);
    return 0;
}
