/* Vector clocks: what a thread knows of every other thread's past (happens-before).
 *
 * Each thread that lives owns a lane, on which its own time runs. A thread's clock says, for each lane, up to which time
 * everything done there happened before what the thread does now. Threads keep theirs in private memory (struct clock);
 * what a release leaves for a later acquire (struct sync_clock) lies in the arena, so that it reaches other processes of
 * the run too.
 *
 * A release does not copy the clock: it leaves the thread's own lane and time, and a reference to a snapshot of all the
 * other lanes that is shared, counted and immutable, and made anew only in the parts where the thread has learned
 * something since the last one (leaves of CLOCK_LEAF lanes under a top node: a join or copy costs by what changed, as in
 * Mathur et al. 2022, with a tree of fixed shape). An acquire that finds nothing new ends at one comparison: a thread
 * that knows another at some time knows all that the other knew then.
 *
 * The rule of ticks: after a thread has left its time somewhere (clock_release, clock_release_join, as the creator in
 * clock_start, in the parent after a fork) it ticks before its next access and before its next acquire. So a time stands
 * for one state of knowledge, and that one comparison is right. Only at a thread's end there is no tick between its last
 * release and clock_end: who knows that release knows the end, and the lane can serve again.
 *
 * A release that joins leaves what no thread has known at any one time; no (lane, time) stands for it, so its lane is
 * CLOCK_LANES, at which every thread's time is 0, and each acquire compares the lanes themselves. It becomes an
 * ordinary one again as soon as a thread that knows all of it releases.
 *
 * When the arena is full nothing is left out: the release joins one run-wide set of times that every acquire of such a
 * sync_clock takes over as a whole (model/lanes.h). That orders more than the program did, so it can hide a race but
 * never invent one. Counted as LOSS_arena_full. The same set holds all that ended threads knew: when no lane is left
 * that is fresh or known to have ended, any ended one serves, for a thread that comes after all of those (counted as
 * LOSS_lanes_forced).
 *
 * Thread safety: a struct clock belongs to its thread; a struct sync_clock is protected by its owner's lock or by the
 * caller. Snapshots' counts are atomic. Times never wrap (63 bits are used). */
#ifndef SNARL_MODEL_CLOCK_H
#define SNARL_MODEL_CLOCK_H

#include "base/types.h"

#define CLOCK_LANES 65536u /* threads whose pasts can be told apart at one time, over the whole run */
#define CLOCK_LEAF 16u
#define LANE_PAGE 256u /* lanes whose run-wide records are made together */

struct clock_spares; /* model/snapshot.h */

/* All zero before its first start. */
struct clock {
    u64 *times; /* [CLOCK_LANES + 1], zero where nothing is known, the last one always; times[lane] is the own time */
    u32 lane;
    u32 lanes; /* no lane from here on is known */
    ref_t snapshot;
    struct clock_spares *spares;
    u64 used[CLOCK_LANES / CLOCK_LEAF / 64];  /* leaves in which something is known */
    u64 stale[CLOCK_LANES / CLOCK_LEAF / 64]; /* leaves that the snapshot has older; the own time never makes one so */
};

/* What a release has left. All zero: nothing. 16 bytes. Where a forked child has a copy of one it overwrites that
 * without clearing it: the reference is the parent's. */
struct sync_clock {
    u64 time;   /* of lane */
    u32 lane;   /* CLOCK_LANES: joined, all is in the base */
    ref_t base; /* snapshot of the other lanes, counted; 0: nothing known of them */
};

/* A clock for a thread that starts after everything `creator` knows (NULL: after nothing), on a lane of its own: one
 * whose last owner's end the creator knows, if there is such a lane, else a fresh one. *c is all zero or was ended; its
 * memory serves again. `creator` does not change meanwhile. 0, -ENOMEM, or -EAGAIN when all lanes are in use by living
 * threads (the caller counts it; the thread then is not watched). Takes the run's threads lock. */
int clock_start(struct clock *c, const struct clock *creator);
/* The thread has ended: its lane may serve another one that comes after it. Takes the run's threads lock. */
void clock_end(struct clock *c);
/* In a forked child, for the copy of the forking thread's clock: a lane of its own, after all that the parent's knew.
 * As clock_start; after a failure *c must not be used (clock_end neither). */
int clock_forked(struct clock *c);

/* ---- twins: two clocks of one thread, on one lane, for two orders. What releases leave in the one order never meets what
 * they leave in the other. Both tick together. ---- */
/* Both at once; the lane is one whose last owner's end the creator's twin knows, which is to know less than its clock. As
 * clock_start. clock_end ends `c`; clock_end_twin, before it, the other one. */
int clock_start_twins(struct clock *c, struct clock *twin, const struct clock *creator, const struct clock *its_twin);
void clock_end_twin(struct clock *twin);
/* After clock_forked of c: the twin knows all that c knows. */
void clock_forked_twin(struct clock *twin, const struct clock *c);
/* c learns all that its twin knows. */
void clock_join(struct clock *c, const struct clock *from);
/* After a release of c: where both know the same, they share the snapshot. Changes only what it costs. */
void clock_share(struct clock *twin, const struct clock *c);

static inline u64 clock_time(const struct clock *c, u32 lane)
{
    return c->times[lane];
}
static inline u64 clock_now(const struct clock *c)
{
    return c->times[c->lane];
}
/* What follows is later than all that was left so far. */
static inline void clock_tick(struct clock *c)
{
    c->times[c->lane]++;
}

/* s = what c knows now. */
void clock_release(struct clock *c, struct sync_clock *s);
/* The same where s mostly is what c has left there before, and c has learned nothing since. */
static inline bool clock_has_left(const struct clock *c, const struct sync_clock *s)
{
    return s->lane == c->lane && s->base == c->snapshot && c->lanes <= 64 * CLOCK_LEAF && !c->stale[0] && s->time;
}
static inline void clock_release_again(struct clock *c, struct sync_clock *s)
{
    if (snarl_likely(clock_has_left(c, s)))
        s->time = clock_now(c);
    else
        clock_release(c, s);
}
/* s grows by what c knows. */
void clock_release_join(struct clock *c, struct sync_clock *s);
/* c grows by s; true when it learned something. */
bool clock_acquire_slow(struct clock *c, const struct sync_clock *s);
static inline bool clock_acquire(struct clock *c, const struct sync_clock *s)
{
    return s->time > c->times[s->lane] && clock_acquire_slow(c, s);
}
/* Is that time of that lane in s? */
bool sync_clock_knows(const struct sync_clock *s, u32 lane, u64 time);
/* to = a copy of from; what `to` held is given back. */
void sync_clock_copy(struct clock *c, struct sync_clock *to, const struct sync_clock *from);
/* s = nothing. c in both: of the calling thread, for its spare memory; NULL when it has none. */
void sync_clock_clear(struct clock *c, struct sync_clock *s);

#endif
