/* Vector clocks (FastTrack, Flanagan & Freund 2009, with snapshots shared as in versioned and tree clocks). Called by
 * the engine at every event that orders threads. Takes RANK_THREADS at the start and end of a thread, RANK_ARENA when
 * spare snapshots run out or over; allocates arena records, and a private mapping per clock.
 *
 * What holds for a thread's clock: its snapshot knows nothing that the thread does not know, and in the leaves that are
 * not stale exactly what it knows, the own lane left aside (of that, whoever gets the snapshot also gets the time). */
#include "model/clock.h"

#include <errno.h>
#include <sys/mman.h>

#include "base/sys.h"
#include "model/lanes.h"
#include "model/run.h"
#include "model/snapshot.h"

/* In the place of a base: the common times (no item of the arena lies there). */
#define BASE_COMMON 0xffffffffu
/* The mapping: spares, times and the slot that is always zero. */
#define TIMES_AT ((sizeof(struct clock_spares) + 63) & ~63UL)
#define MAP_BYTES (TIMES_AT + (CLOCK_LANES + 1) * sizeof(u64))
#define LEAVES (CLOCK_LANES / CLOCK_LEAF)
#define LEAF_BYTES (CLOCK_LEAF * sizeof(u64))

static u32 leaves_known(const struct clock *c)
{
    return (c->lanes + CLOCK_LEAF - 1) / CLOCK_LEAF;
}
static void leaf_changed(struct clock *c, u32 leaf)
{
    c->stale[leaf / 64] |= 1ULL << leaf % 64;
    c->used[leaf / 64] |= 1ULL << leaf % 64;
}
/* The first used leaf from `leaf` on, LEAVES if there is none. */
static u32 next_used(const struct clock *c, u32 leaf)
{
    for (u32 w = leaf / 64; w < LEAVES / 64; w++, leaf = w * 64) {
        u64 bits = c->used[w] >> leaf % 64;
        if (bits)
            return leaf + (u32)__builtin_ctzll(bits);
    }
    return LEAVES;
}
static void stale_clear(struct clock *c, u32 leaf)
{
    c->stale[leaf / 64] &= ~(1ULL << leaf % 64);
}
static bool stale_is(const struct clock *c, u32 leaf)
{
    return c->stale[leaf / 64] >> leaf % 64 & 1;
}
static bool any_stale(const struct clock *c)
{
    for (u32 i = 0; i * 64 * CLOCK_LEAF < c->lanes; i++)
        if (c->stale[i])
            return true;
    return false;
}

static void learn(struct clock *c, u32 lane, u64 time)
{
    if (lane >= c->lanes)
        c->lanes = lane + 1;
    c->times[lane] = time;
    leaf_changed(c, lane / CLOCK_LEAF);
}

static void base_share(ref_t base)
{
    if (base && base != BASE_COMMON)
        snapshot_share(base);
}
static void base_drop(struct clock_spares *spares, ref_t base)
{
    if (base != BASE_COMMON)
        snapshot_drop(spares, base);
}

/* ---- times of a leaf; differences tell by their sign, which needs no 64-bit comparison of vectors ---- */

static inline bool leaf_newer(const u64 *a, const u64 *than)
{
    u64 signs = 0;
    for (u32 k = 0; k < CLOCK_LEAF; k++)
        signs |= than[k] - a[k];
    return signs >> 63;
}

enum { NEWS = 1, MORE = 2 };
/* a = max(a, b). NEWS: b had something newer; MORE: a had. */
static inline u32 leaf_join(u64 *restrict a, const u64 *restrict b)
{
    u64 news = 0, more = 0;
    for (u32 k = 0; k < CLOCK_LEAF; k++) {
        u64 d = a[k] - b[k];
        news |= d;
        more |= b[k] - a[k];
        a[k] -= d & (0 - (d >> 63));
    }
    return (u32)(news >> 63) * NEWS | (u32)(more >> 63) * MORE;
}

static int memory_ready(struct clock *c)
{
    if (!c->times) {
        char *p = sys_map(MAP_BYTES);
        if (!p)
            return -ENOMEM;
        /* Mappings of many threads lie side by side: a huge page would be charged for a few lanes. */
        sys_call3(SYS_madvise, p, MAP_BYTES, MADV_NOHUGEPAGE);
        c->spares = (struct clock_spares *)p;
        c->times = (u64 *)(p + TIMES_AT);
    }
    for (u32 i = next_used(c, 0); i < LEAVES; i = next_used(c, i + 1))
        __builtin_memset(c->times + i * CLOCK_LEAF, 0, LEAF_BYTES);
    __builtin_memset(c->used, 0, sizeof c->used);
    __builtin_memset(c->stale, 0, sizeof c->stale);
    c->lanes = 0;
    c->snapshot = 0;
    return 0;
}

