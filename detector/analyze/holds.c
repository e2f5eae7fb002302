/* The calling thread's held set: slow paths of acquire and release. Called through hot.h.
 * Takes no lock itself; order_acquired takes RANK_GRAPH. May allocate arena blobs (a larger held set). */
#include "analyze/internal.h"

int held_find(const struct thread *t, ref_t lock)
{
    for (u32 i = t->rec->nheld; i-- > 0;)
        if (t->held[i].lock == lock)
            return (int)i;
    return -1;
}

/* Others may read the array meanwhile: entries move down before the count drops. */
void held_remove(struct thread *t, u32 index)
{
    u32 n = t->rec->nheld;
    for (u32 i = index; i + 1 < n; i++) {
        t->held[i] = t->held[i + 1];
        t->held[i].node = t->held[i].hold = 0; /* fewer locks are held outside of it now */
    }
    __atomic_store_n(&t->rec->nheld, n - 1, __ATOMIC_RELEASE);
    t->node = n > 1 ? t->held[n - 2].node : 0;
}

static bool held_grow(struct thread *t)
{
    u32 cap = t->rec->held_cap * 4;
    ref_t r = arena_blob((u64)cap * sizeof(struct held_entry));
    if (!r) {
        run_lost(LOSS_arena_full);
        return false;
    }
    __builtin_memcpy(arena_at(r), t->held, t->rec->nheld * sizeof(struct held_entry));
    t->held = arena_at(r);
    __atomic_store_n(&t->rec->held, r, __ATOMIC_RELEASE);
    __atomic_store_n(&t->rec->held_cap, cap, __ATOMIC_RELEASE);
    return true;
}

/* A semaphore that somebody else has posted is held by nobody. */
static bool hold_ended(const struct held_entry *h)
{
    const struct object_head *o = &LOCK_AT(h->lock)->head;
    return o->kind == OBJ_SEM && !(o->attrs & ATTR_LOCKLIKE) && !(h->how & HOW_PHANTOM);
}

static void held_tidy(struct thread *t)
{
    for (u32 i = t->rec->nheld; i-- > 0;)
        if (hold_ended(&t->held[i]))
            held_remove(t, i);
}

struct held_entry *held_push(struct thread *t, ref_t lock, enum lock_mode mode, u32 how, ref_t stack, const u64 *fp)
{
    if (t->rec->nheld >= t->rec->held_cap)
        held_tidy(t);
    u32 n = t->rec->nheld;
    if (n >= t->rec->held_cap && !held_grow(t))
        return NULL;
    struct held_entry *h = &t->held[n];
    *h = (struct held_entry){
        .lock = lock, .stack = stack, .depth = 1, .mode = (u8)mode, .how = (u16)how, .site_pc = site_of(fp)};
    __atomic_store_n(&t->rec->nheld, n + 1, __ATOMIC_RELEASE);
    t->node = 0;
    return h;
}

static bool holds(const struct thread_rec *r, ref_t lock)
{
    u32 n = __atomic_load_n(&r->nheld, __ATOMIC_ACQUIRE), cap = __atomic_load_n(&r->held_cap, __ATOMIC_ACQUIRE);
    const struct held_entry *h = arena_at(__atomic_load_n(&r->held, __ATOMIC_ACQUIRE));
    for (u32 i = 0; i < n && i < cap; i++)
        if (h[i].lock == lock && !(h[i].how & HOW_PHANTOM))
            return true;
    return false;
}

static ref_t holder_in(ref_t proc, ref_t lock, ref_t except)
{
    for (ref_t r = PROCESS_AT(proc)->threads; r; r = THREAD_AT(r)->next_in_process)
        if (r != except && THREAD_AT(r)->state == THREAD_RUNNING && holds(THREAD_AT(r), lock))
            return r;
    return 0;
}

ref_t holder_of(ref_t lock, ref_t except)
{
    const struct lock_rec *l = LOCK_AT(lock);
    if (l->head.process)
        return holder_in(l->head.process, lock, except);
    for (ref_t p = run()->processes; p; p = PROCESS_AT(p)->next_process) {
        ref_t r = PROCESS_AT(p)->state == PROCESS_RUNNING ? holder_in(p, lock, except) : 0;
        if (r)
            return r;
    }
    return 0;
}

