/* A lock made of locked instructions only, and what it guards. Clean; with -DBUG one thread does not take it. */
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>

static atomic_int lock;
static long guarded;

static void take(void)
{
    while (atomic_exchange(&lock, 1))
        continue;
}
static void give(void)
{
    atomic_exchange(&lock, 0);
}
static void *count(void *careless)
{
    for (int i = 0; i < 5000; i++) {
        if (!careless)
            take();
        guarded++;
        if (!careless)
            give();
    }
    return NULL;
}

int main(void)
{
    pthread_t t[3];
    for (long i = 0; i < 3; i++)
#ifdef BUG
        pthread_create(&t[i], NULL, count, (void *)(long)(i == 2));
#else
        pthread_create(&t[i], NULL, count, NULL);
#endif
    for (int i = 0; i < 3; i++)
        pthread_join(t[i], NULL);
    puts(guarded > 0 ? "done" : "");
}
