/* The table of sites. Called by the slow path of accesses; lock-free, allocates nothing after site_start. */
#include "analyze/site.h"

#include <errno.h>

#include "base/hash.h"
#include "base/reserve.h"
#include "base/sys.h"
#include "model/run.h"

#define BUCKETS (1u << 18)

static struct site *sites; /* address space for all; touched as used */
static u32 *buckets;
static u32 used = 1;

int site_start(void)
{
    if (sites)
        return 0;
    struct site *s = reserve_map((u64)SITES * sizeof *s);
    buckets = reserve_map(BUCKETS * sizeof *buckets);
    if (!s || !buckets)
        return -ENOMEM;
    sites = s;
    return 0;
}

static u32 site_find(u32 first, ref_t stack, u32 mask, u32 flags, u32 rest)
{
    for (u32 i = first; i; i = sites[i].next)
        if (sites[i].stack == stack && sites[i].mask == mask && sites[i].flags == flags && sites[i].rest == rest)
            return i;
    return 0;
}

u32 site_make(ref_t stack, u32 mask, u32 flags, u32 rest)
{
    u32 *bucket = &buckets[hash_combine((u64)stack << 32 | rest, mask << 8 | flags) & (BUCKETS - 1)];
    u32 first = __atomic_load_n(bucket, __ATOMIC_ACQUIRE), i = site_find(first, stack, mask, flags, rest);
    if (snarl_likely(i))
        return i;
    if (__atomic_load_n(&used, __ATOMIC_RELAXED) >= SITES) {
        run_lost(LOSS_sites_full);
        return 0;
    }
    i = __atomic_fetch_add(&used, 1, __ATOMIC_RELAXED);
    sites[i] = (struct site){.stack = stack, .rest = rest, .mask = (u8)mask, .flags = (u8)flags, .next = first};
    /* Two threads may make the same one at once: each uses its own. */
    while (!__atomic_compare_exchange_n(bucket, &sites[i].next, i, true, __ATOMIC_RELEASE, __ATOMIC_RELAXED))
        ;
    return i;
}

/* Stacks of one slot that are kept apart; the bytes of further ones have none. A parser that touches each byte of a word
 * from another line would otherwise make a site of its own for every word. */
#define PARTS 3u

u32 site_merge(u32 old, u32 old_mask, ref_t stack, u32 mask)
{
    struct {
        ref_t stack;
        u32 mask;
    } part[PARTS + 2];
    u32 n = 0, left = old_mask, k, list = 0;
    for (u32 i = old; i && left && n <= PARTS; i = sites[i].rest) {
        u32 m = left & (sites[i].mask ? sites[i].mask : SLOT_MASK);
        part[n].stack = sites[i].stack;
        part[n].mask = m;
        n += m != 0;
        left &= ~m;
    }
    for (k = 0; k < n && part[k].stack != stack; k++)
        ;
    if (k == n && n >= PARTS) { /* with those that have none */
        stack = 0;
        for (k = 0; k < n && part[k].stack; k++)
            ;
    }
    if (k == n) {
        part[n].stack = stack;
        part[n++].mask = 0;
    }
    part[k].mask |= mask & ~old_mask;
    while (n-- > 0)
        list = site_make(part[n].stack, part[n].mask, 0, list);
    return list;
}

const struct site *site_at(u32 site, u32 byte)
{
    for (u32 i = site; i; i = sites[i].rest)
        if (!sites[i].mask || (sites[i].mask >> byte & 1))
            return &sites[i];
    return NULL;
}