ref_t held_snapshot(const struct thread_rec *r, u32 *n)
{
    u32 count = __atomic_load_n(&r->nheld, __ATOMIC_ACQUIRE), out = 0;
    const struct held_entry *h = arena_at(__atomic_load_n(&r->held, __ATOMIC_ACQUIRE));
    u32 from = count > ENGINE_MAX_HELD_SHOWN ? count - ENGINE_MAX_HELD_SHOWN : 0;
    ref_t blob = count ? arena_blob((count - from) * sizeof(struct held_snapshot)) : 0;
    for (u32 i = from; blob && i < count; i++) {
        if ((h[i].how & HOW_PHANTOM) || hold_ended(&h[i]))
            continue;
        struct held_snapshot *s = (struct held_snapshot *)arena_at(blob) + out++;
        s->lock = h[i].lock;
        s->stack = h[i].stack;
        s->site_pc = h[i].site_pc;
        s->mode = h[i].mode;
        s->how = (u8)h[i].how;
        pin_object(h[i].lock);
    }
    *n = out;
    return blob;
}

/* Taken again by its holder, or a phantom that became real. Returns true when that is what it was. */
static bool acquired_again(struct thread *t, struct lock_rec *l, enum lock_mode mode, u32 how, const u64 *fp)
{
    int i = held_find(t, arena_ref(l));
    if (i < 0)
        return false;
    struct held_entry *h = &t->held[i];
    if (h->how & HOW_PHANTOM) {
        held_remove(t, (u32)i);
        return false;
    }
    if (l->head.attrs & ATTR_PROCESS_OWNED) { /* file locks convert in place */
        h->mode = (u8)mode;
        h->how = (u16)how;
        h->stack = capture(t, fp);
        __atomic_store_n(&l->owner, mode == MODE_EXCLUSIVE ? t->ref : 0, __ATOMIC_RELEASE);
        return true;
    }
    h->depth++;
    return true;
}

/* The order node of the innermost hold, as far as the thread knows it by itself; else 0. */
static ref_t order_parent(struct thread *t)
{
    struct held_entry *h = &t->held[0];
    if (t->order_epoch != run()->order_epoch)
        return 0;
    if (!t->node && t->rec->nheld == 1 && !(h->how & HOW_PHANTOM))
        h->node = t->node = order_cached(t, 0, h->lock, order_way(h->mode, h->how));
    return t->node;
}

void engine_acquired_slow(struct thread *t, struct lock_rec *l, enum lock_mode mode, u32 how, const u64 *fp)
{
    ref_t lock = arena_ref(l);
    if (l->head.attrs & (ATTR_UNTRACKED | ATTR_INTERPRETER)) {
        if (l->head.attrs & ATTR_INTERPRETER) {
            __atomic_store_n(&l->owner, t->ref, __ATOMIC_RELEASE);
            hb_lock_acquired(t, l, mode);
        }
        return;
    }
    l->acquisitions++;
    if ((l->owner == t->ref || mode == MODE_SHARED || (l->head.attrs & ATTR_PROCESS_OWNED)) &&
        acquired_again(t, l, mode, how, fp))
        return;
    if (mode == MODE_EXCLUSIVE && l->head.kind == OBJ_RWLOCK && !(l->head.attrs & ATTR_WRITE_LOCKED_EVER))
        __atomic_fetch_or(&l->head.attrs, ATTR_WRITE_LOCKED_EVER, __ATOMIC_RELAXED);
    ref_t node = 0, stack = 0;
    if (t->rec->nheld) {
        ref_t parent = order_parent(t);
        if (parent)
            node = order_cached(t, parent, lock, order_way(mode, how));
        if (!node) {
            stack = capture(t, fp);
            node = order_acquired(t, lock, mode, how, stack, fp);
        }
    }
    if (!stack && (l->nodes || l->acquisitions <= CAPTURE_FIRST))
        stack = capture(t, fp);
    lock_used(t, l, fp);
    t->rec->operations++; /* together with nheld: is_unpublished compares them */
    struct held_entry *h = held_push(
        t, lock, mode, (how & ~(u32)HOW_PHANTOM) | (access_on ? HOW_CLOCKED : 0) | (measure_on ? HOW_MEASURED : 0),
        stack, fp);
    if (h)
        h->node = t->node = node;
    hb_lock_acquired(t, l, mode);
    if (mode == MODE_EXCLUSIVE)
        __atomic_store_n(&l->owner, t->ref, __ATOMIC_RELEASE);
    if (measure_on)
        measure_acquired(t, l, mode, how);
}

