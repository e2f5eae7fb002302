/* Each thread has an element of its own; or all share the first.
 * expect: data-race memory=parts[].sum function=add */
#include <pthread.h>
#include <stdlib.h>

struct part {
    long from, sum;
};
static struct part parts[4];

static void *add(void *arg)
{
    struct part *part = arg;
    for (long i = 0; i < 100; i++)
        part->sum += part->from + i;
    return NULL;
}

int main(void)
{
    pthread_t threads[4];
    for (int i = 0; i < 4; i++)
        parts[i].from = i * 100;
    for (int i = 0; i < 4; i++) {
#ifdef CLEAN
        pthread_create(&threads[i], NULL, add, &parts[i]);
#else
        pthread_create(&threads[i], NULL, add, &parts[3]);
#endif
    }
    for (int i = 0; i < 4; i++)
        pthread_join(threads[i], NULL);
    return (int)parts[0].sum;
}
