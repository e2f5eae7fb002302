/* What locks are called: where they come from, the same in every run.
 *
 * @case name_global global
 * @finding lock-order locks==*:global_first,=*:global_second
 * @case name_static static
 * @finding lock-order locks==*:names.c:static_first,=*:names.c:static_second
 * @case name_field field
 * @finding lock-order locks=cache.lock,store.inner.lock
 * @case name_array array
 * @finding lock-order locks=shards[2],shards[5]
 * @case name_array_field array_field
 * @finding lock-order locks=rows[1].lock,rows[3].lock
 * @case name_function_static function_static
 * @finding lock-order locks=function_static.first,function_static.second
 * @case name_heap heap
 * @finding lock-order locks==account.lock
 * @case name_heap_two_types two_types
 * @finding lock-order locks==account.lock,=ledger.guard
 * @case name_heap_array heap_array
 * @finding lock-order locks==account[].lock
 *
 * Two types of the same size with a lock each, made in the same function: the pointer's own type tells.
 * @case name_heap_twins ambiguous
 * @finding lock-order locks==twin_a.lock,=twin_b.guard
 * A lone lock on the heap.
 * @case name_heap_lone lone
 * @finding lock-order locks==make_lone#*,=make_lone#*
 * @case name_stack stack
 * @finding lock-order locks==on_stack:local_first,=on_stack:local_second
 * @case name_stack_struct stack_struct
 * @finding lock-order locks==on_stack_struct:box.lock,global_first
 * Behind helpers the lock keeps its own name, and the frames show the way.
 * @case name_wrapped wrapped
 * @finding lock-order locks=cache.lock,global_first side=enter_cache+one side=leave_order+two
 */
#include "case.h"

struct account {
    long balance;
    pthread_mutex_t lock;
};
struct ledger {
    char title[100];
    pthread_mutex_t guard;
};
struct twin_a {
    char a[200];
    pthread_mutex_t lock;
};
struct twin_b {
    char b[200];
    pthread_mutex_t guard;
};
struct inner {
    int n;
    pthread_mutex_t lock;
};

pthread_mutex_t global_first = PTHREAD_MUTEX_INITIALIZER, global_second = PTHREAD_MUTEX_INITIALIZER;
static pthread_mutex_t static_first = PTHREAD_MUTEX_INITIALIZER, static_second = PTHREAD_MUTEX_INITIALIZER;
static struct {
    long hits;
    pthread_mutex_t lock;
} cache = {0, PTHREAD_MUTEX_INITIALIZER};
static struct {
    long n;
    struct inner inner;
} store = {0, {0, PTHREAD_MUTEX_INITIALIZER}};
static pthread_mutex_t shards[8];
static struct account rows[4];
static pthread_mutex_t *p, *q;

static int always = 1;

NOINLINE static void *make_twin(int b)
{
    if (b) {
        struct twin_b *t = malloc(sizeof *t);
        pthread_mutex_init(&t->guard, NULL);
        return &t->guard;
    }
    struct twin_a *t = malloc(sizeof *t);
    pthread_mutex_init(&t->lock, NULL);
    return &t->lock;
}

NOINLINE static void make_lone(void)
{
    p = malloc(sizeof *p);
    if (always)
        pthread_mutex_init(p, NULL);
    q = malloc(sizeof *q);
    if (always)
        pthread_mutex_init(q, NULL);
}

NOINLINE static void enter_cache(void)
{
    lock(&cache.lock);
}
NOINLINE static void leave_order(pthread_mutex_t *m)
{
    lock(m);
}

static int wrapped;

static void *one(void *arg)
{
    if (wrapped)
        enter_cache();
    else
        lock(p);
    lock(q);
    unlock(q);
    unlock(p);
    step_done(1);
    return arg;
}

static void *two(void *arg)
{
    step_wait(1);
    lock(q);
    if (wrapped)
        leave_order(p);
    else
        lock(p);
    unlock(p);
    unlock(q);
    return arg;
}

static void both(void)
{
    pthread_t t1 = start(one, NULL), t2 = start(two, NULL);
    join(t1);
    join(t2);
}

NOINLINE static void on_stack(void)
{
    pthread_mutex_t local_first = PTHREAD_MUTEX_INITIALIZER, local_second;
    pthread_mutex_init(&local_second, NULL);
    p = &local_first;
    q = &local_second;
    both();
    pthread_mutex_destroy(&local_first);
    pthread_mutex_destroy(&local_second);
}

NOINLINE static void on_stack_struct(void)
{
    struct account box;
    pthread_mutex_init(&box.lock, NULL);
    p = &box.lock;
    q = &global_first;
    both();
    pthread_mutex_destroy(&box.lock);
}

static void function_static(void)
{
    static pthread_mutex_t first = PTHREAD_MUTEX_INITIALIZER, second = PTHREAD_MUTEX_INITIALIZER;
    p = &first;
    q = &second;
}

static struct account *make_account(int n)
{
    struct account *a = calloc((size_t)n, sizeof *a);
    for (int i = 0; i < n; i++)
        pthread_mutex_init(&a[i].lock, NULL);
    return a;
}

static pthread_mutex_t *make_ledger(void)
{
    struct ledger *l = malloc(sizeof *l);
    pthread_mutex_init(&l->guard, NULL);
    return &l->guard;
}

static void heap(char **argv)
{
    if (shape_is(argv, "heap"))
        p = &make_account(1)->lock, q = &make_account(1)->lock;
    else if (shape_is(argv, "two_types"))
        p = &make_account(1)->lock, q = make_ledger();
    else if (shape_is(argv, "heap_array")) {
        struct account *many = make_account(10);
        p = &many[3].lock, q = &many[7].lock;
    } else if (shape_is(argv, "ambiguous"))
        p = make_twin(0), q = make_twin(1);
    else if (shape_is(argv, "lone"))
        make_lone();
}

int main(int argc, char **argv)
{
    if (argc < 2)
        return 64;
    if (shape_is(argv, "stack")) {
        on_stack();
        return 0;
    }
    if (shape_is(argv, "stack_struct")) {
        on_stack_struct();
        return 0;
    }
    if (shape_is(argv, "global"))
        p = &global_first, q = &global_second;
    else if (shape_is(argv, "static"))
        p = &static_first, q = &static_second;
    else if (shape_is(argv, "field"))
        p = &cache.lock, q = &store.inner.lock;
    else if (shape_is(argv, "array"))
        p = &shards[2], q = &shards[5];
    else if (shape_is(argv, "array_field"))
        p = &rows[1].lock, q = &rows[3].lock;
    else if (shape_is(argv, "function_static"))
        function_static();
    else if (shape_is(argv, "wrapped")) {
        wrapped = 1;
        p = &cache.lock, q = &global_first;
    } else
        heap(argv);
    both();
    return 0;
}
