/* __tsan_atomic*: the atomic operations of programs that a compiler has instrumented (gcc's and clang's thread
 * sanitizer). Called by such code instead of the operation. May wait for a guard of the engine's (hb_hold_take); takes
 * its locks in slow paths; allocates only what the engine does.
 *
 * Each function does the operation with at least the order that it was asked for, and tells the engine before: the
 * access, for what another thread does after it has seen the operation is later; what the order acquires and releases,
 * in one step with the operation. What is known already, relaxed or not yet released by anybody, needs no guard and
 * enters nothing.
 *
 * A faulting address faults before anything is entered: the program's handler then runs watched. */
#include "analyze/access_hot.h"
#include "interceptor.h"

typedef u8 atomic8;
typedef u16 atomic16;
typedef u32 atomic32;
typedef u64 atomic64;
__extension__ typedef unsigned __int128 atomic128;

/* ---- orders ---- */

/* The compilers pass C11's orders as numbers; higher bits are hints. */
static SNARL_HOT int order_of(int order)
{
    order &= 0x7fff;
    return order <= __ATOMIC_SEQ_CST ? order : __ATOMIC_SEQ_CST;
}
static SNARL_HOT bool acquires(int order)
{
    return order != __ATOMIC_RELAXED && order != __ATOMIC_RELEASE;
}
static SNARL_HOT bool releases(int order)
{
    return order >= __ATOMIC_RELEASE;
}

/* ---- 16 bytes ---- */

static SNARL_HOT bool cas_128(volatile atomic128 *a, atomic128 *expected, atomic128 desired)
{
    u64 low = (u64)*expected, high = (u64)(*expected >> 64);
    bool done;
    __asm__ volatile("lock cmpxchg16b %1"
                     : "=@ccz"(done), "+m"(*a), "+a"(low), "+d"(high)
                     : "b"((u64)desired), "c"((u64)(desired >> 64))
                     : "memory");
    *expected = (atomic128)high << 64 | low;
    return done;
}
static SNARL_HOT atomic128 load_128(const volatile atomic128 *a)
{
    atomic128 value = 0;
    cas_128((volatile atomic128 *)(uintptr_t)a, &value, 0);
    return value;
}
#define LOOP_128(name, result)                                                                                         \
    static SNARL_HOT atomic128 name##_128(volatile atomic128 *a, atomic128 v)                                          \
    {                                                                                                                  \
        atomic128 old = load_128(a);                                                                                   \
        while (!cas_128(a, &old, result)) {                                                                            \
        }                                                                                                              \
        return old;                                                                                                    \
    }
LOOP_128(exchange, v)
LOOP_128(fetch_add, old + v)
LOOP_128(fetch_sub, old - v)
LOOP_128(fetch_and, old &v)
LOOP_128(fetch_or, old | v)
LOOP_128(fetch_xor, old ^ v)
LOOP_128(fetch_nand, ~(old &v))

static SNARL_HOT void store_128(volatile atomic128 *a, atomic128 v, int order)
{
    (void)order;
    exchange_128(a, v);
}

/* ---- up to 8 bytes: loads are acquires on x86-64, stores releases, everything else is sequentially consistent ---- */

#define SMALL(bits)                                                                                                    \
    static SNARL_HOT atomic##bits load_##bits(const volatile atomic##bits *a)                                          \
    {                                                                                                                  \
        return __atomic_load_n(a, __ATOMIC_SEQ_CST);                                                                   \
    }                                                                                                                  \
    static SNARL_HOT void store_##bits(volatile atomic##bits *a, atomic##bits v, int order)                            \
    {                                                                                                                  \
        if (order == __ATOMIC_SEQ_CST)                                                                                 \
            __atomic_store_n(a, v, __ATOMIC_SEQ_CST);                                                                  \
        else                                                                                                           \
            __atomic_store_n(a, v, __ATOMIC_RELEASE);                                                                  \
    }                                                                                                                  \
    static SNARL_HOT bool cas_##bits(volatile atomic##bits *a, atomic##bits *expected, atomic##bits desired)           \
    {                                                                                                                  \
        return __atomic_compare_exchange_n(a, expected, desired, false, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);           \
    }                                                                                                                  \
    SMALL_FETCH(bits, exchange, __atomic_exchange_n)                                                                   \
    SMALL_FETCH(bits, fetch_add, __atomic_fetch_add)                                                                   \
    SMALL_FETCH(bits, fetch_sub, __atomic_fetch_sub)                                                                   \
    SMALL_FETCH(bits, fetch_and, __atomic_fetch_and)                                                                   \
    SMALL_FETCH(bits, fetch_or, __atomic_fetch_or)                                                                     \
    SMALL_FETCH(bits, fetch_xor, __atomic_fetch_xor)                                                                   \
    SMALL_FETCH(bits, fetch_nand, __atomic_fetch_nand)
