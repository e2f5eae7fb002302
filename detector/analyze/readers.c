/* The table of sets of readers. Called by the slow path of accesses; lock-free, allocates nothing after readers_start.
 *
 * Numbers and memory are in two halves: one serves, the other is empty, or its sets are being moved to the first. */
#include "analyze/readers.h"

#include <errno.h>
#include <sys/mman.h>

#include "base/hash.h"
#include "base/reserve.h"
#include "base/sys.h"

#define HALF (READERS_SETS / 2)
#define BUCKETS (1u << 16)
#define UNIT 16u
#define POOL_UNITS (1u << 24) /* of a half: 256 MiB */

u32 readers_limit = HALF;

struct half {
    u32 *buckets;
    u32 used, units_used; /* of this half's */
};
static struct half halves[2] = {{.used = 1}, {.used = 1}};
static u32 serving;
static u32 mark = ~0u; /* sets used when they are worth moving again */
static char *pool;     /* address space; touched as used */
static u32 *offsets;   /* by number, in units */

int readers_start(void)
{
    if (!pool) {
        offsets = reserve_map(READERS_SETS * sizeof *offsets);
        for (u32 h = 0; h < 2; h++)
            halves[h].buckets = reserve_map(BUCKETS * sizeof(u32));
        pool = reserve_map(2ULL * POOL_UNITS * UNIT);
    }
    return pool && offsets && halves[0].buckets && halves[1].buckets ? 0 : -ENOMEM;
}

static struct readers *set_of(u32 index)
{
    return (struct readers *)(void *)(pool + (u64)offsets[index] * UNIT);
}

const struct readers *readers_at(u32 number)
{
    return set_of(number - READERS_FIRST);
}

static void sort(u64 *m, u32 n)
{
    for (u32 i = 1; i < n; i++) {
        u64 x = m[i];
        u32 k = i;
        for (; k > 0 && m[k - 1] > x; k--)
            m[k] = m[k - 1];
        m[k] = x;
    }
}

static u32 find(u32 first, const u64 *m, u32 n)
{
    for (u32 i = first; i; i = set_of(i)->next)
        if (set_of(i)->n == n && !__builtin_memcmp(set_of(i)->member, m, n * sizeof *m))
            return i;
    return 0;
}

static u32 add(struct half *h, const u64 *m, u32 n)
{
    u32 units = (u32)((sizeof(struct readers) + n * sizeof *m + UNIT - 1) / UNIT), which = (u32)(h - halves);
    u32 spare = readers_limit / 16 < 64 ? readers_limit / 16 : 64; /* threads that come here at once */
    if (__atomic_load_n(&h->used, __ATOMIC_RELAXED) >= readers_limit - spare ||
        __atomic_load_n(&h->units_used, __ATOMIC_RELAXED) >= POOL_UNITS - 64 * READERS_MAX)
        return 0;
    u32 at = __atomic_fetch_add(&h->units_used, units, __ATOMIC_RELAXED);
    u32 i = which * HALF + __atomic_fetch_add(&h->used, 1, __ATOMIC_RELAXED);
    offsets[i] = which * POOL_UNITS + at;
    struct readers *r = set_of(i);
    r->n = n;
    __builtin_memcpy(r->member, m, n * sizeof *m);
    return i;
}

u64 readers_intern(u64 *m, u32 n)
{
    struct half *h = &halves[__atomic_load_n(&serving, __ATOMIC_ACQUIRE)];
    sort(m, n);
    u32 mask = 0, *bucket = &h->buckets[hash_bytes(m, n * sizeof *m, n) * 0x9e3779b97f4a7c15ULL >> 48];
    for (u32 i = 0; i < n; i++)
        mask |= m[i] & SLOT_MASK;
    u32 first = __atomic_load_n(bucket, __ATOMIC_ACQUIRE), i = find(first, m, n);
    if (!i) {
        i = add(h, m, n);
        if (!i)
            return 0;
        /* Two threads may make the same one at once: each uses its own. */
        set_of(i)->next = first;
        while (!__atomic_compare_exchange_n(bucket, &set_of(i)->next, i, true, __ATOMIC_RELEASE, __ATOMIC_RELAXED))
            ;
    }
    return (READERS_FIRST + i) << SLOT_EPOCH_SHIFT | (m[0] & (SLOT_WRITE | SLOT_ATOMIC)) | mask;
}

u64 readers_make(u64 *m, u32 n)
{
    return n > 1 ? readers_intern(m, n) : n ? m[0] : 0;
}

/* ---- recycling ---- */

static void half_clear(struct half *h)
{
    sys_call3(SYS_madvise, h->buckets, BUCKETS * sizeof *h->buckets, MADV_DONTNEED);
    sys_call3(SYS_madvise, pool + (u64)(h - halves) * POOL_UNITS * UNIT, (u64)h->units_used * UNIT, MADV_DONTNEED);
    h->used = 1;
    h->units_used = 0;
}

/* How full the half is, of readers_limit. */
static u32 fullness(const struct half *h)
{
    u32 used = __atomic_load_n(&h->used, __ATOMIC_RELAXED);
    u64 units = __atomic_load_n(&h->units_used, __ATOMIC_RELAXED) * (u64)readers_limit / POOL_UNITS;
    return used > units ? used : (u32)units;
}

bool readers_wanted(void)
{
    u32 full = fullness(&halves[serving]);
    return full >= readers_limit / 4 * 3 && (mark == ~0u || full >= mark);
}

void readers_switch(void)
{
    __atomic_store_n(&serving, !serving, __ATOMIC_SEQ_CST);
}

bool readers_condemned(u32 number)
{
    return (number - READERS_FIRST) / HALF != serving;
}

void readers_retire(u32 *by_set)
{
    struct half *old = &halves[!serving];
    u32 full = fullness(&halves[serving]);
    __builtin_memset(by_set + !serving * HALF, 0, (old->used < HALF ? old->used : HALF) * sizeof *by_set);
    half_clear(old);
    mark = full + (readers_limit - full) / 2; /* full for good: the other ways to keep readers have to do */
}

void readers_reset(void)
{
    if (!pool)
        return;
    half_clear(&halves[0]);
    half_clear(&halves[1]);
    serving = 0;
    mark = ~0u;
}