/* ---- the common times, for when memory or lanes run out ---- */

static void common_raise(u32 lane, u64 time)
{
    u64 *common = common_time(lane);
    if (common && *common < time)
        *common = time;
}

static void common_add(const u64 *leaf, u32 i)
{
    for (u32 k = 0; k < CLOCK_LEAF; k++)
        common_raise(i * CLOCK_LEAF + k, leaf[k]);
}

static SNARL_COLD bool acquire_common(struct clock *c)
{
    bool news = false;
    u64 mask = common_begin();
    for (u32 lane = 0, n = lanes_used(); lane < n; lane++) {
        const u64 *common = common_time(lane);
        if (common && *common > c->times[lane]) {
            learn(c, lane, *common);
            news = true;
        }
    }
    common_end(mask);
    return news;
}

/* ---- lives of threads ---- */

static void lane_set(struct clock *c, u32 lane, u64 first)
{
    c->lane = lane;
    c->times[lane] = first;
    if (lane >= c->lanes)
        c->lanes = lane + 1;
    c->used[lane / CLOCK_LEAF / 64] |= 1ULL << lane / CLOCK_LEAF % 64;
}

/* LANE_FORCED: it comes after all ended threads. */
static int lane_begin(struct clock *c, const struct clock *creator)
{
    u32 lane;
    u64 first;
    int r = lane_take(creator, &lane, &first);
    if (r < 0)
        return r;
    lane_set(c, lane, first);
    /* Who knows a time of this lane passes by all that the last owner left: so that has to be known here, too. */
    if (r == LANE_FORCED)
        acquire_common(c);
    return r;
}

static void copy_known(struct clock *c, const struct clock *from)
{
    if (!from)
        return;
    for (u32 i = next_used(from, 0); i < LEAVES; i = next_used(from, i + 1))
        __builtin_memcpy(c->times + i * CLOCK_LEAF, from->times + i * CLOCK_LEAF, LEAF_BYTES);
    c->lanes = from->lanes;
    __builtin_memcpy(c->used, from->used, sizeof c->used);
    __builtin_memcpy(c->stale, from->stale, sizeof c->stale);
    leaf_changed(c, from->lane / CLOCK_LEAF);
}

static void copy_snapshot(struct clock *c, const struct clock *from)
{
    c->snapshot = from ? from->snapshot : 0;
    base_share(c->snapshot);
}

int clock_start(struct clock *c, const struct clock *creator)
{
    int err = memory_ready(c);
    if (err)
        return err;
    copy_known(c, creator);
    err = lane_begin(c, creator);
    if (err < 0)
        return err;
    copy_snapshot(c, creator);
    return 0;
}

void clock_end(struct clock *c)
{
    snapshot_drop(c->spares, c->snapshot);
    c->snapshot = 0;
    snapshot_give_spares(c->spares);
    u64 mask = common_begin();
    for (u32 i = next_used(c, 0); i < LEAVES; i = next_used(c, i + 1))
        common_add(c->times + i * CLOCK_LEAF, i);
    common_end(mask);
    lane_give(c->lane, clock_now(c));
}

int clock_forked(struct clock *c)
{
    /* The copies of references are the parent's. */
    __builtin_memset(c->spares, 0, sizeof *c->spares);
    c->snapshot = 0;
    __builtin_memcpy(c->stale, c->used, sizeof c->stale);
    int r = lane_begin(c, c);
    return r < 0 ? r : 0;
}

/* ---- twins ---- */

int clock_start_twins(struct clock *c, struct clock *twin, const struct clock *creator, const struct clock *its_twin)
{
    int err = memory_ready(c);
    err = err ? err : memory_ready(twin);
    if (err)
        return err;
    copy_known(c, creator);
    copy_known(twin, its_twin);
    err = lane_begin(c, its_twin);
    if (err < 0)
        return err;
    lane_set(twin, c->lane, clock_now(c));
    if (err == LANE_FORCED)
        acquire_common(twin);
    copy_snapshot(c, creator);
    copy_snapshot(twin, its_twin);
    return 0;
}

void clock_end_twin(struct clock *twin)
{
    snapshot_drop(twin->spares, twin->snapshot);
    twin->snapshot = 0;
    snapshot_give_spares(twin->spares);
}

void clock_forked_twin(struct clock *twin, const struct clock *c)
{
    __builtin_memset(twin->spares, 0, sizeof *twin->spares);
    twin->snapshot = 0;
    __builtin_memcpy(twin->stale, twin->used, sizeof twin->stale);
    clock_join(twin, c);
    lane_set(twin, c->lane, clock_now(c));
}

