/* Phases between barriers: each cell becomes the sum of itself and its neighbours, the threads own stripes. One
 * element: one cell of one phase. */
#include "../bench.h"

#include <pthread.h>
#include <string.h>

static unsigned *grid[2];
static pthread_barrier_t phase;

static void fill(unsigned *cells)
{
    for (long i = 0; i < size + 2; i++)
        cells[i] = i && i <= size ? (unsigned)i : 0;
}

void prepare(void)
{
    for (int i = 0; i < 2; i++) {
        grid[i] = memory((size + 2) * (long)sizeof(unsigned));
        fill(grid[i]);
    }
    pthread_barrier_init(&phase, 0, (unsigned)threads);
}

static void step(const unsigned *old, unsigned *new, long begin, long end)
{
    for (long i = begin + 1; i < end + 1; i++)
        new[i] = old[i - 1] + old[i] * 3 + old[i + 1];
}

void part(long number)
{
    for (long k = 0; k < times; k++) {
        step(grid[k % 2], grid[1 - k % 2], size * number / threads, size * (number + 1) / threads);
        pthread_barrier_wait(&phase);
    }
}

long check(void)
{
    unsigned *mine[2] = {memory((size + 2) * (long)sizeof(unsigned)), memory((size + 2) * (long)sizeof(unsigned))};
    fill(mine[0]);
    fill(mine[1]);
    for (long k = 0; k < times; k++)
        step(mine[k % 2], mine[1 - k % 2], 0, size);
    require(!memcmp(mine[times % 2], grid[times % 2], (size_t)(size + 2) * sizeof(unsigned)), "last phase");
    return size * times;
}
