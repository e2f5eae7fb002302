/* Threads come and go: each reads what all share, fills a block of its own and leaves it to the main thread, which
 * gives it back. One element: one thread. */
#include "../bench.h"

#include <stdlib.h>

static long *shared, *block[MOST_THREADS];
static long total;

void prepare(void)
{
    shared = memory(size * (long)sizeof *shared);
    for (long i = 0; i < size; i++)
        shared[i] = i;
}

void part(long number)
{
    block[number] = memory(size * (long)sizeof *shared);
    for (long i = 0; i < size; i++)
        block[number][i] = shared[i] + number;
}

void run(void)
{
    for (long k = 0; k < times; k++) {
        in_threads(part);
        for (long t = 0; t < threads; t++) {
            for (long i = 0; i < size; i++)
                total += block[t][i];
            free(block[t]);
        }
    }
}

long check(void)
{
    long expected = size * (size - 1) / 2 * threads + size * threads * (threads - 1) / 2;
    require(total == expected * times, "sum of the blocks");
    return times * threads;
}