void clock_join(struct clock *c, const struct clock *from)
{
    for (u32 i = next_used(from, 0); i < LEAVES; i = next_used(from, i + 1))
        if (leaf_join(c->times + i * CLOCK_LEAF, from->times + i * CLOCK_LEAF) & NEWS)
            leaf_changed(c, i);
    if (c->lanes < from->lanes)
        c->lanes = from->lanes;
}

void clock_share(struct clock *twin, const struct clock *c)
{
    if (!c->snapshot || !any_stale(twin) || any_stale(c))
        return;
    for (u32 i = next_used(c, 0); i < LEAVES; i = next_used(c, i + 1))
        if (leaf_newer(c->times + i * CLOCK_LEAF, twin->times + i * CLOCK_LEAF) ||
            leaf_newer(twin->times + i * CLOCK_LEAF, c->times + i * CLOCK_LEAF))
            return;
    snapshot_drop(twin->spares, twin->snapshot);
    __builtin_memset(twin->stale, 0, sizeof twin->stale);
    copy_snapshot(twin, c);
}

/* ---- release ---- */

/* The arena is full: s = all that it knew, with joined, and all that c knows; and what others left there. */
static SNARL_COLD void release_common(struct clock *c, struct sync_clock *s, bool joined)
{
    ref_t base = s->base;
    run_lost(LOSS_arena_full);
    u64 mask = common_begin();
    for (u32 i = next_used(c, 0); i < LEAVES; i = next_used(c, i + 1))
        common_add(c->times + i * CLOCK_LEAF, i);
    if (joined && base != BASE_COMMON) {
        u32 n;
        const ref_t *list = snapshot_list(&base, &n);
        for (u32 i = 0; i < n; i++)
            if (list[i])
                common_add(snapshot_times(list[i]), i);
    }
    if (joined && s->lane < CLOCK_LANES)
        common_raise(s->lane, s->time);
    common_end(mask);
    s->base = BASE_COMMON;
    base_drop(c->spares, base);
}

/* Brings the snapshot up to date and makes it the thread's own. */
static bool snapshot_refresh(struct clock *c)
{
    ref_t *list = snapshot_own_list(c->spares, &c->snapshot, leaves_known(c));
    if (!list)
        return false;
    for (u32 w = 0; w * 64 * CLOCK_LEAF < c->lanes; w++) {
        while (c->stale[w]) {
            u32 i = w * 64 + (u32)__builtin_ctzll(c->stale[w]);
            u64 *times = snapshot_own_leaf(c->spares, &list[i], false);
            if (!times)
                return false;
            __builtin_memcpy(times, c->times + i * CLOCK_LEAF, LEAF_BYTES);
            stale_clear(c, i);
        }
    }
    return true;
}

void clock_release(struct clock *c, struct sync_clock *s)
{
    if (any_stale(c)) {
        if (snarl_likely(snapshot_refresh(c))) {
            /* The second reference; nobody else can reach it yet. */
            __atomic_store_n(&snapshot_at(c->snapshot)->count, 2, __ATOMIC_RELAXED);
            base_drop(c->spares, s->base);
            s->base = c->snapshot;
        } else {
            release_common(c, s, false);
        }
    } else if (s->base != c->snapshot) {
        base_share(c->snapshot);
        base_drop(c->spares, s->base);
        s->base = c->snapshot;
    }
    s->lane = c->lane;
    s->time = clock_now(c);
}

/* c knows all that s knows. */
static bool knows(const struct clock *c, const struct sync_clock *s)
{
    if (s->lane < CLOCK_LANES)
        return s->time <= c->times[s->lane];
    if (s->base == BASE_COMMON)
        return false;
    u32 n, nown;
    const ref_t *list = snapshot_list(&s->base, &n), *own = snapshot_list(&c->snapshot, &nown);
    for (u32 i = 0; i < n; i++)
        if (list[i] && !(i < nown && own[i] == list[i]) &&
            leaf_newer(snapshot_times(list[i]), c->times + i * CLOCK_LEAF))
            return false;
    return true;
}

/* The leaf at *place grows by leaf i of what c knows. */
static bool leaf_grow(struct clock *c, ref_t *place, u32 i)
{
    static const u64 nothing[CLOCK_LEAF];
    const u64 *mine = c->times + i * CLOCK_LEAF;
    if (!leaf_newer(mine, *place ? snapshot_times(*place) : nothing))
        return true;
    u64 *times = snapshot_own_leaf(c->spares, place, true);
    if (times)
        leaf_join(times, mine);
    return times;
}

/* The base of s, alone, becomes the union of what s and c know. False when the arena is full: it knows no less than
 * before and nothing else. */
