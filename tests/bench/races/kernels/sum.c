/* Sums an array again and again: reads only. -DELEMENT=type; -DSHARED: all threads read the same array. */
#include "../bench.h"

#ifndef ELEMENT
#define ELEMENT long
#endif

static ELEMENT *array[MOST_THREADS];
static long total[MOST_THREADS];

static ELEMENT *filled(void)
{
    ELEMENT *a = memory(size * (long)sizeof *a);
    for (long i = 0; i < size; i++)
        a[i] = (ELEMENT)(i % 1000);
    return a;
}

void prepare(void)
{
    for (long t = 0; t < threads; t++) {
#ifdef SHARED
        array[t] = t ? array[0] : filled();
#else
        array[t] = filled();
#endif
    }
}

void part(long number)
{
    const ELEMENT *a = array[number];
    long sum = 0, n = size;
    for (long k = times; k > 0; k--) {
        for (long i = 0; i < n; i++)
            sum += a[i];
        AGAIN();
    }
    total[number] = sum;
}

long check(void)
{
    long expected = 0;
    for (long i = 0; i < size; i++)
        expected += i % 1000;
    for (long t = 0; t < threads; t++)
        require(total[t] == expected * times, "sum");
    return size * times * threads;
}
