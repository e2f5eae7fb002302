/* Snapshots of vector clocks. Called by model/clock.c. Takes RANK_ARENA when spares run out or over; allocates arena
 * records. */
#include "model/snapshot.h"

static const struct {
    enum arena_pool pool;
    u32 bytes, leaves, batch, keep;
} sizes[SIZE_COUNT] = {
#define X(pool, bytes, leaves, batch, keep) {POOL_##pool, bytes, leaves, batch, keep},
    SNAPSHOT_SIZES(X)
#undef X
};

static ref_t take(struct clock_spares *spares, u32 size)
{
    u32 *n = &spares->n[size];
    if (!*n)
        *n = arena_alloc_many(sizes[size].pool, sizes[size].bytes, spares->item[size], sizes[size].batch);
    if (!*n)
        return 0;
    ref_t r = spares->item[size][--*n];
    snapshot_at(r)->size = size;
    __atomic_store_n(&snapshot_at(r)->count, 1, __ATOMIC_RELAXED);
    return r;
}

static void put(struct clock_spares *spares, ref_t r)
{
    u32 size = snapshot_at(r)->size;
    if (!spares) {
        arena_free_many(sizes[size].pool, &r, 1);
        return;
    }
    u32 keep = sizes[size].keep;
    if (spares->n[size] == keep) {
        spares->n[size] = keep / 2;
        arena_free_many(sizes[size].pool, &spares->item[size][keep / 2], keep - keep / 2);
    }
    spares->item[size][spares->n[size]++] = r;
}

void snapshot_give_spares(struct clock_spares *spares)
{
    for (u32 size = 0; size < SIZE_COUNT; size++) {
        if (spares->n[size])
            arena_free_many(sizes[size].pool, spares->item[size], spares->n[size]);
        spares->n[size] = 0;
    }
}

/* True when that was the last reference. */
static bool let_go(ref_t r)
{
    return snapshot_is_own(r) || __atomic_fetch_sub(&snapshot_at(r)->count, 1, __ATOMIC_ACQ_REL) == 1;
}

void snapshot_drop(struct clock_spares *spares, ref_t r)
{
    if (!r || !let_go(r))
        return;
    u32 n;
    const ref_t *leaf = snapshot_list(&r, &n);
    for (u32 i = 0; leaf != &r && i < n; i++)
        if (leaf[i] && let_go(leaf[i]))
            put(spares, leaf[i]);
    put(spares, r);
}

ref_t *snapshot_own_list(struct clock_spares *spares, ref_t *place, u32 leaves)
{
    ref_t old = *place;
    u32 n;
    const ref_t *list = snapshot_list(place, &n);
    if (list == place && leaves <= 1)
        return place;
    bool own = old && snapshot_is_own(old);
    struct snapshot_top *top = list == place ? NULL : arena_at(old);
    if (!top || !own || leaves > sizes[top->head.size].leaves) {
        u32 size = SIZE_CLOCK_SMALL;
        while (sizes[size].leaves < (leaves > n ? leaves : n))
            size++;
        ref_t r = take(spares, size);
        if (!r)
            return NULL;
        struct snapshot_top *new = arena_at(r);
        for (u32 i = 0; i < n; i++)
            new->leaf[i] = list[i];
        new->head.leaves = n;
        *place = r;
        /* The references of an own top, or the one to a lone leaf, move over; of a shared top they are doubled. */
        if (top && own)
            put(spares, old);
        for (u32 i = 0; top && !own && i < n; i++)
            if (new->leaf[i])
                snapshot_share(new->leaf[i]);
        if (top && !own)
            snapshot_drop(spares, old);
        top = new;
    }
    for (; top->head.leaves < leaves; top->head.leaves++)
        top->leaf[top->head.leaves] = 0;
    return top->leaf;
}

u64 *snapshot_own_leaf(struct clock_spares *spares, ref_t *place, bool keep)
{
    ref_t old = *place;
    if (!old || !snapshot_is_own(old)) {
        ref_t r = take(spares, SIZE_CLOCK_LEAF);
        if (!r)
            return NULL;
        u64 *times = ((struct snapshot_leaf *)arena_at(r))->times;
        if (keep && old)
            __builtin_memcpy(times, snapshot_times(old), CLOCK_LEAF * sizeof(u64));
        else if (keep)
            __builtin_memset(times, 0, CLOCK_LEAF * sizeof(u64));
        snapshot_drop(spares, old);
        *place = r;
        return times;
    }
    return ((struct snapshot_leaf *)arena_at(old))->times;
}
