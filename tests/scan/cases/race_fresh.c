/* New memory belongs to its thread until it is put where others look.
 * expect: unprotected memory=node.value function=put function=take */
#include <pthread.h>
#include <stdlib.h>

struct node {
    int value;
    struct node *next;
};
static struct node *list;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

static void *take(void *unused)
{
    pthread_mutex_lock(&lock);
    if (list)
        list->value++;
    pthread_mutex_unlock(&lock);
    return unused;
}

static void put(void)
{
    struct node *node = malloc(sizeof *node);
    if (!node)
        return;
    node->value = 1;
    pthread_mutex_lock(&lock);
    node->next = list;
    list = node;
    pthread_mutex_unlock(&lock);
#ifndef CLEAN
    node->value = 2;
#endif
}

int main(void)
{
    pthread_t thread;
    pthread_create(&thread, NULL, take, NULL);
    put();
    pthread_join(thread, NULL);
    return 0;
}
