/* Locks that a program makes for itself and tells of by <snarl/snarl.h>; names and levels of these and of others.
 *
 * @case annotated_inversion inversion
 * @finding lock-order verdict=possible locks=cache,index side=one side=two marks=inner counts=yes
 * @status 66
 * @case annotated_same_order same_order
 * @clean
 * A lock without a name is called by where it lies.
 * @case annotated_unnamed unnamed
 * @finding lock-order locks=spins[2],spins[3] side=one side=two
 * @case annotated_with_mutex with_mutex
 * @finding lock-order locks=spins[2],m side=one side=two
 * @case annotated_gate gate
 * @clean
 *
 * Readers do not keep each other out: to close the ring, each has to ask for what the other's hold conflicts with.
 * @case annotated_readers readers
 * @clean
 * @case annotated_one_writer one_writer
 * @clean
 * @case annotated_reader_writer reader_writer
 * @finding lock-order locks=cache,index side=one side=two
 *
 * Who only tries never waits.
 * @case annotated_try try
 * @clean
 * @case annotated_recursive recursive
 * @clean
 *
 * @case annotated_deadlock deadlock
 * @finding deadlock verdict=observed locks=cache,index side=strike_one side=strike_two marks=held-1,wait-1
 * @strikes
 * @status 66
 * @case annotated_deadlock_readers deadlock_readers
 * @finding deadlock verdict=observed locks=cache,index side=strike_one side=strike_two
 * @strikes
 * @case annotated_deadlock_mutex deadlock_mutex
 * @finding deadlock verdict=observed locks=cache,m side=strike_one side=strike_two
 * @strikes
 * @case annotated_relock relock
 * @finding lock-misuse:relock verdict=observed locks=cache side=takes_twice
 * @strikes
 *
 * @case annotated_unlock_not_locked unlock_not_locked
 * @finding lock-misuse:unlock-not-locked locks=cache
 * @case annotated_unlock_not_owner unlock_not_owner
 * @finding lock-misuse:unlock-not-owner locks=cache side=holds_meanwhile side=release_foreign
 * @case annotated_destroy_locked destroy_locked
 * @finding lock-misuse:destroy-locked locks=cache
 * @case annotated_use_destroyed use_destroyed
 * @finding lock-misuse:use-destroyed locks=cache
 * @case annotated_created_again created_again
 * @clean
 * @case annotated_left left
 * @finding lock-misuse:lock-left-at-thread-exit locks=cache side=leaves
 *
 * A lock may be a single byte, and a later block at its address brings another lock.
 * @case annotated_byte_reused byte_reused
 * @clean
 * @case annotated_own_allocator own_allocator
 * @clean
 * @case annotated_own_allocator_untold own_allocator_untold
 * @finding lock-order
 *
 * A mutex that is told of a second time, as a lock of the program's own, stays one lock.
 * @case annotated_mutex_again mutex_again
 * @finding lock-order locks=m,n side=one side=two
 *
 * Names before and after the first use, of locks of every kind.
 * @case annotated_mutex_names mutex_names
 * @finding lock-order locks=ledger,journal side=one side=two
 * @case annotated_mutex_names_late mutex_names_late
 * @finding lock-order locks=ledger,journal side=one side=two
 * @case annotated_name_before_init name_before_init
 * @finding lock-order locks=ledger,journal side=one side=two
 *
 * One thread alone shows that an order is against the levels.
 * @case annotated_level level
 * @finding lock-order verdict=possible locks=cache,index side=takes_index+takes_cache marks=index,cache counts=yes
 * @stderr against the lock levels: cache (level 1) is taken while index (level 2) is held
 * @status 66
 * @case annotated_level_kept level_kept
 * @clean
 * @case annotated_level_try level_try
 * @clean
 * @case annotated_level_equal level_equal
 * @finding lock-order locks=cache,index
 * @stderr Both have the same level
 * @case annotated_level_none level_none
 * @clean
 * @case annotated_level_mutex level_mutex
 * @finding lock-order locks=ledger,journal side=wrong_mutexes
 * Not the innermost lock counts but the highest one.
 * @case annotated_level_between level_between
 * @finding lock-order locks=cache,index
 */
#include "case.h"

#include <snarl/snarl.h>

