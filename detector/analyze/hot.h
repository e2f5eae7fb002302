/* The engine's inline fast paths: what an uncontended lock or unlock with a known order costs.
 *
 * Touched on the way: the thread's private state, the thread's record (written by it alone), the lock's record.
 * Everything shared is reached only through the *_slow functions, when something new happens. Part of the door
 * engine.h; same rules. */
#ifndef SNARL_ANALYZE_HOT_H
#define SNARL_ANALYZE_HOT_H

#include "analyze/engine.h"
#include "base/hash.h"
#include "model/objects.h"

/* Ways to take a lock that mean nothing but themselves. */
#define HOW_PLAIN ((u32)(HOW_BLOCK | HOW_TRY | HOW_TIMED | HOW_PYTRY))
/* Acquires of one lock whose stack is captured although no order is known of it yet. */
#define CAPTURE_FIRST 64u

extern struct engine_hooks engine_hooks __attribute__((visibility("hidden")));

static inline u32 lock_cache_index(u64 addr)
{
    return (u32)((addr >> 3) ^ (addr >> 11)) & (LOCK_CACHE - 1);
}

/* Has the function returned in whose frame the object was born? Then another return address stands in the frame's
 * place. The stack itself is still there: objects on it die with its thread. */
static inline bool birth_frame_gone(const struct object_head *o, const struct object_birth *b)
{
    return *(const volatile u64 *)(o->addr - b->offset - 8) != b->alloc_size;
}

/* The record of the lock at addr if the thread has used it lately. Even then another lock may stand there by now, when
 * it is in a frame: all threads must part from the old one at the same time. */
static SNARL_HOT struct lock_rec *engine_lock_again(struct thread *t, u64 addr, enum object_kind kind)
{
    const struct lock_slot *s = &t->lock_cache[lock_cache_index(addr)];
    if (snarl_likely(s->addr == addr)) {
        struct lock_rec *l = arena_at(s->lock);
        if (snarl_likely(l->head.uid == s->uid && l->head.kind == (u8)kind) &&
            snarl_likely(!l->head.framed || !birth_frame_gone(&l->head, &l->birth)))
            return l;
    }
    return NULL;
}

static SNARL_HOT struct lock_rec *engine_lock(struct thread *t, u64 addr, enum object_kind kind, u32 attrs,
                                              const u64 *fp)
{
    struct lock_rec *l = engine_lock_again(t, addr, kind);
    return snarl_likely(l != NULL) ? l : engine_lock_find(t, addr, kind, attrs, fp);
}

static inline u32 order_cache_index(ref_t parent, ref_t lock, u32 seg_mode)
{
    return (u32)(((u64)parent * 0x9e3779b1u ^ (u64)lock * 0x85ebca77u ^ (u64)seg_mode * 0xc2b2ae3du) >> 7) &
           (ORDER_CACHE - 1);
}

/* The node for taking `lock` while at `parent`, when this thread has reported that order, taken in this way
 * (order_way), in this segment; else 0. */
static inline u32 order_way(u32 mode, u32 how)
{
    return mode | (how & HOW_PLAIN) << 1;
}
/* The same in the thread's larger table; order.c. */
ref_t order_recall(struct thread *t, ref_t parent, ref_t lock, u32 seg_mode);
static SNARL_HOT ref_t order_cached(struct thread *t, ref_t parent, ref_t lock, u32 way)
{
    u32 seg_mode = t->rec->segment << 4 ^ way;
    const struct order_slot *s = &t->order_cache[order_cache_index(parent, lock, seg_mode)];
    if (snarl_likely(s->parent == parent && s->lock == lock && s->seg_mode == seg_mode))
        return s->child;
    return t->orders ? order_recall(t, parent, lock, seg_mode) : 0;
}

/* Locks whose every acquire takes the slow path. */
#define ATTRS_SLOW (ATTR_INTERPRETER | ATTR_UNTRACKED | ATTR_WRITER_NONRECURSIVE | ATTR_CLOCKED | ATTR_MEASURED)

/* Its stack is wanted, because the lock is new or known to the lock-order graph. */
static SNARL_HOT bool acquire_is_noted(const struct lock_rec *l)
{
    return l->nodes || l->acquisitions < CAPTURE_FIRST;
}

/* Puts a lock that the thread did not hold into its held set; there must be room. */
static SNARL_HOT void hold_push_plain(struct thread *t, struct lock_rec *l, enum lock_mode mode, u32 how, ref_t node,
                                      ref_t stack, const u64 *fp)
{
    struct thread_rec *r = t->rec;
    u32 n = r->nheld;
    struct held_entry *h = &t->held[n];
    h->lock = arena_ref(l);
    h->node = node;
    h->hold = 0;
    h->stack = stack;
    h->depth = 1;
    h->mode = (u8)mode;
    h->how = (u16)how;
    h->site_pc = fp ? fp[1] : 0;
    t->node = node;
    l->acquisitions++;
    r->operations++;
    __atomic_store_n(&r->nheld, n + 1, __ATOMIC_RELAXED);
    if (mode == MODE_EXCLUSIVE)
        __atomic_store_n(&l->owner, t->ref, __ATOMIC_RELEASE);
}

