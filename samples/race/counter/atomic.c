/* The shared counter, fixed by an atomic variable: the three steps become one.
 *
 * The section teaches: C11's `_Atomic` types read, add and write as a whole, in the processor, without a lock. For a
 * single counter that is enough, and `memory_order_relaxed` too: nothing else depends on the order of the additions.
 *
 * What to look for: 200,000, each time. snarl has nothing to report: atomic accesses do not race with each other.
 *
 * Usage: atomic [STEPS]    how far each thread counts, 100000 */
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

static long steps = 100000;
static atomic_long counter;

static void *count(void *unused)
{
    for (long i = 0; i < steps; i++)
        atomic_fetch_add_explicit(&counter, 1, memory_order_relaxed);
    return unused;
}

int main(int argc, char **argv)
{
    pthread_t threads[2];

    if (argc > 1)
        steps = strtol(argv[1], NULL, 10);
    pthread_create(&threads[0], NULL, count, NULL);
    pthread_create(&threads[1], NULL, count, NULL);
    pthread_join(threads[0], NULL);
    pthread_join(threads[1], NULL);
    printf("%ld of %ld\n", atomic_load(&counter), 2 * steps);
    return 0;
}
