/* Allocates blocks of BLOCK bytes, writes the first long of each, and frees them: 100 at a time. One element: one block. */
#include "../bench.h"

#include <stdlib.h>

#ifndef BLOCK
#define BLOCK 32
#endif
#define AT_ONCE 100

static long sums[MOST_THREADS];

void prepare(void) {}

void part(long number)
{
    long *block[AT_ONCE], sum = 0;
    for (long k = 0; k < size * times; k += AT_ONCE) {
        for (long i = 0; i < AT_ONCE; i++) {
            block[i] = memory(BLOCK);
            *block[i] = i;
        }
        for (long i = 0; i < AT_ONCE; i++) {
            sum += *block[i];
            free(block[i]);
        }
    }
    sums[number] = sum;
}

long check(void)
{
    long rounds = (size * times + AT_ONCE - 1) / AT_ONCE;
    for (long t = 0; t < threads; t++)
        require(sums[t] == rounds * AT_ONCE * (AT_ONCE - 1) / 2, "sum of the blocks");
    return rounds * AT_ONCE * threads;
}
