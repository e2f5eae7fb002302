/* Every object has a lock of its own; a lock of another object does not count.
 * expect: data-race memory=item.value function=change */
#include <pthread.h>
#include <stdlib.h>

struct item {
    pthread_mutex_t lock;
    int value;
    struct item *other;
};

static void change(struct item *item, struct item *locked)
{
    pthread_mutex_lock(&locked->lock);
    item->value++;
    pthread_mutex_unlock(&locked->lock);
}

static void *right(void *arg)
{
    struct item *item = arg;
    change(item, item);
    return NULL;
}

static void *wrong(void *arg)
{
    struct item *item = arg;
#ifdef CLEAN
    change(item, item);
#else
    change(item, item->other);
#endif
    return NULL;
}

static struct item *make(void)
{
    struct item *item = calloc(1, sizeof *item);
    if (item)
        pthread_mutex_init(&item->lock, NULL);
    return item;
}

int main(void)
{
    pthread_t threads[2];
    struct item *one = make(), *two = make();
    if (!one || !two)
        return 1;
    one->other = two;
    two->other = one;
    pthread_create(&threads[0], NULL, right, one);
    pthread_create(&threads[1], NULL, wrong, one);
    pthread_join(threads[0], NULL);
    pthread_join(threads[1], NULL);
    return 0;
}
