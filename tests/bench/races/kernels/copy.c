/* Copies pieces of 16 to 4,096 bytes between two buffers of a thread. One element: one copied kilobyte. */
#include "../bench.h"

#include <string.h>

static char *from[MOST_THREADS], *to[MOST_THREADS];
static long copied[MOST_THREADS];

void prepare(void)
{
    for (long t = 0; t < threads; t++) {
        from[t] = memory(size);
        to[t] = memory(size);
        for (long i = 0; i < size; i++) {
            from[t][i] = (char)(i * 31 + t);
            to[t][i] = 0;
        }
    }
}

void part(long number)
{
    long bytes = 0;
    for (long k = 0; k < times; k++) {
        unsigned seed = (unsigned)k;
        for (long at = 0, piece; at < size; at += piece) {
            piece = 16L << random_next(&seed) % 9;
            if (piece > size - at)
                piece = size - at;
            memcpy(to[number] + at, from[number] + at, (size_t)piece);
            bytes += piece;
        }
        AGAIN();
    }
    copied[number] = bytes;
}

long check(void)
{
    for (long t = 0; t < threads; t++)
        require(copied[t] == size * times && !memcmp(from[t], to[t], (size_t)size), "copy");
    return size * times * threads / 1024;
}
