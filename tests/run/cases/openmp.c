/* OpenMP's locks and critical sections.
 *
 * @needs openmp
 *
 * @case openmp_locks locks
 * @finding lock-order locks=a,b side=one side=two
 * @case openmp_nest_locks nest
 * @finding lock-order locks=na,nb side=one side=two
 * @case openmp_critical critical
 * @finding lock-order locks=*,a side=one side=two
 * @case openmp_named_critical named
 * @finding lock-order locks=*,a side=one side=two
 * @case openmp_test_lock test
 * @clean
 * @case openmp_same_order same
 * @clean
 * @case openmp_loop loop
 * @clean
 */
#include "case.h"
#include <omp.h>

static omp_lock_t a, b;
static omp_nest_lock_t na, nb;
static const char *shape;

static int is(const char *name)
{
    return !strcmp(shape, name);
}

static void nested_locks(omp_lock_t *first, omp_lock_t *second)
{
    omp_set_lock(first);
    if (is("test"))
        CHECK(omp_test_lock(second));
    else
        omp_set_lock(second);
    omp_unset_lock(second);
    omp_unset_lock(first);
}

static void nested_nest(omp_nest_lock_t *first, omp_nest_lock_t *second)
{
    omp_set_nest_lock(first);
    omp_set_nest_lock(first);
    omp_set_nest_lock(second);
    omp_unset_nest_lock(second);
    omp_unset_nest_lock(first);
    omp_unset_nest_lock(first);
}

static void critical_then_a(void)
{
    if (is("named")) {
#pragma omp critical(section)
        {
            omp_set_lock(&a);
            omp_unset_lock(&a);
        }
    } else {
#pragma omp critical
        {
            omp_set_lock(&a);
            omp_unset_lock(&a);
        }
    }
}

static void a_then_critical(void)
{
    omp_set_lock(&a);
    if (is("named")) {
#pragma omp critical(section)
        {
            step_done(9);
        }
    } else {
#pragma omp critical
        {
            step_done(9);
        }
    }
    omp_unset_lock(&a);
}

NOINLINE static void one(void)
{
    if (is("nest"))
        nested_nest(&na, &nb);
    else if (is("critical") || is("named"))
        critical_then_a();
    else
        nested_locks(&a, &b);
}

NOINLINE static void two(void)
{
    if (is("nest"))
        nested_nest(&nb, &na);
    else if (is("critical") || is("named"))
        a_then_critical();
    else if (is("same"))
        nested_locks(&a, &b);
    else
        nested_locks(&b, &a);
}

int main(int argc, char **argv)
{
    if (argc < 2)
        return 64;
    shape = argv[1];
    omp_init_lock(&a), omp_init_lock(&b);
    omp_init_nest_lock(&na), omp_init_nest_lock(&nb);
    if (is("loop")) {
        long sum = 0, kept = 0;
#pragma omp parallel for reduction(+ : sum) num_threads(4)
        for (int i = 0; i < 1000; i++) {
            sum += i;
#pragma omp critical
            kept++;
        }
        CHECK(sum == 499500 && kept == 1000);
    } else {
#pragma omp parallel num_threads(2)
        {
            if (omp_get_thread_num()) {
                one();
                step_done(1);
            } else {
                step_wait(1);
                two();
            }
        }
    }
    omp_destroy_lock(&a), omp_destroy_lock(&b);
    omp_destroy_nest_lock(&na), omp_destroy_nest_lock(&nb);
    return 0;
}