struct spin {
    int readers; /* -1: a writer */
};
static struct spin spins[4];
#define CACHE (&spins[0])
#define INDEX (&spins[1])
static pthread_mutex_t m = PTHREAD_MUTEX_INITIALIZER, n = PTHREAD_MUTEX_INITIALIZER;

static int spin_try(struct spin *s, unsigned how)
{
    int now = __atomic_load_n(&s->readers, __ATOMIC_RELAXED);
    int next = how & SNARL_SHARED ? now + 1 : -1;
    return (how & SNARL_SHARED ? now >= 0 : now == 0) &&
           __atomic_compare_exchange_n(&s->readers, &now, next, 0, __ATOMIC_ACQUIRE, __ATOMIC_RELAXED);
}

/* Part of the caller, so that marks can stand at the calls. */
static inline __attribute__((always_inline)) void take(struct spin *s, unsigned how)
{
    snarl_lock_acquiring(s, how);
    while (!spin_try(s, how))
        nap_ms(1);
    snarl_lock_acquired(s, how);
}

static inline __attribute__((always_inline)) int take_if_free(struct spin *s)
{
    snarl_lock_acquiring(s, SNARL_EXCLUSIVE | SNARL_TRY);
    if (!spin_try(s, SNARL_EXCLUSIVE)) {
        snarl_lock_failed(s);
        return 0;
    }
    snarl_lock_acquired(s, SNARL_EXCLUSIVE | SNARL_TRY);
    return 1;
}

static inline __attribute__((always_inline)) void give(struct spin *s)
{
    snarl_lock_released(s);
    if (__atomic_load_n(&s->readers, __ATOMIC_RELAXED) < 0)
        __atomic_store_n(&s->readers, 0, __ATOMIC_RELEASE);
    else
        __atomic_sub_fetch(&s->readers, 1, __ATOMIC_RELEASE);
}

static char **shapes;
#define SHAPE(name) shape_is(shapes, name)

/* ---- two orders, one after the other ---- */

static NOINLINE void spin_nest(struct spin *outer, unsigned outer_how, struct spin *inner, unsigned inner_how)
{
    take(outer, outer_how);
    take(inner, inner_how); /* mark: inner */
    give(inner);
    give(outer);
}

static NOINLINE void mutex_nest(pthread_mutex_t *outer, pthread_mutex_t *inner)
{
    lock(outer);
    lock(inner);
    unlock(inner);
    unlock(outer);
}

/* The program's wrapper tells of its mutexes, which snarl sees anyway. */
static NOINLINE void told_mutex_nest(pthread_mutex_t *outer, pthread_mutex_t *inner)
{
    pthread_mutex_t *both[] = {outer, inner};
    for (int i = 0; i < 2; i++) {
        snarl_lock_acquiring(both[i], SNARL_EXCLUSIVE);
        lock(both[i]);
        snarl_lock_acquired(both[i], SNARL_EXCLUSIVE);
    }
    for (int i = 2; i-- > 0;) {
        snarl_lock_released(both[i]);
        unlock(both[i]);
    }
}

static NOINLINE void with_mutex(int reverse)
{
    if (reverse)
        take(&spins[2], SNARL_EXCLUSIVE);
    lock(&m);
    if (!reverse) {
        take(&spins[2], SNARL_EXCLUSIVE);
        give(&spins[2]);
    }
    unlock(&m);
    if (reverse)
        give(&spins[2]);
}

static NOINLINE void tried(struct spin *outer, struct spin *inner)
{
    take(outer, SNARL_EXCLUSIVE);
    if (take_if_free(inner))
        give(inner);
    give(outer);
}

static NOINLINE void recursively(int reverse)
{
    take(&spins[2 + reverse], SNARL_EXCLUSIVE);
    snarl_lock_acquiring(&spins[2 + reverse], SNARL_EXCLUSIVE);
    snarl_lock_acquired(&spins[2 + reverse], SNARL_EXCLUSIVE);
    snarl_lock_released(&spins[2 + reverse]);
    give(&spins[2 + reverse]);
}

static NOINLINE void gated(struct spin *outer, struct spin *inner)
{
    take(&spins[2], SNARL_EXCLUSIVE);
    spin_nest(outer, SNARL_EXCLUSIVE, inner, SNARL_EXCLUSIVE);
    give(&spins[2]);
}

