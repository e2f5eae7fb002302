/* A ring of one producer and one consumer on C11 acquire and release, no lock. One element: a message of two words. */
#include "../bench.h"

#include <sched.h>
#include <stdatomic.h>

static struct message {
    long number, twice;
} * ring;
static _Alignas(64) atomic_long written;
static _Alignas(64) atomic_long taken;
static long long total;

void prepare(void)
{
    ring = memory(size * (long)sizeof *ring);
}

/* Until `counter` has reached at least `least`. Gives way now and then: the other may not be running. */
static void wait_for(atomic_long *counter, long least)
{
    for (long tries = 1; atomic_load_explicit(counter, memory_order_acquire) < least; tries++)
        if (tries % 128 == 0)
            sched_yield();
}

void part(long number)
{
    long long sum = 0;
    for (long i = 0; i < times; i++) {
        struct message *m = &ring[i % size];
        if (number == 0) {
            wait_for(&taken, i - size + 1);
            *m = (struct message){i, 2 * i};
            atomic_store_explicit(&written, i + 1, memory_order_release);
        } else {
            wait_for(&written, i + 1);
            sum += m->number + m->twice;
            atomic_store_explicit(&taken, i + 1, memory_order_release);
        }
    }
    if (number)
        total = sum;
}

long check(void)
{
    require(total == 3LL * times * (times - 1) / 2, "sum of the messages");
    return times;
}
