/* Initialisation that runs once holds everybody else: taking a lock inside it, and asking for it with that lock held,
 * is an inversion.
 *
 * @case once_and_mutex once
 * @finding lock-order locks=o,m side=one side=two
 * @case once_alone alone
 * @clean
 * @case once_nested nested
 * @clean
 * Everybody asks for it without holding anything that it takes.
 * @case once_mutex_inside inside
 * @clean
 * @case once_cancelled cancelled
 * @clean
 */
#include "case.h"

static pthread_once_t o = PTHREAD_ONCE_INIT, p = PTHREAD_ONCE_INIT;
static pthread_mutex_t m = PTHREAD_MUTEX_INITIALIZER;
static const char *shape;
static int begun;

static int is(const char *name)
{
    return !strcmp(shape, name);
}

static void inner(void) {}

static void init(void)
{
    if (is("alone"))
        return;
    if (is("nested"))
        pthread_once(&p, inner);
    else if (is("cancelled") && !begun++) {
        step_done(5);
        for (;;)
            sleep(1000);
    } else {
        lock(&m);
        unlock(&m);
    }
}

static void *one(void *arg)
{
    pthread_once(&o, init);
    step_done(1);
    return arg;
}

static void *two(void *arg)
{
    step_wait(1);
    if (is("once") || is("alone"))
        lock(&m);
    pthread_once(&o, init);
    if (is("once") || is("alone"))
        unlock(&m);
    return arg;
}

int main(int argc, char **argv)
{
    if (argc < 2)
        return 64;
    shape = argv[1];
    pthread_t t1 = start(one, NULL);
    if (is("cancelled")) {
        step_wait(5);
        pthread_cancel(t1);
        join(t1);
        t1 = start(one, NULL);
    }
    pthread_t t2 = start(two, NULL);
    join(t1);
    join(t2);
    return 0;
}
