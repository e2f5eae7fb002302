/* Hand over hand through a linked list, releasing in another order than taking.
 *
 * @case hand_over_hand forward forward
 * @clean
 * @case hand_over_hand_opposite forward backward
 * @finding lock-order locks=node.lock side=walk_forward side=walk_backward min=1 max=99
 * @no-ids
 *
 * Locks are given back in the order they were taken.
 * @case non_lifo_unlock fifo fifo
 * @clean
 * a is given back while b is held: what is taken then comes behind b only.
 * @case non_lifo_order non_lifo back_non_lifo
 * @finding lock-order locks=c,b side=non_lifo side=c_then_b
 * @case non_lifo_no_order non_lifo c_then_a
 * @clean
 */
#include "case.h"

struct node {
    int value;
    pthread_mutex_t lock;
    struct node *next, *prev;
};

#define NODES 50
static struct node *head, *tail;
static pthread_mutex_t a = PTHREAD_MUTEX_INITIALIZER, b = PTHREAD_MUTEX_INITIALIZER, c = PTHREAD_MUTEX_INITIALIZER;

static void build(void)
{
    for (int i = 0; i < NODES; i++) {
        struct node *n = calloc(1, sizeof *n);
        pthread_mutex_init(&n->lock, NULL);
        n->value = i;
        n->prev = tail;
        if (tail)
            tail->next = n;
        else
            head = n;
        tail = n;
    }
}

NOINLINE static void walk_forward(void)
{
    struct node *n = head;
    lock(&n->lock);
    while (n->next) {
        struct node *next = n->next;
        lock(&next->lock);
        unlock(&n->lock);
        n = next;
    }
    unlock(&n->lock);
}

NOINLINE static void walk_backward(void)
{
    struct node *n = tail;
    lock(&n->lock);
    while (n->prev) {
        struct node *prev = n->prev;
        lock(&prev->lock);
        unlock(&n->lock);
        n = prev;
    }
    unlock(&n->lock);
}

NOINLINE static void fifo(void)
{
    for (int i = 0; i < 100; i++) {
        lock(&a), lock(&b), lock(&c);
        unlock(&a), unlock(&b), unlock(&c);
    }
}

NOINLINE static void non_lifo(void)
{
    lock(&a);
    lock(&b);
    unlock(&a);
    lock(&c);
    unlock(&b);
    unlock(&c);
}

NOINLINE static void c_then_b(void)
{
    lock(&c), lock(&b);
    unlock(&b), unlock(&c);
}

NOINLINE static void c_then_a(void)
{
    lock(&c), lock(&a);
    unlock(&a), unlock(&c);
}

static void walk(const char *how)
{
    if (!strcmp(how, "forward"))
        walk_forward();
    else if (!strcmp(how, "backward"))
        walk_backward();
    else if (!strcmp(how, "fifo"))
        fifo();
    else if (!strcmp(how, "non_lifo"))
        non_lifo();
    else if (!strcmp(how, "c_then_a"))
        c_then_a();
    else
        c_then_b();
}

static void *one(void *how)
{
    walk(how);
    step_done(1);
    return NULL;
}

static void *two(void *how)
{
    step_wait(1);
    walk(how);
    return NULL;
}

int main(int argc, char **argv)
{
    if (argc < 3)
        return 64;
    build();
    pthread_t t1 = start(one, argv[1]), t2 = start(two, argv[2]);
    join(t1);
    join(t2);
    for (struct node *n = head, *next; n; n = next) {
        next = n->next;
        pthread_mutex_destroy(&n->lock);
        free(n);
    }
    return 0;
}
