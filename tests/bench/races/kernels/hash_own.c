/* Inserts numbers into a hash table with open addressing, one table a thread, and clears it between passes. */
#include "../bench.h"

#include <string.h>

static unsigned *table[MOST_THREADS];
static long slots;
static unsigned long found[MOST_THREADS];

void prepare(void)
{
    for (slots = 1; slots < 2 * size; slots *= 2)
        ;
    for (long t = 0; t < threads; t++)
        table[t] = memory(slots * (long)sizeof(unsigned));
}

/* False: it was there. */
static bool insert(unsigned *slot, unsigned key)
{
    unsigned at = key * 2654435769u;
    for (;; at++) {
        unsigned here = slot[at & (unsigned)(slots - 1)];
        if (here == key)
            return false;
        if (!here) {
            slot[at & (unsigned)(slots - 1)] = key;
            return true;
        }
    }
}

void part(long number)
{
    unsigned long inserted = 0;
    for (long k = 0; k < times; k++) {
        unsigned seed = (unsigned)number;
        memset(table[number], 0, (size_t)slots * sizeof(unsigned));
        for (long i = 0; i < size; i++)
            inserted += insert(table[number], random_next(&seed) | 1);
    }
    found[number] = inserted;
}

long check(void)
{
    for (long t = 0; t < threads; t++) {
        unsigned long filled = 0;
        unsigned seed = (unsigned)t;
        for (long i = 0; i < slots; i++)
            filled += table[t][i] != 0;
        require(filled * (unsigned long)times == found[t], "number of keys");
        for (long i = 0; i < size; i++)
            require(!insert(table[t], random_next(&seed) | 1), "lost key");
    }
    return size * times * threads;
}
