/* Millions of locks, all alive or coming and going.
 *
 * @case millions_of_locks_come_and_go pass 1000000
 * @clean
 * @seconds 120
 * @repeats 1
 * @case a_million_live_locks live 1000000
 * @clean
 * @seconds 120
 * @repeats 1
 * What is found stays found, however many locks there are.
 * @case a_hundred_thousand_and_a_bug bug 100000
 * @finding lock-order locks=a,b side=one side=two
 * @seconds 120
 * @repeats 1
 * @case many_orders orders 300
 * @clean
 * @seconds 120
 * @repeats 1
 */
#include "case.h"

static pthread_mutex_t a = PTHREAD_MUTEX_INITIALIZER, b = PTHREAD_MUTEX_INITIALIZER;
static pthread_mutex_t *many;
static int n;

static void *one(void *arg)
{
    lock(&a);
    lock(&b);
    unlock(&b);
    unlock(&a);
    for (int i = 0; i < n; i++) {
        lock(&many[i]);
        unlock(&many[i]);
    }
    step_done(1);
    return arg;
}

static void *two(void *arg)
{
    step_wait(1);
    lock(&b);
    lock(&a);
    unlock(&a);
    unlock(&b);
    return arg;
}

/* Each before each later one: n * n / 2 orders. */
static void orders(void)
{
    for (int i = 0; i < n; i++)
        for (int j = i + 1; j < n; j++) {
            lock(&many[i]);
            lock(&many[j]);
            unlock(&many[j]);
            unlock(&many[i]);
        }
}

int main(int argc, char **argv)
{
    if (argc < 3)
        return 64;
    n = atoi(argv[2]);
    if (shape_is(argv, "pass")) {
        for (int i = 0; i < n; i++) {
            pthread_mutex_t *m = malloc(sizeof *m);
            pthread_mutex_init(m, NULL);
            lock(m);
            unlock(m);
            if (i % 2)
                pthread_mutex_destroy(m);
            free(m);
        }
        return 0;
    }
    many = calloc((size_t)n, sizeof *many);
    for (int i = 0; i < n; i++)
        pthread_mutex_init(&many[i], NULL);
    pthread_t t1 = start(one, NULL), t2 = 0;
    if (shape_is(argv, "bug")) {
        t2 = start(two, NULL);
        join(t2);
    }
    if (shape_is(argv, "orders"))
        orders();
    join(t1);
    free(many);
    return 0;
}
