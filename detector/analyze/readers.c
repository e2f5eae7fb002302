/* The table of sets of readers. Called by the slow path of accesses; lock-free, allocates nothing after readers_start. */
#include "analyze/readers.h"

#include <errno.h>
#include <sys/mman.h>

#include "base/hash.h"
#include "base/sys.h"

#define SETS (EPOCHS - READERS_FIRST)
#define BUCKETS (1u << 16)
#define UNIT 16u
#define POOL_UNITS (1u << 25) /* 512 MiB */

static char *pool;   /* address space; touched as used */
static u32 *offsets; /* by number, in units */
static u32 *buckets;
static u32 used = 1, units_used;

int readers_start(void)
{
    if (!pool) {
        offsets = sys_map(SETS * sizeof *offsets);
        buckets = sys_map(BUCKETS * sizeof *buckets);
        pool = sys_map((u64)POOL_UNITS * UNIT);
    }
    return pool && offsets && buckets ? 0 : -ENOMEM;
}

static struct readers *set_of(u32 index)
{
    return (struct readers *)(void *)(pool + (u64)offsets[index] * UNIT);
}

const struct readers *readers_at(u32 number)
{
    return set_of(number - READERS_FIRST);
}

static void sort(struct crowd_slot *m, u32 n)
{
    for (u32 i = 1; i < n; i++) {
        struct crowd_slot x = m[i];
        u32 k = i;
        for (; k > 0 && m[k - 1].slot > x.slot; k--)
            m[k] = m[k - 1];
        m[k] = x;
    }
}

static u32 find(u32 first, const struct crowd_slot *m, u32 n)
{
    for (u32 i = first; i; i = set_of(i)->next)
        if (set_of(i)->n == n && !__builtin_memcmp(set_of(i)->member, m, n * sizeof *m))
            return i;
    return 0;
}

static u32 add(const struct crowd_slot *m, u32 n)
{
    u32 units = (u32)((sizeof(struct readers) + n * sizeof *m + UNIT - 1) / UNIT);
    if (__atomic_load_n(&used, __ATOMIC_RELAXED) >= SETS - 64 ||
        __atomic_load_n(&units_used, __ATOMIC_RELAXED) >= POOL_UNITS - 64 * READERS_MAX)
        return 0;
    u32 at = __atomic_fetch_add(&units_used, units, __ATOMIC_RELAXED);
    u32 i = __atomic_fetch_add(&used, 1, __ATOMIC_RELAXED);
    offsets[i] = at;
    struct readers *r = set_of(i);
    r->n = n;
    __builtin_memcpy(r->member, m, n * sizeof *m);
    return i;
}

struct crowd_slot readers_make(struct crowd_slot *m, u32 n)
{
    struct crowd_slot none = {0, 0};
    if (n < 2)
        return n ? m[0] : none;
    sort(m, n);
    u32 mask = 0, *bucket = &buckets[hash_bytes(m, n * sizeof *m, n) * 0x9e3779b97f4a7c15ULL >> 48];
    for (u32 i = 0; i < n; i++)
        mask |= m[i].slot & SLOT_MASK;
    u32 first = __atomic_load_n(bucket, __ATOMIC_ACQUIRE), i = find(first, m, n);
    if (!i) {
        i = add(m, n);
        if (!i)
            return none;
        /* Two threads may make the same one at once: each uses its own. */
        set_of(i)->next = first;
        while (!__atomic_compare_exchange_n(bucket, &set_of(i)->next, i, true, __ATOMIC_RELEASE, __ATOMIC_RELAXED))
            ;
    }
    return (struct crowd_slot){
        (READERS_FIRST + i) << SLOT_EPOCH_SHIFT | (m[0].slot & (SLOT_WRITE | SLOT_ATOMIC)) | mask, 0};
}

void readers_reset(void)
{
    if (!pool)
        return;
    sys_call3(SYS_madvise, buckets, BUCKETS * sizeof *buckets, MADV_DONTNEED);
    sys_call3(SYS_madvise, pool, (u64)units_used * UNIT, MADV_DONTNEED);
    used = 1;
    units_used = 0;
}
