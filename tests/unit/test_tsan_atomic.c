/* preload/access/tsan_atomic.c and stripe.c: what the engine is told of each atomic operation and in which order, and
 * that operation and clock are one step. The engine is played by this file. */
#include "access/stripe.h"

#include <pthread.h>
#include <stdlib.h>

#include "analyze/access_hot.h"
#include "interceptor.h"
#include "unit.h"

#define RELAXED __ATOMIC_RELAXED
#define CONSUME __ATOMIC_CONSUME
#define ACQUIRE __ATOMIC_ACQUIRE
#define RELEASE __ATOMIC_RELEASE
#define ACQ_REL __ATOMIC_ACQ_REL
#define SEQ_CST __ATOMIC_SEQ_CST

/* ---- the engine ---- */

bool access_on;
__thread u32 access_now __attribute__((tls_model("initial-exec"), visibility("hidden")));
u64 shadow_cells; /* the object's cell is this one, which knows nothing */
u64 shadow_olders;
static u64 cell;
__thread struct thread *snarl_thread __attribute__((tls_model("initial-exec"), visibility("hidden")));
static struct thread states[8];
static __thread char told[200];
static u64 object; /* that is operated on */

static void tell(char what)
{
    size_t n = strlen(told);
    if (n + 1 < sizeof told) {
        told[n] = what;
        told[n + 1] = 0;
    }
}
struct thread *interceptor_first_call(void)
{
    return NULL;
}
struct thread *interceptor_unusual(struct thread *t, u64 fp)
{
    (void)t, (void)fp;
    return NULL;
}
/* R, W: the access. */
void access_seen(struct thread *t, u64 addr, u32 size, u32 kind, const u64 *fp)
{
    CU_ASSERT(t->inside && fp && size && (kind & ACCESS_ATOMIC));
    CU_ASSERT_EQUAL(addr, (u64)&object);
    tell(kind & ACCESS_WRITE ? 'W' : 'R');
}
void access_range(struct thread *t, u64 addr, u64 size, u32 kind, const u64 *fp)
{
    access_seen(t, addr, (u32)size, kind, fp);
}
bool access_quick(struct thread *t, u64 addr, u32 mask, u32 kind, const u64 *fp)
{
    (void)t, (void)addr, (void)mask, (void)kind, (void)fp;
    return false;
}
static void (*interrupt)(void); /* comes between a clock and its operation */
static void tell_clock(char what, u64 key)
{
    if (key == hb_key(HB_ADDRESS, (u64)&object))
        tell(what);
    void (*now)(void) = interrupt;
    interrupt = NULL;
    if (now)
        now();
}
/* j: joined, s: stored, a: acquired, w and r: relaxed, f and g: fences. */
void hb_release(struct thread *t, u64 key)
{
    (void)t, tell_clock('j', key);
}
void hb_release_store(struct thread *t, u64 key)
{
    (void)t, tell_clock('s', key);
}
void hb_acquire(struct thread *t, u64 key)
{
    (void)t, tell_clock('a', key);
}
void hb_relaxed_write(struct thread *t, u64 key)
{
    (void)t, tell_clock('w', key);
}
void hb_relaxed_read(struct thread *t, u64 key)
{
    (void)t, tell_clock('r', key);
}
void hb_fence_release(struct thread *t)
{
    (void)t, tell('f');
}
void hb_fence_acquire(struct thread *t)
{
    (void)t, tell('g');
}

/* ---- the interface, as the compilers declare it ---- */

u64 __tsan_atomic64_load(const volatile u64 *a, int order);
void __tsan_atomic64_store(volatile u64 *a, u64 v, int order);
u64 __tsan_atomic64_exchange(volatile u64 *a, u64 v, int order);
u64 __tsan_atomic64_fetch_add(volatile u64 *a, u64 v, int order);
int __tsan_atomic64_compare_exchange_strong(volatile u64 *a, u64 *expected, u64 v, int order, int failure);
int __tsan_atomic64_compare_exchange_weak(volatile u64 *a, u64 *expected, u64 v, int order, int failure);
u64 __tsan_atomic64_compare_exchange_val(volatile u64 *a, u64 expected, u64 v, int order, int failure);
void __tsan_atomic_thread_fence(int order);
void __tsan_atomic_signal_fence(int order);

