/* Two locks that lived at the same address one after the other are two locks: their orders do not add up to a cycle.
 *
 * The first lock is taken before b; then another lock stands at its address, and b is taken before that one.
 * @case reused_destroy_init destroy_init
 * @clean
 * @case reused_init_again init_again
 * @clean
 * @case reused_free_malloc free_malloc
 * @clean
 * @case reused_realloc realloc
 * @clean
 * @case reused_munmap_mmap munmap_mmap
 * @clean
 * @case reused_mmap_fixed mmap_fixed
 * @clean
 * @case reused_stack_frame_init stack_init
 * @clean
 * A frame was left and another one entered, and no call tells of it: without seeing memory accesses that can be
 * suspected at most.
 * @case reused_stack_frame_static stack_static
 * @finding lock-order locks=*local,b verdict=possible counts=no min=0 max=1
 * @case reused_thread_stack thread_stack
 * @clean
 *
 * The nearest bug: the memory is the same because the lock is the same.
 * @case same_heap_lock same_heap
 * @finding lock-order locks=box.m,b side=first_life side=second_life
 */
#include "case.h"

struct box {
    long filler[40];
    pthread_mutex_t m;
    long more[40];
};

static pthread_mutex_t b = PTHREAD_MUTEX_INITIALIZER;
static pthread_mutex_t *x; /* the lock of this life */
static void *address;      /* where the first one stood */
static const char *shape;

static int is(const char *name)
{
    return !strcmp(shape, name);
}

static void *first_life(void *arg)
{
    lock(x);
    lock(&b);
    unlock(&b);
    unlock(x);
    step_done(1);
    return arg;
}

static void *second_life(void *arg)
{
    step_wait(2);
    lock(&b);
    lock(x);
    unlock(x);
    unlock(&b);
    step_done(3);
    return arg;
}

static void same_place(void *now)
{
    if (address && address != now) {
        dprintf(2, "the address was not reused: %p, %p\n", address, now);
        _exit(77);
    }
    address = now;
}

/* Both threads are there from the start, so that joining them orders nothing. */
static void lives(void (*begin)(int life), void (*end)(int life))
{
    pthread_t t2 = start(second_life, NULL);
    begin(1);
    same_place(x);
    pthread_t t1 = start(first_life, NULL);
    step_wait(1);
    end(1);
    begin(2);
    same_place(x);
    step_done(2);
    step_wait(3);
    end(2);
    join(t1);
    join(t2);
}

static pthread_mutex_t global;

static void init_global(int life)
{
    (void)life;
    x = &global;
    pthread_mutex_init(x, NULL);
}
static void destroy_global(int life)
{
    (void)life;
    if (is("destroy_init"))
        pthread_mutex_destroy(x);
}

static struct box *boxed;

static void make_box(int life)
{
    (void)life;
    boxed = malloc(sizeof *boxed);
    boxed->m = (pthread_mutex_t)PTHREAD_MUTEX_INITIALIZER; /* no call tells of it */
    x = &boxed->m;
}
static void free_box(int life)
{
    (void)life;
    free(boxed);
}

static void make_mapping(int life)
{
    void *at = life == 1 ? NULL : (char *)address - offsetof(struct box, m);
    int fixed = is("mmap_fixed") && life == 2 ? MAP_FIXED : 0;
    void *p = mmap(at, 65536, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | fixed, -1, 0);
    CHECK(p != MAP_FAILED);
    x = &((struct box *)p)->m;
}
static void end_mapping(int life)
{
    if (is("munmap_mmap") || life == 2)
        munmap((char *)x - offsetof(struct box, m), 65536);
}

NOINLINE static void frame_one(void)
{
    pthread_mutex_t local = PTHREAD_MUTEX_INITIALIZER;
    if (is("stack_init"))
        pthread_mutex_init(&local, NULL);
    x = &local;
    same_place(x);
    pthread_t t1 = start(first_life, NULL);
    step_wait(1);
    join(t1);
}
NOINLINE static void frame_two(void)
{
    pthread_mutex_t local = PTHREAD_MUTEX_INITIALIZER;
    if (is("stack_init"))
        pthread_mutex_init(&local, NULL);
    x = &local;
    same_place(x);
    step_done(2);
    step_wait(3);
}
/* Growing moves the block; a later one takes its old place. */
static void grown(void)
{
    pthread_t t2 = start(second_life, NULL);
    make_box(1);
    void *wall = malloc(64);
    same_place(x);
    pthread_t t1 = start(first_life, NULL);
    step_wait(1);
    struct box *moved = realloc(boxed, 100 * sizeof *boxed);
    make_box(2);
    same_place(x);
    step_done(2);
    join(t1);
    join(t2);
    free(moved);
    free(boxed);
    free(wall);
}

static void in_frames(void)
{
    pthread_t t2 = start(second_life, NULL);
    frame_one();
    frame_two();
    join(t2);
}

static void *owns_first(void *arg)
{
    pthread_mutex_t local = PTHREAD_MUTEX_INITIALIZER;
    x = &local;
    same_place(x);
    first_life(arg);
    return arg;
}
static void *owns_second(void *arg)
{
    pthread_mutex_t local = PTHREAD_MUTEX_INITIALIZER;
    x = &local;
    same_place(x);
    step_done(2);
    step_wait(3);
    return arg;
}

int main(int argc, char **argv)
{
    if (argc < 2)
        return 64;
    shape = argv[1];
    if (is("destroy_init") || is("init_again"))
        lives(init_global, destroy_global);
    else if (is("free_malloc"))
        lives(make_box, free_box);
    else if (is("munmap_mmap") || is("mmap_fixed"))
        lives(make_mapping, end_mapping);
    else if (is("stack_init") || is("stack_static"))
        in_frames();
    else if (is("thread_stack")) {
        pthread_t t2 = start(second_life, NULL);
        join(start(owns_first, NULL));
        join(start(owns_second, NULL));
        join(t2);
    } else if (is("realloc"))
        grown();
    else if (is("same_heap")) {
        pthread_t t2 = start(second_life, NULL);
        make_box(1);
        pthread_t t1 = start(first_life, NULL);
        step_wait(1);
        step_done(2);
        join(t1);
        join(t2);
        free(boxed);
    } else
        return 64;
    return 0;
}
