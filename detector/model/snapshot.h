/* Snapshots of vector clocks in the arena: counted, and immutable as soon as two refer to one.
 *
 * A snapshot is a leaf (the times of lanes 0 to 15) or a top: references to leaves, 0 where all times are zero. Tops
 * come in a few sizes. Leaves are shared between tops. Who holds the only reference may change what it refers to:
 * nobody else can reach it, and another reference can only be made from that one.
 *
 * A place that holds a reference (struct clock, struct sync_clock, a top) is protected by its owner; the counts are
 * atomic, since snapshots are shared by threads and processes. */
#ifndef SNARL_MODEL_SNAPSHOT_H
#define SNARL_MODEL_SNAPSHOT_H

#include "base/arena.h"
#include "model/clock.h"

/* X(name of the pool, bytes, leaves, taken from the arena at once, kept at most) */
#define SNAPSHOT_SIZES(X)                                                                                              \
    X(CLOCK_LEAF, sizeof(struct snapshot_leaf), 1, 16, 48)                                                             \
    X(CLOCK_SMALL, 64, 12, 16, 48)                                                                                     \
    X(CLOCK_MIDDLE, 256, 60, 8, 24)                                                                                    \
    X(CLOCK_LARGE, 2048, 508, 2, 6)                                                                                    \
    X(CLOCK_HUGE, sizeof(struct snapshot) + 4 * (CLOCK_LANES / CLOCK_LEAF), CLOCK_LANES / CLOCK_LEAF, 1, 1)
enum snapshot_size {
#define X(pool, bytes, leaves, batch, keep) SIZE_##pool,
    SNAPSHOT_SIZES(X)
#undef X
        SIZE_COUNT
};
#define SPARES_MOST 48

/* Head of a leaf and of a top. */
struct snapshot {
    u32 count;
    u32 size;   /* enum snapshot_size */
    u32 leaves; /* of a top, in use */
    u32 reserved;
};
struct snapshot_leaf {
    struct snapshot head;
    u64 times[CLOCK_LEAF];
};
struct snapshot_top {
    struct snapshot head;
    ref_t leaf[];
};

/* A thread's spare nodes. */
struct clock_spares {
    u32 n[SIZE_COUNT];
    ref_t item[SIZE_COUNT][SPARES_MOST];
};

static inline struct snapshot *snapshot_at(ref_t r)
{
    return arena_at(r);
}
static inline const u64 *snapshot_times(ref_t leaf)
{
    return ((const struct snapshot_leaf *)arena_at(leaf))->times;
}
/* Its only reference is the caller's. Acquire: what others did before they gave theirs back is over. */
static inline bool snapshot_is_own(ref_t r)
{
    return __atomic_load_n(&snapshot_at(r)->count, __ATOMIC_ACQUIRE) == 1;
}
static inline void snapshot_share(ref_t r)
{
    __atomic_fetch_add(&snapshot_at(r)->count, 1, __ATOMIC_RELAXED);
}
/* The references to leaves of the snapshot that is held at `place` (a lone leaf is its own list). */
static inline const ref_t *snapshot_list(const ref_t *place, u32 *n)
{
    if (!*place) {
        *n = 0;
        return place;
    }
    const struct snapshot *s = snapshot_at(*place);
    *n = s->size == SIZE_CLOCK_LEAF ? 1 : s->leaves;
    return s->size == SIZE_CLOCK_LEAF ? place : ((const struct snapshot_top *)s)->leaf;
}

/* Gives a reference back (0: nothing). spares may be NULL. */
void snapshot_drop(struct clock_spares *spares, ref_t r);
/* Makes what is held at *place the caller's own, with at least `leaves` leaves, and returns its list for changing: each
 * entry is a place of its own. NULL when the arena is full; nothing has changed then. */
ref_t *snapshot_own_list(struct clock_spares *spares, ref_t *place, u32 leaves);
/* Makes the leaf held at *place the caller's own and returns its times; they are as before (zero where there was none)
 * with `keep`, else unspecified. NULL when the arena is full. */
u64 *snapshot_own_leaf(struct clock_spares *spares, ref_t *place, bool keep);
/* All spare nodes go back to the arena. */
void snapshot_give_spares(struct clock_spares *spares);

#endif