#define SMALL_FETCH(bits, name, builtin)                                                                               \
    static SNARL_HOT atomic##bits name##_##bits(volatile atomic##bits *a, atomic##bits v)                              \
    {                                                                                                                  \
        return builtin(a, v, __ATOMIC_SEQ_CST);                                                                        \
    }
SMALL(8)
SMALL(16)
SMALL(32)
SMALL(64)

/* ---- what the engine is told ---- */

struct site {
    struct thread *t;
    u64 addr;
    u32 size;
    const u64 *fp;
    struct hb_hold hold;
};

static SNARL_HOT void touch(u64 addr)
{
    (void)*(const volatile u8 *)addr;
}

static SNARL_HOT u64 key_of(u64 addr)
{
    return hb_key(HB_ADDRESS, addr);
}

/* False: nobody watches, or not this thread now; then only the operation is to be done. */
static SNARL_HOT bool enter(struct site *s, u64 addr, u32 size, const u64 *fp)
{
    if (snarl_likely(!access_on))
        return false;
    touch(addr);
    s->t = interceptor_enter(fp);
    s->addr = addr;
    s->size = size;
    s->fp = fp;
    s->hold.bucket = NULL;
    return s->t != NULL;
}
static SNARL_HOT void leave(struct site *s)
{
    if (s->hold.bucket)
        hb_hold_give(&s->hold);
    interceptor_leave(s->t);
}

static SNARL_HOT bool in_granule(u64 addr, u32 size)
{
    return addr % GRANULE + size <= GRANULE;
}

static SNARL_HOT void tell_access(struct site *s, u32 write)
{
    u32 kind = ACCESS_ATOMIC | write, mask = granule_mask(s->addr, s->size);
    if (snarl_unlikely(access_now == ACCESS_NO_EPOCH))
        access_epoch_begin(s->t);
    if (snarl_unlikely(!in_granule(s->addr, s->size)))
        access_range(s->t, s->addr, s->size, kind, s->fp);
    else if (!access_is_known(s->addr, mask, kind) && !access_quick(s->t, s->addr, mask, kind, s->fp))
        access_seen(s->t, s->addr, s->size, kind, s->fp);
}

/* What the order means for the clock. */
static SNARL_HOT u32 meaning(int order, bool reads, bool writes)
{
    u32 what = 0;
    if (reads)
        what |= acquires(order) ? HB_ACQUIRE : HB_READ;
    if (writes)
        what |= releases(order) ? HB_RELEASE : HB_WRITE;
    return what;
}

/* A relaxed operation that has happened in this epoch, or none is to be looked at, and that tells nothing of order. */
static SNARL_HOT bool plain_read(u64 addr, u32 size)
{
    return in_granule(addr, size) && access_is_known(addr, granule_mask(addr, size), ACCESS_ATOMIC) &&
           hb_has_nothing(key_of(addr));
}
static SNARL_HOT bool plain_write(u64 addr, u32 size)
{
    const struct access_frames *f = access_frames;
    return f && !f->fenced && in_granule(addr, size) &&
           access_is_known(addr, granule_mask(addr, size), ACCESS_ATOMIC | ACCESS_WRITE);
}

/* Relaxed: no clock has to belong to the value. */
static SNARL_HOT void tell_relaxed(struct site *s, bool reads, bool writes)
{
    if (writes)
        hb_relaxed_write(s->t, key_of(s->addr));
    if (reads)
        hb_relaxed_read(s->t, key_of(s->addr));
}

