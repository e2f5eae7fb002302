/* Asks whether a shared flag has been set, and once in a while publishes a new one: mostly acquire loads and relaxed
 * counts. One element: one look. */
#include "../bench.h"

#include <stdatomic.h>

static _Atomic(long *) published;
static _Atomic long looks;
static long values[64];
static long sums[MOST_THREADS];

void prepare(void)
{
    for (long i = 0; i < 64; i++)
        values[i] = 1;
    atomic_store(&published, values);
}

void part(long number)
{
    long sum = 0;
    for (long i = 0; i < size * times; i++) {
        sum += *atomic_load_explicit(&published, memory_order_acquire);
        atomic_fetch_add_explicit(&looks, 1, memory_order_relaxed);
        if (i % 1000 == 0)
            atomic_store_explicit(&published, &values[i / 1000 % 64], memory_order_release);
    }
    sums[number] = sum;
}

long check(void)
{
    long sum = 0;
    for (long t = 0; t < threads; t++)
        sum += sums[t];
    require(sum == size * times * threads && atomic_load(&looks) == sum, "number of looks");
    return sum;
}