static NOINLINE void in_order(int reverse)
{
    struct spin *a = reverse ? INDEX : CACHE, *b = reverse ? CACHE : INDEX;
    pthread_mutex_t *x = reverse ? &n : &m, *y = reverse ? &m : &n;
    if (SHAPE("inversion"))
        spin_nest(a, SNARL_EXCLUSIVE, b, SNARL_EXCLUSIVE);
    else if (SHAPE("gate"))
        gated(a, b);
    else if (SHAPE("same_order"))
        spin_nest(CACHE, SNARL_EXCLUSIVE, INDEX, SNARL_EXCLUSIVE);
    else if (SHAPE("unnamed"))
        spin_nest(a + 2, SNARL_EXCLUSIVE, b + 2, SNARL_EXCLUSIVE);
    else if (SHAPE("readers"))
        spin_nest(a, SNARL_SHARED, b, SNARL_SHARED);
    else if (SHAPE("reader_writer"))
        spin_nest(a, SNARL_SHARED, b, SNARL_EXCLUSIVE);
    else if (SHAPE("one_writer"))
        spin_nest(a, SNARL_SHARED, b, reverse ? SNARL_EXCLUSIVE : SNARL_SHARED);
    else if (SHAPE("try"))
        tried(a, b);
    else if (SHAPE("with_mutex"))
        with_mutex(reverse);
    else if (SHAPE("recursive"))
        recursively(reverse);
    else if (SHAPE("mutex_again"))
        told_mutex_nest(x, y);
    else
        mutex_nest(x, y);
}

static NOINLINE void *one(void *unused)
{
    in_order(0);
    step_done(1);
    return unused;
}

static NOINLINE void *two(void *unused)
{
    step_wait(1);
    in_order(1);
    __asm__ volatile("");
    return unused;
}

static void orders(void)
{
    if (SHAPE("name_before_init")) {
        snarl_lock_name(&m, "ledger");
        snarl_lock_name(&n, "journal");
        pthread_mutex_init(&m, NULL);
        pthread_mutex_init(&n, NULL);
    } else if (SHAPE("mutex_names_late")) {
        mutex_nest(&m, &n);
    }
    if (SHAPE("mutex_names") || SHAPE("mutex_names_late")) {
        snarl_lock_name(&m, "ledger");
        snarl_lock_name(&n, "journal");
    }
    if (SHAPE("recursive"))
        for (int i = 2; i < 4; i++)
            snarl_lock_created(&spins[i], SNARL_RECURSIVE);
    pthread_t a = start(one, NULL), b = start(two, NULL);
    join(a);
    join(b);
}

/* ---- deadlocks ---- */

static NOINLINE void *strike_one(void *unused)
{
    take(CACHE, SHAPE("deadlock_readers") ? SNARL_SHARED : SNARL_EXCLUSIVE); /* mark: held-1 */
    meet(1, 2);
    if (SHAPE("deadlock_mutex"))
        lock(&m);
    else
        take(INDEX, SNARL_EXCLUSIVE); /* mark: wait-1 */
    __asm__ volatile("");
    return unused;
}

static NOINLINE void *strike_two(void *unused)
{
    if (SHAPE("deadlock_mutex"))
        lock(&m);
    else
        take(INDEX, SHAPE("deadlock_readers") ? SNARL_SHARED : SNARL_EXCLUSIVE);
    meet(1, 2);
    take(CACHE, SNARL_EXCLUSIVE);
    __asm__ volatile("");
    return unused;
}

static void strikes(void)
{
    pthread_t a = start(strike_one, NULL), b = start(strike_two, NULL);
    join(a);
    join(b);
}

static NOINLINE void *takes_twice(void *unused)
{
    take(CACHE, SNARL_EXCLUSIVE);
    take(CACHE, SNARL_EXCLUSIVE);
    return unused;
}

/* ---- misuse ---- */

static NOINLINE void *leaves(void *unused)
{
    take(CACHE, SNARL_EXCLUSIVE);
    return unused;
}

static NOINLINE void *holds_meanwhile(void *unused)
{
    take(CACHE, SNARL_EXCLUSIVE);
    meet(1, 2);
    meet(2, 2);
    return unused;
}

static void release_foreign(void)
{
    pthread_t t = start(holds_meanwhile, NULL);
    meet(1, 2);
    give(CACHE);
    meet(2, 2);
    join(t);
}

