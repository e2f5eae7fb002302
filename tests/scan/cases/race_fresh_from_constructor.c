/* A constructor returns memory that nobody else knows, or that it has already shown.
 * expect: unprotected memory=node.value function=fill function=take */
#include <pthread.h>
#include <stdlib.h>

struct node {
    int value;
    struct node *next;
};
static struct node *list;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

static void show(struct node *node)
{
    pthread_mutex_lock(&lock);
    node->next = list;
    list = node;
    pthread_mutex_unlock(&lock);
}

static struct node *make(void)
{
    struct node *node = malloc(sizeof *node);
    if (!node)
        abort();
    node->next = NULL;
#ifndef CLEAN
    show(node);
#endif
    return node;
}

static void fill(struct node *node)
{
    node->value = 1;
}

static void *take(void *unused)
{
    pthread_mutex_lock(&lock);
    if (list && list->value > 0)
        list->value++;
    pthread_mutex_unlock(&lock);
    return unused;
}

int main(void)
{
    pthread_t thread;
    pthread_create(&thread, NULL, take, NULL);
    struct node *node = make();
    fill(node);
#ifdef CLEAN
    show(node);
#endif
    pthread_join(thread, NULL);
    return 0;
}
