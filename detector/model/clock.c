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
/* The mapping: spares, times and the slot that is always zero. Spares and first lanes share a page. */
#define TIMES_AT ((sizeof(struct clock_spares) + 63) & ~63UL)
#define MAP_BYTES (TIMES_AT + (CLOCK_LANES + 1) * sizeof(u64))
/* Lanes that are wiped by storing zeroes; pages behind them go back to the system. */
#define WIPE_LANES 4096u

static u32 leaves_known(const struct clock *c)
{
    return (c->lanes + CLOCK_LEAF - 1) / CLOCK_LEAF;
}
static void stale_set(struct clock *c, u32 leaf)
{
    c->stale[leaf / 64] |= 1ULL << leaf % 64;
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
    stale_set(c, lane / CLOCK_LEAF);
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

static inline bool leaf_empty(const u64 *a)
{
    u64 any = 0;
    for (u32 k = 0; k < CLOCK_LEAF; k++)
        any |= a[k];
    return !any;
}

/* ---- lives of threads ---- */

/* Clears what was used. */
static void wipe(struct clock *c)
{
    u64 *end = c->times + c->lanes;
    u64 pages = ((u64)(c->times + WIPE_LANES) + 4095) & ~4095ULL;
    /* Refused for locked memory. */
    if ((u64)end > pages && sys_call3(SYS_madvise, pages, (u64)end - pages, MADV_DONTNEED) == 0)
        end = (u64 *)pages;
    __builtin_memset(c->times, 0, (u64)end - (u64)c->times);
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
    wipe(c);
    __builtin_memset(c->stale, 0, sizeof c->stale);
    c->lanes = 0;
    c->snapshot = 0;
    return 0;
}

static void lane_set(struct clock *c, u32 lane, u64 first)
{
    c->lane = lane;
    c->times[lane] = first;
    if (lane >= c->lanes)
        c->lanes = lane + 1;
}

int clock_start(struct clock *c, const struct clock *creator)
{
    u32 lane;
    u64 first;
    int err = memory_ready(c);
    if (!err)
        err = lane_take(creator, &lane, &first);
    if (err)
        return err;
    if (creator) {
        /* Page by page only where something is known: what was never touched stays so. */
        for (u32 i = 0, n = leaves_known(creator); i < n; i++)
            if (!leaf_empty(creator->times + i * CLOCK_LEAF))
                __builtin_memcpy(c->times + i * CLOCK_LEAF, creator->times + i * CLOCK_LEAF, CLOCK_LEAF * sizeof(u64));
        c->lanes = creator->lanes;
        c->snapshot = creator->snapshot;
        base_share(c->snapshot);
        __builtin_memcpy(c->stale, creator->stale, sizeof c->stale);
        stale_set(c, creator->lane / CLOCK_LEAF);
    }
    lane_set(c, lane, first);
    return 0;
}

void clock_end(struct clock *c)
{
    snapshot_drop(c->spares, c->snapshot);
    c->snapshot = 0;
    snapshot_give_spares(c->spares);
    lane_give(c->lane, clock_now(c));
}

int clock_forked(struct clock *c)
{
    /* The copies of references are the parent's. */
    __builtin_memset(c->spares, 0, sizeof *c->spares);
    c->snapshot = 0;
    for (u32 i = 0, n = leaves_known(c); i < n; i++)
        if (!leaf_empty(c->times + i * CLOCK_LEAF))
            stale_set(c, i);
    u32 lane;
    u64 first;
    int err = lane_take(c, &lane, &first);
    if (!err)
        lane_set(c, lane, first);
    return err;
}

/* ---- the arena is full: times in common ---- */

static void common_raise(u32 lane, u64 time)
{
    u64 *common = common_time(lane);
    if (common && *common < time)
        *common = time;
}

/* s = all that it knew, with joined, and all that c knows; and what others left there. */
static SNARL_COLD void release_common(struct clock *c, struct sync_clock *s, bool joined)
{
    ref_t base = s->base;
    run_lost(LOSS_arena_full);
    u64 mask = common_begin();
    for (u32 lane = 0; lane < c->lanes; lane++)
        common_raise(lane, c->times[lane]);
    if (joined && base != BASE_COMMON) {
        u32 n;
        const ref_t *list = snapshot_list(&base, &n);
        for (u32 lane = 0; lane < n * CLOCK_LEAF; lane++)
            if (list[lane / CLOCK_LEAF])
                common_raise(lane, snapshot_times(list[lane / CLOCK_LEAF])[lane % CLOCK_LEAF]);
    }
    if (joined && s->lane < CLOCK_LANES)
        common_raise(s->lane, s->time);
    common_end(mask);
    s->base = BASE_COMMON;
    base_drop(c->spares, base);
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

/* ---- release ---- */

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
            __builtin_memcpy(times, c->times + i * CLOCK_LEAF, CLOCK_LEAF * sizeof(u64));
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
        news |= how & NEWS;
        /* Where nothing is added to it, the other's leaf serves as well as a copy, and next time one look at the
         * reference is enough. Not where the two threads' own times run: those leaves never stay the same. */
        bool adopt = !(how & MORE) && i != own_leaf && i != left_leaf &&
                     (how & NEWS || (c->snapshot && snapshot_is_own(c->snapshot)));
        if (adopt && leaf_adopt(c, i, list[i]))
            own = snapshot_list(&c->snapshot, &nown);
        else if (how & NEWS)
            stale_set(c, i);
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