static void misuse(void)
{
    if (SHAPE("unlock_not_locked")) {
        take(CACHE, SNARL_EXCLUSIVE);
        give(CACHE);
        give(CACHE);
    } else if (SHAPE("unlock_not_owner")) {
        release_foreign();
    } else if (SHAPE("destroy_locked")) {
        take(CACHE, SNARL_EXCLUSIVE);
        snarl_lock_destroyed(CACHE);
    } else if (SHAPE("use_destroyed") || SHAPE("created_again")) {
        snarl_lock_created(CACHE, 0);
        snarl_lock_destroyed(CACHE);
        if (SHAPE("created_again"))
            snarl_lock_created(CACHE, 0);
        take(CACHE, SNARL_EXCLUSIVE);
        give(CACHE);
    } else if (SHAPE("left")) {
        join(start(leaves, NULL));
    }
}

/* ---- memory ---- */

static unsigned char pool[64] __attribute__((aligned(64)));
static unsigned char *blocks[2]; /* a lock of one byte in each */

static NOINLINE void byte_nest(int first)
{
    for (int i = 0; i < 2; i++) {
        snarl_lock_acquiring(blocks[i ^ first], SNARL_EXCLUSIVE);
        snarl_lock_acquired(blocks[i ^ first], SNARL_EXCLUSIVE);
    }
    for (int i = 2; i-- > 0;)
        snarl_lock_released(blocks[i ^ first]);
}

static NOINLINE void *byte_one(void *unused)
{
    step_wait(1);
    byte_nest(0);
    step_done(2);
    return unused;
}

static NOINLINE void *byte_two(void *unused)
{
    step_wait(3);
    byte_nest(1);
    step_done(4);
    return unused;
}

/* The second block has the first one's address and is another object: its locks are taken the other way round. */
static void reused(void)
{
    int own = !SHAPE("byte_reused"), tell = SHAPE("own_allocator");
    pthread_t a = start(byte_one, NULL), b = start(byte_two, NULL);
    for (int step = 1; step < 5; step += 2) {
        unsigned char *block = own ? pool : malloc(sizeof pool);
        CHECK(step == 1 || block == blocks[0] - 1);
        blocks[0] = block + 1;
        blocks[1] = block + 35;
        if (tell)
            snarl_block_new(block, sizeof pool);
        step_done(step);
        step_wait(step + 1);
        if (tell)
            snarl_block_gone(block, sizeof pool);
        if (!own)
            free(block);
    }
    join(a);
    join(b);
}

/* ---- levels ---- */

static NOINLINE void takes_cache(void)
{
    if (SHAPE("level_try"))
        take_if_free(CACHE);
    else
        take(CACHE, SNARL_EXCLUSIVE); /* mark: cache */
    give(CACHE);
}

static NOINLINE void takes_index(void)
{
    take(INDEX, SNARL_EXCLUSIVE); /* mark: index */
    if (SHAPE("level_between"))
        take(&spins[2], SNARL_EXCLUSIVE);
    takes_cache();
    if (SHAPE("level_between"))
        give(&spins[2]);
    give(INDEX);
    __asm__ volatile("");
}

static NOINLINE void wrong_mutexes(void)
{
    mutex_nest(&n, &m);
}

static void levels(void)
{
    if (!SHAPE("level_none"))
        snarl_lock_level(CACHE, SHAPE("level_equal") ? 2 : SHAPE("level_kept") ? 3 : 1);
    snarl_lock_level(INDEX, 2);
    if (SHAPE("level_mutex")) {
        snarl_lock_name(&m, "ledger");
        snarl_lock_name(&n, "journal");
        snarl_lock_level(&m, 1);
        snarl_lock_level(&n, 2);
        mutex_nest(&m, &n);
        wrong_mutexes();
    } else {
        takes_index();
        takes_index();
    }
}

int main(int argc, char **argv)
{
    (void)argc;
    shapes = argv;
    snarl_lock_name(CACHE, "cache");
    snarl_lock_name(INDEX, "index");
    if (!strncmp(argv[1], "level", 5))
        levels();
    else if (!strncmp(argv[1], "deadlock", 8))
        strikes();
    else if (SHAPE("relock"))
        takes_twice(NULL);
    else if (SHAPE("byte_reused") || !strncmp(argv[1], "own_allocator", 13))
        reused();
    else if (strstr("unlock_not_locked unlock_not_owner destroy_locked use_destroyed created_again left", argv[1]))
        misuse();
    else
        orders();
    return 0;
}
