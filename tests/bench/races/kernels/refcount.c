/* Takes and gives references to shared objects as shared_ptr does it: relaxed up, released and acquired down; looks at the
 * object in between. One element: one reference. */
#include "../bench.h"

#include <stdatomic.h>
#include <stdlib.h>

struct object {
    _Atomic long references;
    long value;
};

static struct object *objects;
static long sums[MOST_THREADS];

void prepare(void)
{
    objects = memory(size * (long)sizeof *objects);
    for (long i = 0; i < size; i++) {
        atomic_store(&objects[i].references, 1);
        objects[i].value = i;
    }
}

void part(long number)
{
    long sum = 0;
    for (long k = 0; k < times; k++)
        for (long i = 0; i < size; i++) {
            struct object *o = &objects[(i + number * size / threads) % size];
            atomic_fetch_add_explicit(&o->references, 1, memory_order_relaxed);
            sum += o->value;
            if (atomic_fetch_sub_explicit(&o->references, 1, memory_order_acq_rel) == 1)
                abort();
        }
    sums[number] = sum;
}

long check(void)
{
    for (long t = 0; t < threads; t++)
        require(sums[t] == size * (size - 1) / 2 * times, "sum of the objects");
    return size * times * threads;
}