static SNARL_HOT void before_write(struct site *s, int order, bool reads)
{
    tell_access(s, ACCESS_WRITE);
    if (order == __ATOMIC_RELAXED) {
        tell_relaxed(s, reads, true);
        return;
    }
    hb_hold_take(&s->hold, s->t, key_of(s->addr));
    hb_hold_tell(&s->hold, meaning(order, reads, true) | (reads ? 0 : HB_REPLACE));
}

/* ---- the interface ---- */

#define LOAD(bits)                                                                                                     \
    EXPORT atomic##bits __tsan_atomic##bits##_load(const volatile atomic##bits *a, int order);                         \
    EXPORT atomic##bits __tsan_atomic##bits##_load(const volatile atomic##bits *a, int order)                          \
    {                                                                                                                  \
        struct site s;                                                                                                 \
        atomic##bits value = load_##bits(a);                                                                           \
        order = order_of(order);                                                                                       \
        if (!access_on || (!hb_spilled && plain_read((u64)a, sizeof *a)) ||                                            \
            !enter(&s, (u64)a, sizeof *a, INTERCEPTOR_FP()))                                                           \
            return value;                                                                                              \
        tell_access(&s, 0);                                                                                            \
        u32 word = hb_look(key_of(s.addr));                                                                            \
        value = load_##bits(a);                                                                                        \
        if (!acquires(order)) {                                                                                        \
            tell_relaxed(&s, true, false);                                                                             \
        } else if (!hb_knew(s.t, key_of(s.addr), word)) {                                                              \
            hb_hold_take(&s.hold, s.t, key_of(s.addr));                                                                \
            hb_hold_tell(&s.hold, HB_ACQUIRE);                                                                         \
            value = load_##bits(a);                                                                                    \
        }                                                                                                              \
        leave(&s);                                                                                                     \
        return value;                                                                                                  \
    }

#define STORE(bits)                                                                                                    \
    EXPORT void __tsan_atomic##bits##_store(volatile atomic##bits *a, atomic##bits v, int order);                      \
    EXPORT void __tsan_atomic##bits##_store(volatile atomic##bits *a, atomic##bits v, int order)                       \
    {                                                                                                                  \
        struct site s;                                                                                                 \
        order = order_of(order);                                                                                       \
        if ((order == __ATOMIC_RELAXED && plain_write((u64)a, sizeof *a)) ||                                           \
            !enter(&s, (u64)a, sizeof *a, INTERCEPTOR_FP())) {                                                         \
            store_##bits(a, v, order);                                                                                 \
            return;                                                                                                    \
        }                                                                                                              \
        before_write(&s, order, false);                                                                                \
        store_##bits(a, v, order);                                                                                     \
        leave(&s);                                                                                                     \
    }

#define UPDATE(bits, name)                                                                                             \
    EXPORT atomic##bits __tsan_atomic##bits##_##name(volatile atomic##bits *a, atomic##bits v, int order);             \
    EXPORT atomic##bits __tsan_atomic##bits##_##name(volatile atomic##bits *a, atomic##bits v, int order)              \
    {                                                                                                                  \
        struct site s;                                                                                                 \
        order = order_of(order);                                                                                       \
        if ((order == __ATOMIC_RELAXED && plain_write((u64)a, sizeof *a) && hb_has_nothing(key_of((u64)a))) ||         \
            !enter(&s, (u64)a, sizeof *a, INTERCEPTOR_FP()))                                                           \
            return name##_##bits(a, v);                                                                                \
        before_write(&s, order, true);                                                                                 \
        atomic##bits old = name##_##bits(a, v);                                                                        \
        leave(&s);                                                                                                     \
        return old;                                                                                                    \
    }

/* A comparison that is about to fail is a read only: it must not leave the thread's clock there. Under the guard
 * hardly anything can come between the look and the operation; and then the write was announced in vain. */