static void begin(void)
{
    access_on = true;
    access_now = ACCESS_NO_EPOCH;
    shadow_cells = (u64)&object ^ (u64)&cell;
    snarl_thread = &states[0];
    told[0] = 0;
}
#define TOLD(operation, expected)                                                                                      \
    do {                                                                                                               \
        begin();                                                                                                       \
        (void)(operation);                                                                                             \
        CU_ASSERT_STRING_EQUAL(told, expected);                                                                        \
        CU_ASSERT(!snarl_thread->inside);                                                                              \
    } while (0)

static void loads(void)
{
    TOLD(__tsan_atomic64_load(&object, RELAXED), "Rr");
    TOLD(__tsan_atomic64_load(&object, CONSUME), "Ra");
    TOLD(__tsan_atomic64_load(&object, ACQUIRE), "Ra");
    TOLD(__tsan_atomic64_load(&object, SEQ_CST), "Ra");
    TOLD(__tsan_atomic64_load(&object, ACQUIRE | 1 << 16), "Ra"); /* gcc's hints for lock elision */
}

#define STORED(order, expected)                                                                                        \
    do {                                                                                                               \
        begin();                                                                                                       \
        __tsan_atomic64_store(&object, 5 + (order), order);                                                            \
        CU_ASSERT_STRING_EQUAL(told, expected);                                                                        \
        CU_ASSERT(object == 5 + (order));                                                                              \
    } while (0)
static void stores(void)
{
    STORED(RELAXED, "Ww");
    STORED(RELEASE, "Ws");
    STORED(SEQ_CST, "Ws");
}

static void updates(void)
{
    TOLD(__tsan_atomic64_exchange(&object, 1, RELAXED), "Wwr");
    TOLD(__tsan_atomic64_exchange(&object, 1, ACQUIRE), "Wwa");
    TOLD(__tsan_atomic64_fetch_add(&object, 1, RELEASE), "Wjr");
    TOLD(__tsan_atomic64_fetch_add(&object, 1, ACQ_REL), "Wja");
    TOLD(__tsan_atomic64_fetch_add(&object, 1, SEQ_CST), "Wja");
}

/* A comparison that fails is a read with the order for that case, and leaves nothing. */
static void comparisons(void)
{
    u64 expected = 0;
    object = 7;
    TOLD(__tsan_atomic64_compare_exchange_strong(&object, &expected, 1, SEQ_CST, ACQUIRE), "Ra");
    CU_ASSERT(object == 7 && expected == 7);
    TOLD(__tsan_atomic64_compare_exchange_strong(&object, &expected, 8, ACQ_REL, RELAXED), "Wja");
    CU_ASSERT(object == 8 && expected == 7);
    TOLD(__tsan_atomic64_compare_exchange_weak(&object, &expected, 9, SEQ_CST, RELAXED), "Rr");
    CU_ASSERT(object == 8 && expected == 8);
    TOLD(__tsan_atomic64_compare_exchange_weak(&object, &expected, 9, RELEASE, RELAXED), "Wjr");
    CU_ASSERT(object == 9);
    TOLD(__tsan_atomic64_compare_exchange_val(&object, 3, 10, RELAXED, RELAXED), "Rr");
    TOLD(__tsan_atomic64_compare_exchange_val(&object, 9, 10, RELAXED, RELAXED), "Wwr");
    CU_ASSERT(object == 10);
}

static void fences(void)
{
    TOLD((__tsan_atomic_thread_fence(ACQUIRE), 0), "g");
    TOLD((__tsan_atomic_thread_fence(RELEASE), 0), "f");
    TOLD((__tsan_atomic_thread_fence(ACQ_REL), 0), "fg");
    TOLD((__tsan_atomic_thread_fence(SEQ_CST), 0), "fg");
    TOLD((__tsan_atomic_signal_fence(SEQ_CST), 0), "");
}

