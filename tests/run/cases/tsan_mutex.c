/* Locks that a program describes to the compiler's sanitizer (__tsan_mutex_*), as Abseil's and LLVM's do.
 *
 * @case tsan_mutex_inversion inversion
 * @finding lock-order verdict=possible locks=a,b side=one side=two counts=yes
 * @status 66
 * @case tsan_mutex_same_order same_order
 * @clean
 * @case tsan_mutex_readers readers
 * @clean
 * @case tsan_mutex_try try
 * @clean
 * @case tsan_mutex_enclosed enclosed
 * @clean
 * @case tsan_mutex_recursive recursive
 * @clean
 *
 * All levels are given back, and taken again, as for a condition's wait.
 * @case tsan_mutex_all_levels all_levels
 * @clean
 * @case tsan_mutex_deadlock deadlock
 * @finding deadlock verdict=observed locks=a,b side=strike_one side=strike_two
 * @strikes
 * @status 66
 * @case tsan_mutex_unlock_not_locked unlock_not_locked
 * @finding lock-misuse:unlock-not-locked locks=a
 * @case tsan_mutex_destroy_locked destroy_locked
 * @finding lock-misuse:destroy-locked locks=a
 * @case tsan_mutex_destroy_static destroy_static
 * @clean
 */
#include "case.h"

/* Of the interface; nobody is there when the program runs alone. */
enum { LINKER_INIT = 1, WRITE_REENTRANT = 2, READ_LOCK = 8, TRY = 16, TRY_FAILED = 32, RECURSIVE = 64 };
enum { RECURSIVE_UNLOCK = 128 };
#define INTERFACE(result, name, ...) extern result __tsan_mutex_##name(__VA_ARGS__) __attribute__((weak));
INTERFACE(void, create, void *, unsigned)
INTERFACE(void, destroy, void *, unsigned)
INTERFACE(void, pre_lock, void *, unsigned)
INTERFACE(void, post_lock, void *, unsigned, int)
INTERFACE(int, pre_unlock, void *, unsigned)
INTERFACE(void, post_unlock, void *, unsigned)
INTERFACE(void, pre_signal, void *, unsigned)
INTERFACE(void, post_signal, void *, unsigned)
INTERFACE(void, pre_divert, void *, unsigned)
INTERFACE(void, post_divert, void *, unsigned)
#define TELL(name, ...) (__tsan_mutex_##name ? __tsan_mutex_##name(__VA_ARGS__) : (void)0)

struct spin {
    int word; /* readers, or -1 */
};
static struct spin a, b;

static int spin_take(struct spin *s, unsigned flags)
{
    int now = __atomic_load_n(&s->word, __ATOMIC_RELAXED);
    if (now < 0 || (now && !(flags & READ_LOCK)))
        return 0;
    return __atomic_compare_exchange_n(&s->word, &now, flags & READ_LOCK ? now + 1 : -1, 0, __ATOMIC_ACQUIRE,
                                       __ATOMIC_RELAXED);
}

static NOINLINE void spin_lock(struct spin *s, unsigned flags)
{
    TELL(pre_lock, s, flags);
    while (!spin_take(s, flags))
        syscall(SYS_sched_yield);
    TELL(post_lock, s, flags, 0);
}

static NOINLINE int spin_try(struct spin *s)
{
    TELL(pre_lock, s, TRY);
    int taken = spin_take(s, 0);
    TELL(post_lock, s, taken ? TRY : TRY | TRY_FAILED, 0);
    return taken;
}

static NOINLINE int spin_unlock(struct spin *s, unsigned flags)
{
    int depth = __tsan_mutex_pre_unlock ? __tsan_mutex_pre_unlock(s, flags) : 1;
    if (flags & READ_LOCK)
        __atomic_fetch_sub(&s->word, 1, __ATOMIC_RELEASE);
    else
        __atomic_store_n(&s->word, 0, __ATOMIC_RELEASE);
    TELL(post_unlock, s, flags);
    return depth;
}

