/* Counts numbers in one hash table of all threads, its chains guarded by a few mutexes. Nodes come from malloc. */
#include "../bench.h"

#include <pthread.h>

#define STRIPES 64

struct node {
    struct node *next;
    unsigned key;
    long count;
};
static struct node **bucket;
static long buckets;
static pthread_mutex_t stripe[STRIPES];

void prepare(void)
{
    for (buckets = STRIPES; buckets < size; buckets *= 2)
        ;
    bucket = memory(buckets * (long)sizeof *bucket);
    for (long i = 0; i < buckets; i++)
        bucket[i] = 0;
    for (long i = 0; i < STRIPES; i++)
        pthread_mutex_init(&stripe[i], 0);
}

static void count(unsigned key)
{
    unsigned at = key * 2654435769u & (unsigned)(buckets - 1);
    pthread_mutex_lock(&stripe[at % STRIPES]);
    struct node *n = bucket[at];
    while (n && n->key != key)
        n = n->next;
    if (!n) {
        n = memory(sizeof *n);
        *n = (struct node){bucket[at], key, 0};
        bucket[at] = n;
    }
    n->count++;
    pthread_mutex_unlock(&stripe[at % STRIPES]);
}

void part(long number)
{
    for (long k = 0; k < times; k++)
        for (long i = 0; i < size; i++)
            count((unsigned)((i + number * 17) % size) * 7);
}

long check(void)
{
    long keys = 0, all = 0;
    for (long i = 0; i < buckets; i++)
        for (struct node *n = bucket[i]; n; n = n->next, keys++)
            all += n->count;
    require(keys == size && all == size * times * threads, "counts in the table");
    return all;
}
