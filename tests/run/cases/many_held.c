/* Many locks held at once: no peer's limit of 64.
 *
 * @case held_65 65 clean
 * @clean
 * @case held_70_abba 70 abba
 * @finding lock-order locks=a,b side=one side=two
 * @case held_1000_abba 1000 abba
 * @finding lock-order locks=a,b side=one side=two
 * @case held_10000 10000 clean
 * @clean
 * @seconds 120
 * @case held_10000_abba 10000 abba
 * @finding lock-order locks=a,b side=one side=two
 * @seconds 120
 *
 * Both hold the same thousand first: that is a gate.
 * @case held_1000_gate 1000 gate
 * @clean
 *
 * The cycle closes between the outermost and the innermost of many.
 * @case held_1000_far 1000 far
 * @finding lock-order locks=many[0],a side=one side=two
 */
#include "case.h"

static pthread_mutex_t a = PTHREAD_MUTEX_INITIALIZER, b = PTHREAD_MUTEX_INITIALIZER;
static pthread_mutex_t many[10000], others[10000];
static int n;
static const char *shape;

static int is(const char *name)
{
    return !strcmp(shape, name);
}

static void take_all(pthread_mutex_t *m)
{
    for (int i = 0; i < n; i++)
        lock(&m[i]);
}

static void give_all(pthread_mutex_t *m)
{
    for (int i = n - 1; i >= 0; i--)
        unlock(&m[i]);
}

static void *one(void *arg)
{
    take_all(many);
    lock(&a);
    lock(&b);
    unlock(&b);
    unlock(&a);
    give_all(many);
    step_done(1);
    return arg;
}

static void *two(void *arg)
{
    step_wait(1);
    if (is("far")) {
        lock(&a);
        lock(&many[0]);
        unlock(&many[0]);
        unlock(&a);
        return arg;
    }
    pthread_mutex_t *m = is("gate") || is("clean") ? many : others;
    take_all(m);
    lock(is("clean") ? &a : &b);
    lock(is("clean") ? &b : &a);
    unlock(&a);
    unlock(&b);
    give_all(m);
    return arg;
}

int main(int argc, char **argv)
{
    if (argc < 3)
        return 64;
    n = atoi(argv[1]);
    shape = argv[2];
    for (int i = 0; i < n; i++) {
        pthread_mutex_init(&many[i], NULL);
        pthread_mutex_init(&others[i], NULL);
    }
    pthread_t t1 = start(one, NULL), t2 = start(two, NULL);
    join(t1);
    join(t2);
    return 0;
}
