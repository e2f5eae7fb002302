/* Concurrent or parallel: the same race on one processor and on two.
 *
 * The section teaches: on one processor the tasks take turns (concurrency), on several they run at the same time
 * (parallelism). The programmer sees no difference: between any two steps of a thread, another one may have its turn.
 *
 * What goes wrong: two threads add to one counter without a lock, as in race/counter.
 *
 * What to look for: with two processors the sum is often wrong. With one, a thread is mostly done before its turn is
 * over, and the sum is right, for years perhaps. `snarl run` reports the same data race in both cases: it asks whether
 * anything orders the accesses, not whether they met.
 *
 * Usage: bug [CPUS [STEPS]]    processors to run on, 1 or 2; how far each thread counts, 100000 */
#define _GNU_SOURCE
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>

static long steps = 100000;
static long counter;

static void *count(void *unused)
{
    for (long i = 0; i < steps; i++)
        counter++;
    return unused;
}

/* Keeps this process on `wanted` of its processors, or on as many as there are. Returns how many. */
static int run_on(int wanted)
{
    cpu_set_t all, chosen;
    int n = 0;

    CPU_ZERO(&chosen);
    sched_getaffinity(0, sizeof all, &all);
    for (int cpu = 0; cpu < CPU_SETSIZE && n < wanted; cpu++)
        if (CPU_ISSET(cpu, &all)) {
            CPU_SET(cpu, &chosen);
            n++;
        }
    sched_setaffinity(0, sizeof chosen, &chosen);
    return n;
}

int main(int argc, char **argv)
{
    pthread_t threads[2];
    int cpus = run_on(argc > 1 ? (int)strtol(argv[1], NULL, 10) : 2);

    if (argc > 2)
        steps = strtol(argv[2], NULL, 10);
    pthread_create(&threads[0], NULL, count, NULL);
    pthread_create(&threads[1], NULL, count, NULL);
    pthread_join(threads[0], NULL);
    pthread_join(threads[1], NULL);
    printf("on %d processor%s: %ld of %ld\n", cpus, cpus == 1 ? "" : "s", counter, 2 * steps);
    return 0;
}