/* Before the start, after the end, in snarl's own code, and when nobody watches: the operation, and nothing else. */
static void unwatched(void)
{
    u64 expected = 4;
    for (int i = 0; i < 4; i++) {
        begin();
        access_on = i != 0;
        snarl_thread = i == 1 ? NULL : i == 2 ? SNARL_THREAD_ENDED : &states[0];
        states[0].inside = i == 3 ? ~0ULL : 0;
        __tsan_atomic64_store(&object, 3, SEQ_CST);
        CU_ASSERT(__tsan_atomic64_fetch_add(&object, 1, SEQ_CST) == 3);
        CU_ASSERT(__tsan_atomic64_compare_exchange_strong(&object, &expected, 4, SEQ_CST, SEQ_CST));
        CU_ASSERT(__tsan_atomic64_load(&object, SEQ_CST) == 4);
        __tsan_atomic_thread_fence(SEQ_CST);
        CU_ASSERT_STRING_EQUAL(told, "");
        states[0].inside = 0;
    }
}

/* ---- one step ---- */

static void *store_of_another_thread(void *order)
{
    access_now = ACCESS_NO_EPOCH;
    snarl_thread = &states[1];
    __tsan_atomic64_store(&object, 22, *(int *)order);
    return NULL;
}
static pthread_t other;
static int other_order;
/* An acquire has loaded, and is about to look at the clock: another thread stores a value and its clock. */
static void store_meanwhile(void)
{
    pthread_create(&other, NULL, store_of_another_thread, &other_order);
    pthread_join(other, NULL);
}

static void a_load_belongs_to_its_clock(void)
{
    begin();
    object = 1;
    other_order = RELEASE;
    interrupt = store_meanwhile;
    CU_ASSERT_EQUAL(__tsan_atomic64_load(&object, ACQUIRE), 22);
    CU_ASSERT_STRING_EQUAL(told, "Raa");
    begin();
    object = 1;
    other_order = RELAXED; /* brings no clock: the first value will do */
    interrupt = store_meanwhile;
    CU_ASSERT_EQUAL(__tsan_atomic64_load(&object, ACQUIRE), 1);
    CU_ASSERT_STRING_EQUAL(told, "Ra");
}

static u64 plain;
static bool overruled; /* a thread got no processor for so long that another one gave it up */
static void *count(void *unused)
{
    struct stripe_hold h;
    for (int i = 0; i < 20000; i++) {
        stripe_take(&h, (u64)&object);
        __atomic_store_n(&plain, __atomic_load_n(&plain, __ATOMIC_RELAXED) + 1, __ATOMIC_RELAXED);
        if (h.overruled)
            __atomic_store_n(&overruled, true, __ATOMIC_RELAXED);
        stripe_give(&h);
    }
    return unused;
}
static void one_at_a_time(void)
{
    pthread_t threads[4];
    plain = 0;
    for (int i = 0; i < 4; i++)
        pthread_create(&threads[i], NULL, count, NULL);
    for (int i = 0; i < 4; i++)
        pthread_join(threads[i], NULL);
    CU_ASSERT(plain == 80000 || overruled);
    CU_ASSERT(!(stripe_of((u64)&object)->word & 1));
}

/* Whoever left an operation half done, or is not there in a forked child, keeps nobody out for ever. */
static void left_behind(void)
{
    struct stripe_hold gone, next, third;
    stripe_take(&gone, (u64)&object);
    stripe_take(&next, (u64)&object);
    CU_ASSERT(!gone.overruled && next.overruled);
    stripe_give(&gone); /* comes back after all: the stripe is not its own any more */
    CU_ASSERT(stripe_of((u64)&object)->word & 1);
    stripe_give(&next);
    stripe_take(&third, (u64)&object);
    CU_ASSERT(!third.overruled);
    stripe_after_fork();
    CU_ASSERT(!(stripe_of((u64)&object)->word & 1));
    stripe_take(&next, (u64)&object);
    CU_ASSERT(!next.overruled);
    stripe_give(&next);

    stripe_take(&gone, (u64)&object);
    TOLD((__tsan_atomic64_store(&object, 1, RELEASE), 0), "Wj"); /* joins what the other one may have left */
    stripe_take(&gone, (u64)&object);
    TOLD(__tsan_atomic64_load(&object, ACQUIRE), "Raaaaa"); /* tries, then overrules */
}

UNIT_TESTS("tsan_atomic", {"loads", loads}, {"stores", stores}, {"updates", updates}, {"comparisons", comparisons},
           {"fences", fences}, {"unwatched", unwatched}, {"a_load_belongs_to_its_clock", a_load_belongs_to_its_clock},
           {"one_at_a_time", one_at_a_time}, {"left_behind", left_behind})
