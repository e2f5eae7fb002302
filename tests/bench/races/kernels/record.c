/* A record of several fields under a mutex, updated by all threads. One element: one update. */
#include "../bench.h"

#include <pthread.h>

static struct {
    pthread_mutex_t lock;
    long updates, sum, least, most, by_thread[MOST_THREADS];
    int recent[16];
    short histogram[64];
} record = {.lock = PTHREAD_MUTEX_INITIALIZER, .least = 1000};

void prepare(void) {}

static void update(long number, int value)
{
    pthread_mutex_lock(&record.lock);
    record.recent[record.updates % 16] = value;
    record.updates++;
    record.sum += value;
    if (value < record.least)
        record.least = value;
    if (value > record.most)
        record.most = value;
    record.by_thread[number]++;
    record.histogram[value % 64] ^= 1;
    pthread_mutex_unlock(&record.lock);
}

void part(long number)
{
    for (long i = 0; i < times; i++)
        update(number, (int)(i % 1000));
}

long check(void)
{
    long sum = 0;
    for (long i = 0; i < times; i++)
        sum += i % 1000;
    require(record.updates == times * threads && record.sum == sum * threads, "sum of the updates");
    require(record.least == 0 && record.most == (times < 1000 ? times - 1 : 999), "bounds");
    for (long t = 0; t < threads; t++)
        require(record.by_thread[t] == times, "updates of a thread");
    return record.updates;
}