/* ---- orders ---- */

static char **shapes;
#define SHAPE(name) shape_is(shapes, name)

static NOINLINE void nest(struct spin *outer, struct spin *inner)
{
    unsigned flags = SHAPE("readers") ? READ_LOCK : 0;
    spin_lock(outer, flags);
    if (SHAPE("try"))
        CHECK(spin_try(inner));
    else
        spin_lock(inner, flags);
    spin_unlock(inner, flags);
    spin_unlock(outer, flags);
}

static NOINLINE void *one(void *unused)
{
    nest(&a, &b);
    step_done(1);
    return unused;
}

static NOINLINE void *two(void *unused)
{
    step_wait(1);
    if (SHAPE("same_order"))
        nest(&a, &b);
    else
        nest(&b, &a);
    return unused;
}

static NOINLINE void *strike_one(void *unused)
{
    spin_lock(&a, 0);
    meet(1, 2);
    spin_lock(&b, 0);
    return unused;
}

static NOINLINE void *strike_two(void *unused)
{
    spin_lock(&b, 0);
    meet(1, 2);
    spin_lock(&a, 0);
    return unused;
}

static void both(case_routine f, case_routine g)
{
    pthread_t x = start(f, NULL), y = start(g, NULL);
    join(x);
    join(y);
}

/* ---- one thread ---- */

/* What a recursive lock of the program's does: only the outermost level touches the word. */
static void recursive(void)
{
    TELL(create, &a, WRITE_REENTRANT);
    spin_lock(&a, WRITE_REENTRANT);
    TELL(pre_lock, &a, WRITE_REENTRANT);
    TELL(post_lock, &a, WRITE_REENTRANT, 0);
    if (__tsan_mutex_pre_unlock)
        CHECK(__tsan_mutex_pre_unlock(&a, 0) == 1);
    TELL(post_unlock, &a, 0);
    if (SHAPE("all_levels")) {
        TELL(pre_lock, &a, WRITE_REENTRANT);
        TELL(post_lock, &a, WRITE_REENTRANT, 0);
        int depth = spin_unlock(&a, RECURSIVE_UNLOCK);
        CHECK(!__tsan_mutex_pre_unlock || depth == 2);
        both(one, one); /* it is free */
        CHECK(spin_take(&a, 0));
        TELL(pre_lock, &a, WRITE_REENTRANT);
        TELL(post_lock, &a, WRITE_REENTRANT | RECURSIVE, depth);
        if (__tsan_mutex_pre_unlock)
            CHECK(__tsan_mutex_pre_unlock(&a, 0) == 1);
        TELL(post_unlock, &a, 0);
    }
    spin_unlock(&a, 0);
    TELL(destroy, &a, 0);
}

/* What a lock's own code calls in between, and a callback of the program's that it calls. */
static void enclosed(void)
{
    TELL(pre_signal, &a, 0);
    TELL(pre_divert, &a, 0);
    nest(&a, &b);
    TELL(post_divert, &a, 0);
    TELL(post_signal, &a, 0);
}

int main(int argc, char **argv)
{
    (void)argc;
    shapes = argv;
    if (SHAPE("recursive") || SHAPE("all_levels")) {
        recursive();
    } else if (SHAPE("deadlock")) {
        both(strike_one, strike_two);
    } else if (SHAPE("enclosed")) {
        enclosed();
    } else if (SHAPE("unlock_not_locked")) {
        spin_unlock(&a, 0);
    } else if (SHAPE("destroy_locked") || SHAPE("destroy_static")) {
        spin_lock(&a, 0);
        TELL(destroy, &a, SHAPE("destroy_static") ? LINKER_INIT : 0);
        if (SHAPE("destroy_static"))
            spin_unlock(&a, 0);
    } else {
        both(one, two);
    }
    return 0;
}
