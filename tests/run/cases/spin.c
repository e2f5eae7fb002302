/* Spin locks in opposite order, alone and mixed with a mutex.
 *
 * @case spin_abba spin
 * @finding lock-order locks=s,u side=one side=two
 * @case spin_and_mutex mixed
 * @finding lock-order locks=s,m side=one side=two
 * @case spin_try try
 * @clean
 * @case spin_same_order same
 * @clean
 */
#include "case.h"

static pthread_spinlock_t s, u;
static pthread_mutex_t m = PTHREAD_MUTEX_INITIALIZER;
static const char *shape;

static int is(const char *name)
{
    return !strcmp(shape, name);
}

static void second(int take)
{
    if (is("mixed"))
        take ? lock(&m) : unlock(&m);
    else if (is("try") && take)
        CHECK(!pthread_spin_trylock(&u));
    else
        take ? pthread_spin_lock(&u) : pthread_spin_unlock(&u);
}

static void *one(void *arg)
{
    pthread_spin_lock(&s);
    second(1);
    second(0);
    pthread_spin_unlock(&s);
    step_done(1);
    return arg;
}

static void *two(void *arg)
{
    step_wait(1);
    if (is("same"))
        return one(arg);
    second(1);
    pthread_spin_lock(&s);
    pthread_spin_unlock(&s);
    second(0);
    return arg;
}

int main(int argc, char **argv)
{
    if (argc < 2)
        return 64;
    shape = argv[1];
    pthread_spin_init(&s, PTHREAD_PROCESS_PRIVATE);
    pthread_spin_init(&u, PTHREAD_PROCESS_PRIVATE);
    pthread_t t1 = start(one, NULL), t2 = start(two, NULL);
    join(t1);
    join(t2);
    pthread_spin_destroy(&s);
    pthread_spin_destroy(&u);
    return 0;
}
