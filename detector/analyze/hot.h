/* The engine's inline fast paths: what an uncontended lock or unlock with a known order costs.
 *
 * Touched on the way: the thread's private state, the thread's record (written by it alone), the lock's record. Everything shared is
 * reached only through the *_slow functions, when something new happens. Part of the door engine.h; same rules. */
#ifndef SNARL_ANALYZE_HOT_H
#define SNARL_ANALYZE_HOT_H

#include "analyze/engine.h"
#include "base/hash.h"
#include "model/objects.h"

/* Acquires of one lock whose stack is captured although no order is known of it yet. */
#define CAPTURE_FIRST 64u

extern struct engine_hooks engine_hooks __attribute__((visibility("hidden")));

static inline u32 lock_cache_index(u64 addr)
{
    return (u32)((addr >> 3) ^ (addr >> 11)) & (LOCK_CACHE - 1);
}

static SNARL_HOT struct lock_rec *engine_lock(struct thread *t, u64 addr, enum object_kind kind, u32 attrs, const u64 *fp)
{
    const struct lock_slot *s = &t->lock_cache[lock_cache_index(addr)];
    if (snarl_likely(s->addr == addr)) {
        struct lock_rec *l = arena_at(s->lock);
        if (snarl_likely(l->head.uid == s->uid && l->head.kind == (u8)kind))
            return l;
    }
    return engine_lock_find(t, addr, kind, attrs, fp);
}

static inline u32 order_cache_index(ref_t parent, ref_t lock, u32 seg_mode)
{
    return (u32)(((u64)parent * 0x9e3779b1u ^ (u64)lock * 0x85ebca77u ^ (u64)seg_mode * 0xc2b2ae3du) >> 7) &
           (ORDER_CACHE - 1);
}

/* The node for taking `lock` while at `parent`, when this thread has reported that order, taken in this way (order_way), in this segment;
 * else 0. */
static inline u32 order_way(u32 mode, u32 how)
{
    return mode | (how & (HOW_TRY | HOW_TIMED | HOW_PYTRY)) << 1;
}
static SNARL_HOT ref_t order_cached(struct thread *t, ref_t parent, ref_t lock, u32 way)
{
    u32 seg_mode = t->rec->segment << 4 ^ way;
    const struct order_slot *s = &t->order_cache[order_cache_index(parent, lock, seg_mode)];
    if (snarl_likely(s->parent == parent && s->lock == lock && s->seg_mode == seg_mode))
        return s->child;
    return 0;
}

/* Locks whose every acquire takes the slow path. */
#define ATTRS_SLOW (ATTR_INTERPRETER | ATTR_UNTRACKED | ATTR_WRITER_NONRECURSIVE)

static SNARL_HOT void engine_acquired(struct thread *t, struct lock_rec *l, enum lock_mode mode, u32 how, const u64 *fp)
{
    struct thread_rec *r = t->rec;
    u32 n = r->nheld;
    ref_t lock = arena_ref(l), node = 0;
    if (snarl_unlikely(how || mode != MODE_EXCLUSIVE || l->owner || n >= r->held_cap || (l->head.attrs & ATTRS_SLOW)))
        goto slow;
    if (n) {
        ref_t parent = t->node;
        if (snarl_unlikely(t->order_epoch != run()->order_epoch))
            goto slow;
        if (!parent && n == 1)
            parent = t->held[0].node = t->node = order_cached(t, 0, t->held[0].lock, t->held[0].mode);
        if (snarl_unlikely(!parent || !(node = order_cached(t, parent, lock, MODE_EXCLUSIVE))))
            goto slow;
    }
    struct held_entry *h = &t->held[n];
    h->lock = lock;
    h->node = node;
    h->hold = 0;
    h->stack = 0;
    h->depth = 1;
    h->mode = MODE_EXCLUSIVE;
    h->how = HOW_BLOCK;
    h->site_pc = fp ? fp[1] : 0;
    if (snarl_unlikely(l->nodes || l->acquisitions < CAPTURE_FIRST))
        h->stack = engine_hooks.capture ? engine_hooks.capture(t, fp) : 0;
    t->node = node;
    l->acquisitions++;
    r->operations++;
    __atomic_store_n(&r->nheld, n + 1, __ATOMIC_RELAXED);
    __atomic_store_n(&l->owner, t->ref, __ATOMIC_RELEASE);
    return;
slow:
    engine_acquired_slow(t, l, mode, how, fp);
}

static SNARL_HOT int engine_release(struct thread *t, struct lock_rec *l, const u64 *fp)
{
    struct thread_rec *r = t->rec;
    u32 n = r->nheld;
    if (snarl_unlikely(!n))
        return engine_release_slow(t, l, fp);
    const struct held_entry *h = &t->held[n - 1];
    if (snarl_unlikely(h->lock != arena_ref(l) || h->depth != 1 || h->mode != MODE_EXCLUSIVE || h->how ||
                       l->owner != t->ref))
        return engine_release_slow(t, l, fp);
    t->node = n > 1 ? h[-1].node : 0;
    __atomic_store_n(&l->owner, 0, __ATOMIC_RELEASE);
    __atomic_store_n(&r->nheld, n - 1, __ATOMIC_RELEASE);
    return 0;
}

/* Cheap filter for free() and munmap(): false means that surely no object lives there. */
static inline bool engine_page_may_have_objects(u64 addr)
{
    u64 h = object_page_hash(addr);
    return (object_page_filter[h >> 6] >> (h & 63)) & 1;
}
static SNARL_HOT bool engine_memory_has_objects(u64 addr, u64 size)
{
    if (!size)
        return false;
    u64 last = (addr + size - 1) >> 12, page = addr >> 12;
    if (last - page > 64)
        return true;
    for (; page <= last; page++)
        if (engine_page_may_have_objects(page << 12))
            return true;
    return false;
}

#endif
