/* Who has written shared memory last, holding which locks: for lost updates between processes (atomicity.h). Called by
 * accesses made with locks held. Takes RANK_SHARED; allocates its table in the arena at the first write.
 *
 * The table has one place for several bytes, which serves the latest of them, and knows the last writer of each and the
 * last one before from another thread: whoever has read and is about to write asks for the last write of the others. */
#include "analyze/atomicity.h"
#include "analyze/shared.h"

#include "base/hash.h"

#define PLACES 8192u

struct shared_written {
    u64 key; /* 0: none, or one that was left half done */
    struct writer last, before;
};

/* The bytes' name in the run, 0: they are not shared. */
static u64 key_of(u64 key)
{
    u64 addr = key >> 8;
    if (!shadow_covers(addr, GRANULE) || !cell_is_shared(__atomic_load_n(shadow_cell(addr), __ATOMIC_RELAXED)))
        return 0;
    u64 wide = hb_widen(addr);
    return hb_is_wide(wide) ? hash_combine(wide, key & SLOT_MASK) | 1 : 0;
}

static struct shared_written *place_of(u64 key)
{
    struct shared_run *s = shared_run();
    ref_t table = s ? __atomic_load_n(&s->written, __ATOMIC_ACQUIRE) : 0, none = 0;
    if (s && !table) {
        table = arena_blob(PLACES * sizeof(struct shared_written));
        if (table && !__atomic_compare_exchange_n(&s->written, &none, table, false, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE))
            table = none;
    }
    return table ? (struct shared_written *)arena_at(table) + key % PLACES : NULL;
}

static u64 guard_take(u64 key, struct shared_bucket **guard)
{
    *guard = &shared_run()->guards[key % PLACES % SHARED_GUARDS];
    return ilock_acquire(&(*guard)->lock);
}

void shared_wrote(struct accesses *a, u64 key, ref_t stack)
{
    u64 wide = a->pairs->now.lock[0].uid ? key_of(key) : 0;
    struct shared_written *w = wide ? place_of(wide) : NULL;
    struct shared_bucket *guard;
    if (!w)
        return;
    struct writer now = a->pairs->now;
    now.lane = a->clock.lane;
    now.number = a->number;
    now.thread = a->owner->ref;
    now.stack = stack;
    u64 mask = guard_take(wide, &guard);
    bool same = w->key == wide;
    w->key = 0;
    __atomic_signal_fence(__ATOMIC_SEQ_CST);
    if (!same)
        w->before = (struct writer){0};
    else if (w->last.number != now.number)
        w->before = w->last;
    w->last = now;
    __atomic_store_n(&w->key, wide, __ATOMIC_RELEASE);
    ilock_release(&guard->lock, mask);
}

/* The last write by somebody else. */
static bool last_by_other(u64 key, u32 number, struct writer *out)
{
    u64 wide = key_of(key);
    const struct shared_written *w = wide ? place_of(wide) : NULL;
    struct shared_bucket *guard;
    if (!w)
        return false;
    u64 mask = guard_take(wide, &guard);
    *out = w->last.number != number ? w->last : w->before;
    bool found = w->key == wide && out->number && out->number != number;
    ilock_release(&guard->lock, mask);
    return found;
}

bool shared_written_by_others(u64 key, u32 number)
{
    struct writer w;
    return last_by_other(key, number, &w);
}

bool shared_written_last(u64 key, u32 number, u32 uid, struct writer *out)
{
    return last_by_other(key, number, out) && out->lane < TAKEN_LANES && section_index(out->lock, uid) >= 0;
}
