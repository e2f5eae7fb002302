/* Lanes of the whole run, in records of LANE_PAGE that are made when the first of them is needed and stay. Called by
 * model/clock.c. Takes RANK_THREADS, and RANK_ARENA for the common times; allocates arena blobs.
 *
 * Ended lanes stand in two lists, so that each step is one store and a killed process can lose lanes but never have one
 * handed out twice: `ended`, newest first, is searched; what does not fit moves to `passed`, which takes the place of
 * `ended` when that is empty. So every ended lane gets its turn although a search is short. */
#include "model/lanes.h"

#include <errno.h>

#include "model/run.h"

#define SEARCH_STEPS 64u

struct lane_rec {
    u64 last;   /* time of the last owner's end */
    u64 common; /* guarded by the arena's lock */
    u32 next;   /* lane + 1 of the next in its list */
    u32 reserved;
};

static struct lane_rec *lane_at(u32 lane)
{
    ref_t page = __atomic_load_n(&run()->lane_pages[lane / LANE_PAGE], __ATOMIC_ACQUIRE);
    return page ? (struct lane_rec *)arena_at(page) + lane % LANE_PAGE : NULL;
}

/* The first ended lane leaves its list. Threads lock held, like below. */
static struct lane_rec *pop_ended(struct run_state *rs, u32 *lane)
{
    if (!rs->ended_lanes) {
        u32 passed = rs->passed_lanes;
        __atomic_store_n(&rs->passed_lanes, 0, __ATOMIC_RELEASE);
        __atomic_store_n(&rs->ended_lanes, passed, __ATOMIC_RELEASE);
    }
    if (!rs->ended_lanes)
        return NULL;
    *lane = rs->ended_lanes - 1;
    struct lane_rec *l = lane_at(*lane);
    __atomic_store_n(&rs->ended_lanes, l->next, __ATOMIC_RELEASE);
    return l;
}

static bool take_known(struct run_state *rs, const struct clock *creator, u32 *lane, u64 *first)
{
    for (u32 steps = 0; steps < SEARCH_STEPS; steps++) {
        struct lane_rec *l = pop_ended(rs, lane);
        if (!l)
            return false;
        if (l->last <= creator->times[*lane]) {
            *first = l->last + 1;
            return true;
        }
        l->next = rs->passed_lanes;
        __atomic_store_n(&rs->passed_lanes, *lane + 1, __ATOMIC_RELEASE);
    }
    return false;
}

static int take_any(struct run_state *rs, u32 *lane, u64 *first)
{
    const struct lane_rec *l = pop_ended(rs, lane);
    if (!l)
        return -EAGAIN;
    *first = l->last + 1;
    run_lost(LOSS_lanes_forced);
    return LANE_FORCED;
}

static int take_fresh(struct run_state *rs, u32 *lane, u64 *first)
{
    u32 at = rs->next_lane;
    if (at >= CLOCK_LANES)
        return -EAGAIN;
    ref_t *page = &rs->lane_pages[at / LANE_PAGE];
    if (!*page) {
        ref_t r = arena_blob(LANE_PAGE * sizeof(struct lane_rec));
        if (!r) {
            run_lost(LOSS_arena_full);
            return -ENOMEM;
        }
        __atomic_store_n(page, r, __ATOMIC_RELEASE);
    }
    __atomic_store_n(&rs->next_lane, at + 1, __ATOMIC_RELEASE);
    *lane = at;
    *first = 1; /* 0 means "nothing known" */
    return 0;
}

int lane_take(const struct clock *creator, u32 *lane, u64 *first)
{
    struct run_state *rs = run();
    u64 mask = ilock_acquire(&rs->threads_lock);
    int err = creator && take_known(rs, creator, lane, first) ? 0 : take_fresh(rs, lane, first);
    if (err == -EAGAIN)
        err = take_any(rs, lane, first);
    ilock_release(&rs->threads_lock, mask);
    return err;
}

void lane_give(u32 lane, u64 last)
{
    struct run_state *rs = run();
    u64 mask = ilock_acquire(&rs->threads_lock);
    struct lane_rec *l = lane_at(lane);
    l->last = last;
    l->next = rs->ended_lanes;
    __atomic_store_n(&rs->ended_lanes, lane + 1, __ATOMIC_RELEASE);
    ilock_release(&rs->threads_lock, mask);
}

u32 lanes_used(void)
{
    return __atomic_load_n(&run()->next_lane, __ATOMIC_ACQUIRE);
}

u64 common_begin(void)
{
    return ilock_acquire(&arena_header()->lock);
}

void common_end(u64 mask)
{
    ilock_release(&arena_header()->lock, mask);
}

u64 *common_time(u32 lane)
{
    struct lane_rec *l = lane_at(lane);
    return l ? &l->common : NULL;
}
