/* Blocks go from one thread to the other and back, by a mutex and a condition: each fills what the other has read. One
 * element: one long written or read. */
#include "../bench.h"

#include <pthread.h>

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;
static long *block;
static bool full;
static long long total;

void prepare(void)
{
    block = memory(size * (long)sizeof *block);
}

static void wait_until(bool state)
{
    pthread_mutex_lock(&lock);
    while (full != state)
        pthread_cond_wait(&changed, &lock);
    pthread_mutex_unlock(&lock);
}

static void set(bool state)
{
    pthread_mutex_lock(&lock);
    full = state;
    pthread_cond_signal(&changed);
    pthread_mutex_unlock(&lock);
}

void part(long number)
{
    for (long k = 0; k < times; k++) {
        wait_until(number);
        for (long i = 0; i < size; i++) {
            if (number)
                total += block[i];
            else
                block[i] = i + k;
        }
        set(!number);
    }
}

long check(void)
{
    long long pass = (long long)size * (size - 1) / 2;
    require(total == pass * times + (long long)times * (times - 1) / 2 * size, "sum of the blocks");
    return 2 * size * times;
}