static bool base_grow(struct clock *c, struct sync_clock *s)
{
    u32 n = 0, nown = 0, leaves = leaves_known(c);
    snapshot_list(&s->base, &n);
    if (s->lane < CLOCK_LANES && n <= s->lane / CLOCK_LEAF)
        n = s->lane / CLOCK_LEAF + 1;
    ref_t *list = snapshot_own_list(c->spares, &s->base, n > leaves ? n : leaves);
    if (!list)
        return false;
    if (s->lane < CLOCK_LANES) {
        u64 *times = snapshot_own_leaf(c->spares, &list[s->lane / CLOCK_LEAF], true);
        if (!times)
            return false;
        times[s->lane % CLOCK_LEAF] = s->time; /* what the snapshot had of the own lane was no newer */
    }
    const ref_t *own = snapshot_list(&c->snapshot, &nown);
    for (u32 i = 0; i < leaves; i++) {
        bool same = i < nown && own[i] == list[i] && !stale_is(c, i) && i != c->lane / CLOCK_LEAF;
        if (!same && !leaf_grow(c, &list[i], i))
            return false;
    }
    return true;
}

void clock_release_join(struct clock *c, struct sync_clock *s)
{
    if (knows(c, s)) {
        clock_release(c, s);
        return;
    }
    if (s->base == BASE_COMMON || !base_grow(c, s))
        release_common(c, s, true);
    /* No time of c's lane may stand for this: who learns that time from another of c's releases, earlier or later, does
     * not learn what s knew before. At CLOCK_LANES every thread's time is 0, so that every acquire looks at the base. */
    s->lane = CLOCK_LANES;
    s->time = 1;
}

/* ---- acquire ---- */

/* Leaf i of c's snapshot becomes `leaf`, which is exactly what c knows there. */
static bool leaf_adopt(struct clock *c, u32 i, ref_t leaf)
{
    ref_t *list = snapshot_own_list(c->spares, &c->snapshot, leaves_known(c));
    if (!list)
        return false;
    snapshot_share(leaf);
    snapshot_drop(c->spares, list[i]);
    list[i] = leaf;
    stale_clear(c, i);
    return true;
}

/* c grows by the base of s. */
static bool acquire_base(struct clock *c, const struct sync_clock *s)
{
    u32 n, nown, own_leaf = c->lane / CLOCK_LEAF, left_leaf = s->lane / CLOCK_LEAF;
    const ref_t *list = snapshot_list(&s->base, &n), *own = snapshot_list(&c->snapshot, &nown);
    bool news = false;
    if (c->lanes < n * CLOCK_LEAF)
        c->lanes = n * CLOCK_LEAF;
    for (u32 i = 0; i < n; i++) {
        if (!list[i] || (i < nown && own[i] == list[i]))
            continue;
        u32 how = leaf_join(c->times + i * CLOCK_LEAF, snapshot_times(list[i]));
        if (how & NEWS) {
            leaf_changed(c, i);
            news = true;
        }
        /* Where nothing is added to it, the other's leaf serves as well as a copy, and next time one look at the
         * reference is enough. Not where the two threads' own times run: those leaves never stay the same. */
        bool adopt = !(how & MORE) && i != own_leaf && i != left_leaf &&
                     (how & NEWS || (c->snapshot && snapshot_is_own(c->snapshot)));
        if (adopt && leaf_adopt(c, i, list[i]))
            own = snapshot_list(&c->snapshot, &nown);
    }
    return news;
}

bool clock_acquire_slow(struct clock *c, const struct sync_clock *s)
{
    bool news = false;
    if (s->base == BASE_COMMON)
        news = acquire_common(c);
    else if (s->base && s->base != c->snapshot)
        news = acquire_base(c, s);
    if (s->lane < CLOCK_LANES && s->time > c->times[s->lane]) {
        learn(c, s->lane, s->time);
        news = true;
    }
    return news;
}

/* ---- sync clocks ---- */

void sync_clock_copy(struct clock *c, struct sync_clock *to, const struct sync_clock *from)
{
    ref_t old = to->base;
    base_share(from->base);
    *to = *from;
    base_drop(c ? c->spares : NULL, old);
}

void sync_clock_clear(struct clock *c, struct sync_clock *s)
{
    base_drop(c ? c->spares : NULL, s->base);
    *s = (struct sync_clock){0, 0, 0};
}

bool sync_clock_knows(const struct sync_clock *s, u32 lane, u64 time)
{
    u32 n = 0, i = lane / CLOCK_LEAF;
    const ref_t *list = s->base == BASE_COMMON ? NULL : snapshot_list(&s->base, &n);
    bool in_base = !list || (i < n && list[i] && snapshot_times(list[i])[lane % CLOCK_LEAF] >= time);
    return in_base || (s->lane == lane && s->time >= time);
}
