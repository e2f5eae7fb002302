/* What releases leave that reaches other processes, by key: atomics in memory that they share, pipes and sockets, locks
 * of several processes. Called by hb.c and hb_hold.c. Takes RANK_SHARED, and RANK_ARENA inside; allocates arena records.
 *
 * The releases of atomic operations only join here: none takes the place of an earlier one. So clock and value need not
 * change in one step, and no guard has to be held over the program's own operation, whose process may be killed there: a
 * release is left before it, an acquire made after it. That orders more than the program did when a variable has been
 * released by several, never less. */
#include "analyze/lives.h"
#include "analyze/shared.h"

#include "analyze/hb_table.h"
#include "base/hash.h"

/* Two of each, of which one counts: a process that is killed in the middle leaves the other one as it was. */
struct wide_entry {
    ref_t link;
    ref_t next;
    u64 key;
    u64 same; /* it is known by that key, 0: by its own */
    u32 which;
    u32 reserved;
    struct sync_clock clock[2], weak[2];
};

u64 hb_widen_slow(u64 key)
{
    ref_t object;
    u64 offset;
    if (!shared_at(key, &object, &offset))
        return key;
    u64 number = ((const struct shared_object *)arena_at(object))->number;
    return HB_WIDE | (number & ((1u << SHARED_NUMBER_BITS) - 1)) << SHARED_OFFSET_BITS |
           (offset & ((1ULL << SHARED_OFFSET_BITS) - 1));
}

static struct shared_bucket *bucket_of(u64 key)
{
    struct shared_run *s = shared_run();
    return s ? &s->releases[hash_mix64(key) % WIDE_BUCKETS] : NULL;
}

static struct wide_entry *entry_at(ref_t r)
{
    return arena_at(r);
}

static struct wide_entry *entry_find(const struct shared_bucket *b, u64 key)
{
    for (ref_t r = b->first; r; r = entry_at(r)->next)
        if (entry_at(r)->key == key)
            return entry_at(r);
    return NULL;
}

static struct wide_entry *entry_make(struct shared_bucket *b, u64 key)
{
    struct wide_entry *e = entry_find(b, key);
    ref_t r = e ? 0 : arena_alloc(POOL_RELEASE, sizeof *e);
    if (!r)
        return e;
    e = entry_at(r);
    e->key = key;
    e->next = b->first;
    __atomic_store_n(&b->first, r, __ATOMIC_RELEASE);
    return e;
}

/* The key that stands for this one. */
static u64 key_of(u64 key)
{
    struct shared_bucket *b = key >> 60 == (HB_PIPE | HB_WIDE >> 60) ? bucket_of(key) : NULL;
    if (!b || !__atomic_load_n(&b->first, __ATOMIC_RELAXED))
        return key;
    u64 mask = ilock_acquire(&b->lock);
    const struct wide_entry *e = entry_find(b, key);
    u64 same = e ? e->same : 0;
    ilock_release(&b->lock, mask);
    return same ? same : key;
}

void hb_same(u64 key, u64 other)
{
    u64 to = hb_widen(key), from = hb_widen(other);
    struct shared_bucket *b = bucket_of(from);
    if (!b || from == to)
        return;
    u64 mask = ilock_acquire(&b->lock);
    struct wide_entry *e = entry_make(b, from);
    if (e)
        e->same = to;
    ilock_release(&b->lock, mask);
}

bool hb_is_same(u64 key)
{
    key = hb_widen(key);
    return key_of(key) != key;
}

static void entry_grow(struct accesses *a, struct wide_entry *e, bool replace)
{
    u32 now = e->which & 1, next = now ^ 1;
    if (replace) {
        sync_clock_clear(&a->clock, &e->clock[now]);
        sync_clock_clear(&a->clock, &e->weak[now]);
    }
    sync_clock_copy(&a->clock, &e->clock[next], &e->clock[now]);
    clock_release_join(&a->clock, &e->clock[next]);
    if (a->weak) {
        sync_clock_copy(&a->weak->clock, &e->weak[next], &e->weak[now]);
        clock_release_join(weak_clock(a), &e->weak[next]);
    } else { /* the releaser looks for nothing in that order: it hands on all */
        sync_clock_copy(&a->clock, &e->weak[next], &e->clock[next]);
    }
    __atomic_store_n(&e->which, next, __ATOMIC_RELEASE);
}

void wide_leave(struct accesses *a, u64 key, bool replace)
{
    key = key_of(key);
    struct shared_bucket *b = bucket_of(key);
    if (!b) {
        hb_leave_spilled(a);
        return;
    }
    u64 mask = ilock_acquire(&b->lock);
    struct wide_entry *e = entry_make(b, key);
    if (e)
        entry_grow(a, e, replace);
    ilock_release(&b->lock, mask);
    if (snarl_unlikely(!e))
        hb_leave_spilled(a);
}

bool wide_take(struct accesses *a, u64 key)
{
    key = key_of(key);
    struct shared_bucket *b = bucket_of(key);
    if (!b)
        return false;
    u64 mask = ilock_acquire(&b->lock);
    const struct wide_entry *e = entry_find(b, key);
    bool learned = false;
    if (e) {
        u32 now = e->which & 1;
        if (a->weak)
            weak_learn(a, &e->weak[now]);
        learned = clock_acquire(&a->clock, &e->clock[now]);
    }
    ilock_release(&b->lock, mask);
    if (!e &&
        key >> 60 == (HB_PIPE | HB_WIDE >> 60)) /* from somebody who is not watched, but who may hear from others */
        lives_learn(a, LIVES_ALL);
    else if (learned)
        accesses_learned(a);
    return learned;
}

bool wide_has(u64 key)
{
    struct shared_bucket *b = bucket_of(key);
    if (!b)
        return false;
    u64 mask = ilock_acquire(&b->lock);
    bool has = entry_find(b, key) != NULL;
    ilock_release(&b->lock, mask);
    return has;
}

void wide_forget(struct accesses *a, u64 key)
{
    struct shared_bucket *b = bucket_of(key);
    if (!b)
        return;
    u64 mask = ilock_acquire(&b->lock);
    for (ref_t *at = &b->first; *at; at = &entry_at(*at)->next) {
        ref_t r = *at;
        struct wide_entry *e = entry_at(r);
        if (e->key != key)
            continue;
        *at = e->next;
        for (u32 i = 0; i < 2; i++) {
            sync_clock_clear(&a->clock, &e->clock[i]);
            sync_clock_clear(&a->clock, &e->weak[i]);
        }
        arena_free(POOL_RELEASE, r);
        break;
    }
    ilock_release(&b->lock, mask);
}