/* In an order that this thread has reported before, or with nothing held. False: nothing was done. */
static bool acquired_known(struct thread *t, struct lock_rec *l, enum lock_mode mode, u32 how, const u64 *fp)
{
    u32 n = t->rec->nheld;
    ref_t node = 0;
    if (snarl_unlikely(l->owner || n >= t->rec->held_cap || (l->head.attrs & ATTRS_SLOW)))
        return false;
    if (n) { /* a lock that is held already stands in no order behind itself: recursion stops here */
        ref_t parent = t->node;
        if (snarl_unlikely(t->order_epoch != run()->order_epoch))
            return false;
        struct held_entry *h = &t->held[0];
        if (!parent && n == 1)
            parent = h->node = t->node = order_cached(t, 0, h->lock, order_way(h->mode, h->how));
        if (snarl_unlikely(!parent || !(node = order_cached(t, parent, arena_ref(l), order_way(mode, how)))))
            return false;
    }
    hold_push_plain(t, l, mode, how, node, acquire_is_noted(l) ? capture(t, fp) : 0, fp);
    return true;
}

void engine_acquired_noted(struct thread *t, struct lock_rec *l, enum lock_mode mode, u32 how, const u64 *fp)
{
    if (snarl_unlikely(!acquired_known(t, l, mode, how, fp)))
        engine_acquired_slow(t, l, mode, how, fp);
}

/* The lock is not in this thread's held set: is the release a bug? The program's unlock goes on in any case. */
static void release_foreign(struct thread *t, struct lock_rec *l, const u64 *fp)
{
    struct object_head *o = &l->head;
    ref_t owner = l->owner ? l->owner : object_has_readers(o) ? holder_of(arena_ref(l), t->ref) : 0;
    if (o->attrs & (ATTR_PROCESS_OWNED | ATTR_ONCE) || o->kind == OBJ_SEM) {
        if (owner)
            __atomic_store_n(&l->owner, 0, __ATOMIC_RELEASE);
        return;
    }
    if (owner)
        misuse_report(t, RULE_UNLOCK_NOT_OWNER, VERDICT_OBSERVED, o, 0, owner, capture(t, fp), EVENT_RELEASE);
    else if (l->acquisitions || (o->attrs & ATTR_INITIALISED) ||
             !(o->attrs & ATTR_SHARED || process()->dropped_in_handler))
        misuse_report(t, RULE_UNLOCK_NOT_LOCKED, VERDICT_OBSERVED, o, 0, 0, capture(t, fp), EVENT_RELEASE);
    /* A mutex that knows its owner refuses: the owner keeps it. Others are unlocked now, whoever held them. */
    if (l->owner && !(o->attrs & ATTRS_OWNER_CHECKED))
        __atomic_store_n(&l->owner, 0, __ATOMIC_RELEASE);
}

int engine_release_slow(struct thread *t, struct lock_rec *l, const u64 *fp)
{
    u64 moment = measure_on ? measure_moment() : 0;
    if (l->head.attrs & ATTR_UNTRACKED)
        return 0;
    if (l->head.attrs & ATTR_INTERPRETER) {
        hb_lock_release(t, l, MODE_EXCLUSIVE);
        __atomic_store_n(&l->owner, 0, __ATOMIC_RELEASE);
        return 0;
    }
    int i = held_find(t, arena_ref(l));
    if (i < 0) {
        release_foreign(t, l, fp);
        return 0;
    }
    struct held_entry *h = &t->held[i];
    if (h->how & HOW_PHANTOM) {
        held_remove(t, (u32)i);
        return 1;
    }
    /* Somebody else's unlock freed it and another thread took it since: then this hold is only ours to forget. */
    if (h->mode == MODE_EXCLUSIVE && l->owner != t->ref) {
        held_remove(t, (u32)i);
        release_foreign(t, l, fp);
        return 0;
    }
    if (--h->depth)
        return 0;
    enum lock_mode mode = h->mode;
    if (h->how & HOW_MEASURED)
        measure_released(t, l, h, moment, fp);
    lock_left(t, l, h);
    hb_lock_release(t, l, mode);
    if (mode == MODE_EXCLUSIVE)
        __atomic_store_n(&l->owner, 0, __ATOMIC_RELEASE);
    held_remove(t, (u32)i);
    return 0;
}

void engine_release_failed(struct thread *t, struct lock_rec *l, enum lock_mode mode, const u64 *fp)
{
    if (l->head.attrs & (ATTR_UNTRACKED | ATTR_INTERPRETER) || held_find(t, arena_ref(l)) >= 0)
        return;
    ref_t owner = l->owner;
    if (owner && owner != t->ref)
        return; /* it never was ours */
    if (held_push(t, arena_ref(l), mode, HOW_BLOCK, capture(t, fp), fp) && mode == MODE_EXCLUSIVE)
        __atomic_store_n(&l->owner, t->ref, __ATOMIC_RELEASE);
}
