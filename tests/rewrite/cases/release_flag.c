/* Data made ready by one thread for another: a flag stored with release and loaded with acquire, which are plain moves.
 * -DBUG: the flag is no atomic. */
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>

#define N 64

#ifdef BUG
static int ready;
#define STORE(v) (ready = (v))
#define LOAD() ready
#else
static atomic_int ready;
#define STORE(v) atomic_store_explicit(&ready, v, memory_order_release)
#define LOAD() atomic_load_explicit(&ready, memory_order_acquire)
#endif
#define COMPILER_KEEPS_ORDER __asm__ volatile("" ::: "memory")
static long data[N];

__attribute__((noinline)) static void make(int turn)
{
    for (int i = 0; i < N; i++)
        data[i] += i * turn;
    COMPILER_KEEPS_ORDER;
    STORE(turn);
}

__attribute__((noinline)) static void await(int turn)
{
    while (LOAD() != turn)
        COMPILER_KEEPS_ORDER;
}

static void *other(void *unused)
{
    for (int turn = 2; turn <= 400; turn += 2) {
        await(turn - 1);
        make(turn);
    }
    return unused;
}

int main(void)
{
    pthread_t t;
    long sum = 0;
    pthread_create(&t, NULL, other, NULL);
    for (int turn = 1; turn < 400; turn += 2) {
        make(turn);
        await(turn + 1);
    }
    pthread_join(t, NULL);
    for (int i = 0; i < N; i++)
        sum += data[i];
    printf("%ld\n", sum);
}
