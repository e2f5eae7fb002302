/* Calls of a small recursive function that counts in memory: what entering and leaving functions costs. */
#include "../bench.h"

struct counts {
    long entered, left;
};
static struct counts *counts[MOST_THREADS];
static long result[MOST_THREADS];

void prepare(void)
{
    for (long t = 0; t < threads; t++) {
        counts[t] = memory(sizeof *counts[t]);
        *counts[t] = (struct counts){0, 0};
    }
}

/* What follows the second call keeps it a call. */
__attribute__((noinline)) static long fibonacci(struct counts *c, long n)
{
    c->entered++;
    long value = n < 2 ? n : fibonacci(c, n - 1) + fibonacci(c, n - 2);
    c->left++;
    return value;
}

void part(long number)
{
    for (long k = 0; k < times; k++)
        result[number] += fibonacci(counts[number], size);
}

long check(void)
{
    long a = 0, b = 1, calls = 0;
    for (long i = 0; i < size; i++) {
        long next = a + b;
        a = b;
        b = next;
    }
    for (long t = 0; t < threads; t++) {
        require(result[t] == a * times && counts[t]->entered == counts[t]->left, "sum of the calls");
        calls += counts[t]->entered;
    }
    require(calls == (2 * b - 1) * times * threads, "number of calls");
    return calls;
}
