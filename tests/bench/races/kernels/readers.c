/* Threads share out the work: all read one table, each writes its part of the result. */
#include "../bench.h"

#define TABLE 4096

static long *table, *result;

void prepare(void)
{
    table = memory(TABLE * (long)sizeof *table);
    result = memory(size * (long)sizeof *result);
    for (long i = 0; i < TABLE; i++)
        table[i] = i * i;
    for (long i = 0; i < size; i++)
        result[i] = 0;
}

void part(long number)
{
    long begin = size * number / threads, end = size * (number + 1) / threads;
    const long *from = table;
    long *to = result;
    for (long k = 0; k < times; k++)
        for (long i = begin; i < end; i++)
            to[i] += from[(i * 61 + k) % TABLE];
}

long check(void)
{
    for (long i = 0; i < size; i++) {
        long expected = 0;
        for (long k = 0; k < times; k++)
            expected += (i * 61 + k) % TABLE * ((i * 61 + k) % TABLE);
        require(result[i] == expected, "part of a thread");
    }
    return size * times;
}
