/* preload/access/tsan_atomic.c: what the engine is told of each atomic operation and in which order. The engine is
 * played by this file. */
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
__thread struct access_frames *access_frames __attribute__((tls_model("initial-exec"), visibility("hidden")));
struct hb_bucket *hb_buckets;
bool hb_spilled;
void access_epoch_begin(struct thread *t)
{
    (void)t;
}
static void (*interrupt)(void); /* comes between a load and its clock */
static void tell_clock(char what, u64 key)
{
    if (key == hb_key(HB_ADDRESS, (u64)&object))
        tell(what);
    void (*now)(void) = interrupt;
    interrupt = NULL;
    if (now)
        now();
}
/* (, ): the guard; j: joined, s: stored, a: acquired, w and r: relaxed, k: a load without guard; f and g: fences. */
void hb_hold_take(struct hb_hold *h, struct thread *t, u64 key)
{
    (void)t, tell_clock('(', key);
    h->bucket = hb_bucket(key);
}
void hb_hold_tell(struct hb_hold *h, u32 what)
{
    CU_ASSERT(h->bucket != NULL);
    if (what & (HB_ACQUIRE | HB_READ))
        tell(what & HB_ACQUIRE ? 'a' : 'r');
    if (what & (HB_RELEASE | HB_WRITE))
        tell(!(what & HB_RELEASE) ? 'w' : what & HB_REPLACE ? 's' : 'j');
}
void hb_hold_give(struct hb_hold *h)
{
    CU_ASSERT(h->bucket != NULL);
    tell(')');
}
bool hb_knew(struct thread *t, u64 key, u32 word)
{
    (void)t, tell_clock('k', key);
    return hb_look(key) == word;
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
    hb_buckets = hb_buckets ? hb_buckets : calloc(HB_BUCKETS, sizeof *hb_buckets);
    hb_bucket(hb_key(HB_ADDRESS, (u64)&object))->first = 1;
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
    TOLD(__tsan_atomic64_load(&object, CONSUME), "Rk");
    TOLD(__tsan_atomic64_load(&object, ACQUIRE), "Rk");
    TOLD(__tsan_atomic64_load(&object, SEQ_CST), "Rk");
    TOLD(__tsan_atomic64_load(&object, ACQUIRE | 1 << 16), "Rk"); /* gcc's hints for lock elision */
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
    STORED(RELEASE, "W(s)");
    STORED(SEQ_CST, "W(s)");
}

static void updates(void)
{
    TOLD(__tsan_atomic64_exchange(&object, 1, RELAXED), "Wwr");
    TOLD(__tsan_atomic64_exchange(&object, 1, ACQUIRE), "W(aw)");
    TOLD(__tsan_atomic64_fetch_add(&object, 1, RELEASE), "W(rj)");
    TOLD(__tsan_atomic64_fetch_add(&object, 1, ACQ_REL), "W(aj)");
    TOLD(__tsan_atomic64_fetch_add(&object, 1, SEQ_CST), "W(aj)");
}

/* A comparison that fails is a read with the order for that case, and leaves nothing. */
static void comparisons(void)
{
    u64 expected = 0;
    object = 7;
    TOLD(__tsan_atomic64_compare_exchange_strong(&object, &expected, 1, SEQ_CST, ACQUIRE), "R(a)");
    CU_ASSERT(object == 7 && expected == 7);
    TOLD(__tsan_atomic64_compare_exchange_strong(&object, &expected, 8, ACQ_REL, RELAXED), "W(aj)");
    CU_ASSERT(object == 8 && expected == 7);
    TOLD(__tsan_atomic64_compare_exchange_weak(&object, &expected, 9, SEQ_CST, RELAXED), "R(r)");
    CU_ASSERT(object == 8 && expected == 8);
    TOLD(__tsan_atomic64_compare_exchange_weak(&object, &expected, 9, RELEASE, RELAXED), "W(rj)");
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

/* Relaxed operations on what is known, and loads of what nobody has released: nothing is told. */
static void known(void)
{
    static struct access_frames frames;
    u64 expected = 0;
    begin();
    access_frames = &frames;
    hb_bucket(hb_key(HB_ADDRESS, (u64)&object))->first = 0;
    access_now = 5 << SLOT_EPOCH_SHIFT | SLOT_MASK;
    cell = slot_make(5, ACCESS_ATOMIC | ACCESS_WRITE, SLOT_MASK);
    __tsan_atomic64_store(&object, 1, RELAXED);
    CU_ASSERT_EQUAL(__tsan_atomic64_fetch_add(&object, 1, RELAXED), 1);
    CU_ASSERT_EQUAL(__tsan_atomic64_load(&object, RELAXED), 2);
    CU_ASSERT_EQUAL(__tsan_atomic64_load(&object, SEQ_CST), 2);
    CU_ASSERT_STRING_EQUAL(told, "");
    hb_bucket(hb_key(HB_ADDRESS, (u64)&object))->first = 1;
    CU_ASSERT_EQUAL(__tsan_atomic64_load(&object, RELAXED), 2);
    CU_ASSERT_STRING_EQUAL(told, "r");
    frames.fenced = true;
    __tsan_atomic64_store(&object, 3, RELAXED);
    CU_ASSERT_STRING_EQUAL(told, "rw");
    CU_ASSERT(!__tsan_atomic64_compare_exchange_strong(&object, &expected, 1, RELAXED, RELAXED));
    CU_ASSERT_STRING_EQUAL(told, "rwr");
    access_frames = NULL;
    cell = 0;
}

/* Between a load and the look at its clock another thread has stored both. */
static void store_meanwhile(void)
{
    object = 22;
    hb_bucket(hb_key(HB_ADDRESS, (u64)&object))->word += HB_STEP;
}
static void a_load_belongs_to_its_clock(void)
{
    begin();
    object = 1;
    interrupt = store_meanwhile;
    CU_ASSERT_EQUAL(__tsan_atomic64_load(&object, ACQUIRE), 22);
    CU_ASSERT_STRING_EQUAL(told, "Rk(a)");
}

UNIT_TESTS("tsan_atomic", {"loads", loads}, {"stores", stores}, {"updates", updates}, {"comparisons", comparisons},
           {"fences", fences}, {"unwatched", unwatched}, {"known", known},
           {"a_load_belongs_to_its_clock", a_load_belongs_to_its_clock})
