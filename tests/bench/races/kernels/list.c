/* Walks a list whose nodes lie in no order: reads only. -DSHARED: all threads walk the same list. */
#include "../bench.h"

#include <stddef.h>

struct node {
    struct node *next;
    long value, unused[2];
};
static struct node *first[MOST_THREADS];
static long total[MOST_THREADS];

/* A permutation of the nodes, from the first. */
static struct node *made(unsigned seed)
{
    struct node *nodes = memory(size * (long)sizeof *nodes), **order = memory(size * (long)sizeof(struct node *));
    for (long i = 0; i < size; i++)
        order[i] = &nodes[i];
    for (long i = size - 1; i > 0; i--) {
        long k = random_next(&seed) % (unsigned)(i + 1);
        struct node *other = order[i];
        order[i] = order[k];
        order[k] = other;
    }
    for (long i = 0; i < size; i++)
        *order[i] = (struct node){i + 1 < size ? order[i + 1] : NULL, i, {0}};
    return order[0];
}

void prepare(void)
{
    for (long t = 0; t < threads; t++) {
#ifdef SHARED
        first[t] = t ? first[0] : made(1);
#else
        first[t] = made((unsigned)t + 1);
#endif
    }
}

void part(long number)
{
    long sum = 0;
    for (long k = times; k > 0; k--)
        for (const struct node *n = first[number]; n; n = n->next)
            sum += n->value;
    total[number] = sum;
}

long check(void)
{
    for (long t = 0; t < threads; t++)
        require(total[t] == size * (size - 1) / 2 * times, "sum of the list");
    return size * times * threads;
}