/* The plainest acquire, inline: nothing else is held and the lock stands in no order. False: nothing was done, and
 * engine_acquired_noted has to. Only this much is inline because more would cost the interceptors saved registers. */
static SNARL_HOT bool acquired_alone(struct thread *t, struct lock_rec *l, enum lock_mode mode, u32 how, const u64 *fp)
{
    if (snarl_unlikely(t->rec->nheld || l->owner || acquire_is_noted(l) || (l->head.attrs & ATTRS_SLOW)))
        return false;
    hold_push_plain(t, l, mode, how, 0, 0, fp);
    return true;
}

/* Any plain acquire (HOW_PLAIN): known orders cost a look into the thread's cache, others go on to
 * engine_acquired_slow. */
void engine_acquired_noted(struct thread *t, struct lock_rec *l, enum lock_mode mode, u32 how, const u64 *fp);

static SNARL_HOT void engine_acquired(struct thread *t, struct lock_rec *l, enum lock_mode mode, u32 how, const u64 *fp)
{
    if (snarl_unlikely(how & ~HOW_PLAIN))
        engine_acquired_slow(t, l, mode, how, fp);
    else if (snarl_unlikely(!acquired_alone(t, l, mode, how, fp)))
        engine_acquired_noted(t, l, mode, how, fp);
}

/* The innermost hold, if it is of the object at addr; else NULL. (An object shared between processes may have another
 * address here: NULL.) */
static SNARL_HOT const struct held_entry *innermost_hold(struct thread *t, u64 addr, enum object_kind kind,
                                                         struct lock_rec **l)
{
    u32 n = t->rec->nheld;
    if (snarl_unlikely(!n))
        return NULL;
    const struct held_entry *h = &t->held[n - 1];
    *l = arena_at(h->lock);
    return snarl_likely((*l)->head.addr == addr && (*l)->head.uid && (*l)->head.kind == (u8)kind) ? h : NULL;
}

/* Releases h, the innermost hold, if it was taken plainly and once. False: nothing was done, and engine_release_slow
 * has to. */
static SNARL_HOT bool released_plainly(struct thread *t, struct lock_rec *l, const struct held_entry *h)
{
    struct thread_rec *r = t->rec;
    u32 n = r->nheld;
    if (snarl_unlikely(h->depth != 1 || (h->how & (HOW_PHANTOM | HOW_CLOCKED | HOW_MEASURED)) ||
                       (h->mode == MODE_EXCLUSIVE && l->owner != t->ref)))
        return false;
    t->node = n > 1 ? h[-1].node : 0;
    if (h->mode == MODE_EXCLUSIVE)
        __atomic_store_n(&l->owner, 0, __ATOMIC_RELEASE);
    __atomic_store_n(&r->nheld, n - 1, __ATOMIC_RELEASE);
    return true;
}

static SNARL_HOT int engine_release(struct thread *t, struct lock_rec *l, const u64 *fp)
{
    u32 n = t->rec->nheld;
    if (snarl_likely(n && t->held[n - 1].lock == arena_ref(l)) && snarl_likely(released_plainly(t, l, &t->held[n - 1])))
        return 0;
    return engine_release_slow(t, l, fp);
}

#define ATTRS_PLAIN_SEM (ATTR_LOCKLIKE | ATTR_UNTRACKED | ATTR_THREAD_END | ATTR_CLOCKED)
/* engine_sem_taken and engine_sem_post for a semaphore that is used as a lock: only its holder counts, so it needs no
 * atomic addition. */
static SNARL_HOT void engine_sem_take(struct thread *t, struct lock_rec *s, u32 how, const u64 *fp)
{
    if (snarl_unlikely((s->head.attrs & ATTRS_PLAIN_SEM) != ATTR_LOCKLIKE || (how & (HOW_THREAD_END | HOW_SIGNAL)))) {
        engine_sem_taken(t, s, how, fp);
        return;
    }
    __atomic_store_n(&s->sem_takes, s->sem_takes + 1, __ATOMIC_RELAXED);
    s->sem_last_taker = t->ref;
    engine_acquired(t, s, MODE_EXCLUSIVE, how, fp);
}
static SNARL_HOT int engine_sem_give(struct thread *t, struct lock_rec *s, const u64 *fp)
{
    u32 n = t->rec->nheld;
    if (snarl_unlikely((s->head.attrs & ATTRS_PLAIN_SEM) != ATTR_LOCKLIKE || s->sem_last_taker != t->ref || !n ||
                       t->held[n - 1].lock != arena_ref(s) || (t->held[n - 1].how & HOW_PHANTOM)))
        return engine_sem_post(t, s, fp);
    engine_release(t, s, fp);
    __atomic_store_n(&s->sem_posts, s->sem_posts + 1, __ATOMIC_RELAXED);
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
