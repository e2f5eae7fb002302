/* Fresh memory, written once from end to end by all threads: what each byte of the program's memory costs. One element:
 * one long. */
#include "../bench.h"

static long *block[MOST_THREADS];

void prepare(void) {}

void part(long number)
{
    long n = size, *p = memory(n * (long)sizeof *p);
    for (long k = 0; k < times; k++)
        for (long i = 0; i < n; i++)
            p[i] = i + k + number;
    block[number] = p;
}

long check(void)
{
    for (long t = 0; t < threads; t++)
        for (long i = 0; i < size; i++)
            require(block[t][i] == i + times - 1 + t, "written memory");
    return size * times * threads;
}