#define COMPARE(bits)                                                                                                  \
    static bool compare_##bits(volatile atomic##bits *a, atomic##bits *expected, atomic##bits desired, int order,      \
                               int failure, const u64 *fp)                                                             \
    {                                                                                                                  \
        struct site s;                                                                                                 \
        if (!enter(&s, (u64)a, sizeof *a, fp))                                                                         \
            return cas_##bits(a, expected, desired);                                                                   \
        order = order_of(order);                                                                                       \
        failure = order_of(failure);                                                                                   \
        bool told = load_##bits(a) == *expected;                                                                       \
        tell_access(&s, told ? ACCESS_WRITE : 0);                                                                      \
        if ((order | failure) != __ATOMIC_RELAXED)                                                                     \
            hb_hold_take(&s.hold, s.t, key_of(s.addr));                                                                \
        atomic##bits seen = load_##bits(a);                                                                            \
        bool done = seen == *expected;                                                                                 \
        if (done && !told)                                                                                             \
            tell_access(&s, ACCESS_WRITE);                                                                             \
        if ((order | failure) == __ATOMIC_RELAXED)                                                                     \
            tell_relaxed(&s, true, done);                                                                              \
        else                                                                                                           \
            hb_hold_tell(&s.hold, meaning(done ? order : failure, true, done));                                        \
        if (done)                                                                                                      \
            done = cas_##bits(a, expected, desired);                                                                   \
        else                                                                                                           \
            *expected = seen;                                                                                          \
        leave(&s);                                                                                                     \
        return done;                                                                                                   \
    }                                                                                                                  \
    COMPARE_AS(bits, strong)                                                                                           \
    COMPARE_AS(bits, weak)                                                                                             \
    EXPORT atomic##bits __tsan_atomic##bits##_compare_exchange_val(volatile atomic##bits *a, atomic##bits expected,    \
                                                                   atomic##bits desired, int order, int failure);      \
    EXPORT atomic##bits __tsan_atomic##bits##_compare_exchange_val(volatile atomic##bits *a, atomic##bits expected,    \
                                                                   atomic##bits desired, int order, int failure)       \
    {                                                                                                                  \
        compare_##bits(a, &expected, desired, order, failure, INTERCEPTOR_FP());                                       \
        return expected;                                                                                               \
    }
#define COMPARE_AS(bits, kind)                                                                                         \
    EXPORT int __tsan_atomic##bits##_compare_exchange_##kind(volatile atomic##bits *a, atomic##bits *expected,         \
                                                             atomic##bits desired, int order, int failure);            \
    EXPORT int __tsan_atomic##bits##_compare_exchange_##kind(volatile atomic##bits *a, atomic##bits *expected,         \
                                                             atomic##bits desired, int order, int failure)             \
    {                                                                                                                  \
        atomic##bits seen = *expected;                                                                                 \
        bool done = compare_##bits(a, &seen, desired, order, failure, INTERCEPTOR_FP());                               \
        if (!done)                                                                                                     \
            *expected = seen;                                                                                          \
        return done;                                                                                                   \
    }

#define ATOMIC(bits)                                                                                                   \
    LOAD(bits)                                                                                                         \
    STORE(bits)                                                                                                        \
    UPDATE(bits, exchange)                                                                                             \
    UPDATE(bits, fetch_add)                                                                                            \
    UPDATE(bits, fetch_sub)                                                                                            \
    UPDATE(bits, fetch_and)                                                                                            \
    UPDATE(bits, fetch_or)                                                                                             \
    UPDATE(bits, fetch_xor)                                                                                            \
    UPDATE(bits, fetch_nand)                                                                                           \
    COMPARE(bits)
ATOMIC(8)
ATOMIC(16)
ATOMIC(32)
ATOMIC(64)
ATOMIC(128)

EXPORT void __tsan_atomic_thread_fence(int order);
EXPORT void __tsan_atomic_thread_fence(int order)
{
    struct thread *t = access_on ? interceptor_enter(INTERCEPTOR_FP()) : NULL;
    order = order_of(order);
    if (t && releases(order))
        hb_fence_release(t);
    __atomic_thread_fence(__ATOMIC_SEQ_CST);
    if (t && acquires(order))
        hb_fence_acquire(t);
    if (t)
        interceptor_leave(t);
}

/* Between a thread and its own signal handler only: a matter of the compiler's. */
EXPORT void __tsan_atomic_signal_fence(int order);
EXPORT void __tsan_atomic_signal_fence(int order)
{
    (void)order;
    __atomic_signal_fence(__ATOMIC_SEQ_CST);
}
