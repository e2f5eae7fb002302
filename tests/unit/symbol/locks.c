/* Fixture of test_symbol: locks of every kind of birth in C. */
#include "mark.h"

#include <pthread.h>
#include <semaphore.h>
#include <threads.h>

#define INLINE static inline __attribute__((always_inline))
#define ALONE __attribute__((noinline))

struct cache {
    long word;
    pthread_mutex_t lock;
    struct {
        pthread_rwlock_t hidden;
    };
    union {
        struct {
            int tag;
            sem_t ready;
        } waiting;
        pthread_spinlock_t spin;
    } u;
};

typedef struct {
    pthread_mutex_t mutex;
    pthread_cond_t changed;
} entry;

struct session {
    char name[24];
    pthread_mutex_t lock;
    struct session *next;
};

struct packet {
    int length;
    mtx_t lock;
    char data[];
};

/* Alike in size and in where the lock is. */
struct twin_one {
    long x[13];
    pthread_mutex_t lock;
};
struct twin_two {
    char y[104];
    pthread_mutex_t guard;
};

struct cache cache;
entry table[8];
pthread_mutex_t grid[2][3];
pthread_mutex_t exported = PTHREAD_MUTEX_INITIALIZER;
static pthread_mutex_t plain = PTHREAD_MUTEX_INITIALIZER;
static struct {
    pthread_mutex_t only;
} nameless;
static volatile const struct cache *volatile_pointer;
__thread entry tls_entry;
static __thread pthread_mutex_t tls_plain;
static volatile struct twin_one one_user;
static volatile struct twin_two two_user;

void in_library(void);

ALONE static void globals(void)
{
    volatile_pointer = &cache;
    GLOBAL("exe:locks.c:plain", "globals/main", MUTEX, &plain);
    GLOBAL("exe:exported", "globals/main", MUTEX, &exported);
    GLOBAL("exe:cache.lock", "globals/main", MUTEX, &cache.lock);
    GLOBAL("exe:cache.hidden", "globals/main", RWLOCK, &cache.hidden);
    GLOBAL("exe:cache.u.waiting.ready", "globals/main", SEM, &cache.u.waiting.ready);
    GLOBAL("exe:cache.u.spin", "globals/main", SPIN, (void *)&cache.u.spin);
    GLOBAL("exe:table[0].mutex", "globals/main", MUTEX, &table[0]);
    GLOBAL("exe:table[3].mutex", "globals/main", ANY, &table[3].mutex);
    GLOBAL("exe:table[7].changed", "globals/main", COND, &table[7].changed);
    GLOBAL("exe:grid[1][2]", "globals/main", MUTEX, &grid[1][2]);
    GLOBAL("exe:locks.c:nameless.only", "globals/main", MUTEX, &nameless);
    GLOBAL("exe:cache", "globals/main", CUSTOM, &cache);
    GLOBAL("exe:cache.u", "globals/main", CUSTOM, &cache.u);
    GLOBAL("exe:table[3].mutex+0x3", "globals/main", CUSTOM, (char *)&table[3] + 3);
    TLS("exe:tls_entry.mutex", "globals/main", MUTEX, &tls_entry);
    TLS("exe:locks.c:tls_plain", "globals/main", MUTEX, &tls_plain);
}

ALONE static void function_static(int twice)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    if (twice) {
        static entry in_block[2];
        GLOBAL("exe:locks.c:function_static.in_block[1].mutex", "function_static/main", MUTEX, &in_block[1]);
    }
    GLOBAL("exe:locks.c:function_static.once", "function_static/main", ONCE, &once);
}

INLINE void inner(int depth)
{
    entry local[2];
    local[depth & 1].mutex = plain;
    STACK("inner:local[1].mutex", "inner/middle/inlined/main", MUTEX, &local[1]);
}

INLINE void middle(int depth)
{
    inner(depth + 1);
}

ALONE static void inlined(int depth)
{
    middle(depth);
    GLOBAL("exe:exported", "inlined/main", MUTEX, &exported);
}

ALONE static void on_stack(struct cache *unused, int n)
{
    struct cache ctx;
    pthread_mutex_t locks[4];
    ctx.word = n;
    locks[0] = plain;
    STACK("on_stack:ctx.lock", "on_stack/main", MUTEX, &ctx.lock);
    STACK("on_stack:locks[2]", "on_stack/main", MUTEX, &locks[2]);
    if (n > 1) {
        entry in_block;
        in_block.mutex = plain;
        STACK("on_stack:in_block.changed", "on_stack/main", COND, &in_block.changed);
    }
    __asm__ volatile("" ::"r"(unused), "r"(&ctx), "r"(locks) : "memory");
}

ALONE static struct session *session_new(void)
{
    struct session *s = mark_alloc(sizeof *s);
    return s;
}

ALONE static void *twin_new(int which)
{
    void *block;
    if (which) {
        __asm__ volatile("# so that the calls");
        block = mark_alloc(sizeof(struct twin_one));
        __asm__ volatile("# are not merged");
    } else {
        block = mark_alloc(sizeof(struct twin_two));
    }
    one_user.x[0] = two_user.y[0];
    return block;
}

ALONE static pthread_mutex_t *bare_new(int which)
{
    if (which) {
        __asm__ volatile("# so that the calls");
        pthread_mutex_t *a = mark_alloc(sizeof *a);
        __asm__ volatile("# are not merged");
        *a = plain;
        return a;
    }
    pthread_mutex_t *b = mark_alloc(sizeof *b);
    *b = plain;
    return b;
}

ALONE static void on_heap(void)
{
    struct session *s = session_new();
    HEAP("session.lock", "on_heap/main", MUTEX, &s->lock);
    struct session *many = mark_alloc(5 * sizeof *many);
    HEAP("session[].lock", "on_heap/main", MUTEX, &many[3].lock);
    struct packet *p = mark_alloc(sizeof *p + 1000);
    HEAP("packet.lock", "on_heap/main", MUTEX, &p->lock);
    entry *e = mark_alloc(sizeof *e);
    HEAP("entry.mutex", "on_heap/main", MUTEX, &e->mutex);
    HEAP("entry.changed", "on_heap/main", COND, &e->changed);
    struct cache *c = mark_alloc(sizeof *c);
    HEAP("cache.u.waiting.ready", "on_heap/main", SEM, &c->u.waiting.ready);
    void *twin = twin_new(1);
    HEAP("twin_new#1", "on_heap/main", MUTEX, (char *)twin + 104);
    twin = twin_new(0);
    HEAP("twin_new#2", "on_heap/main", MUTEX, (char *)twin + 104);
    pthread_mutex_t *bare = bare_new(1);
    HEAP("bare_new#1", "on_heap/main", MUTEX, bare);
    bare = bare_new(0);
    HEAP("bare_new#2", "on_heap/main", MUTEX, bare);
}

int main(int argc, char **argv)
{
    (void)argv;
    globals();
    function_static(argc);
    inlined(argc - 1);
    on_stack(&cache, argc + 1);
    on_heap();
#ifdef WITH_LIBRARY
    in_library();
#endif
    return 0;
}
