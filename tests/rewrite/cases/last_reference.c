/* Whoever gives back the last reference reads what all have written: ordered by lock xadd alone. With -DBUG the count is
 * read before it is given back. */
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>

#define THREADS 4
static atomic_int references;
static long part[THREADS], sum;

static void add_all(void)
{
    for (int i = 0; i < THREADS; i++)
        sum += part[i];
}
static void *work(void *arg)
{
    long me = (long)arg;
    for (int i = 0; i < 1000; i++)
        part[me] += i;
#ifdef BUG
    if (me == 0)
        sum += part[1];
#endif
    if (atomic_fetch_sub(&references, 1) == 1)
        add_all();
    return NULL;
}

int main(void)
{
    pthread_t t[THREADS];
    references = THREADS;
    for (long i = 0; i < THREADS; i++)
        pthread_create(&t[i], NULL, work, (void *)i);
    for (int i = 0; i < THREADS; i++)
        pthread_join(t[i], NULL);
    printf("%d\n", sum > 0);
}
