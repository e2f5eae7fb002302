/* What an access means for one granule when the thread's own tables answer: where it is made, which pasts are before,
 * what sites become together. Called by sensors whose instructions tell of the functions they are in; whatever is not
 * quick is left to the full way (access.c). Takes no lock, allocates nothing.
 *
 * Inside (thread.h) whenever records stay: a handler's accesses take the other way meanwhile, and recycling waits for the
 * end of it.
 *
 * Compiled twice: access_quick_plain.c includes it, for callers who keep the program's vector registers. That one does
 * not call what may touch them: of other files only crowd.c. */
#ifndef QUICK_PLAIN
#define QUICK_PLAIN false
#define QUICK_NAME access_quick
#endif

#include "analyze/access_hot.h"
#include "analyze/access_steps.h"
#include "analyze/atomicity.h"
#include "analyze/readers.h"
#include "analyze/shared.h"
#include "analyze/weak.h"

struct quick {
    struct accesses *a;
    u64 addr;   /* of the granule */
    u64 record; /* of this access alone */
    u32 mask, kind;
    ref_t stack;
};

/* What is left of an older record; NOT_QUICK when its past has to be looked up. */
#define NOT_QUICK CELL_BUSY
static SNARL_HOT bool quick_past(const struct quick *q, u32 epoch)
{
    return snarl_likely(epoch_is_past(q->a, epoch)) ||
           (!QUICK_PLAIN && epoch < READERS_FIRST && epoch != q->a->concurrent &&
            epoch_relation_slow(q->a, epoch) <= BEFORE);
}
static SNARL_HOT u64 quick_meet(const struct quick *q, u64 record)
{
    u32 slot = (u32)record, epoch = slot_epoch(slot);
    if (!(slot & q->mask))
        return snarl_unlikely(slot_is_set(slot)) && q->kind == slot_kind(slot) ? NOT_QUICK : record;
    if (snarl_unlikely(!quick_past(q, epoch)))
        return epoch == q->a->concurrent && !slot_conflicts(slot, q->kind) ? record : NOT_QUICK;
    if (!slot_outdone(slot, q->kind))
        return record;
    return slot & SLOT_MASK & ~q->mask ? record & ~(u64)q->mask : 0;
}

/* The record that stands for `had` and this access; 0: the thread does not know its site. */
static SNARL_HOT u64 quick_join(const struct quick *q, u64 had)
{
    u32 site = record_site(had), masks = (u32)(had & SLOT_MASK) << 8 | q->mask;
    u64 joined = q->record | (had & SLOT_MASK);
    if (site == record_site(q->record) || !(had & SLOT_MASK & ~q->mask))
        return joined;
    const struct merge_memo *m = merge_memo(q->a, site, masks, q->stack);
    return merge_known(m, site, masks, q->stack) ? record_make((u32)joined, m->merged) : 0;
}

/* The access joins one of s[0..n), or comes before them, newest first. The new number; 0: not quick. There is room for
 * one more. */
static SNARL_HOT u32 quick_add(const struct quick *q, u64 *s, u32 n)
{
    u64 record = q->record;
    for (u32 i = 0; i < n; i++) {
        if (!slots_join((u32)s[i], (u32)record))
            continue;
        record = quick_join(q, s[i]);
        for (n--; i < n; i++)
            s[i] = s[i + 1];
        break;
    }
    for (u32 i = n; i > 0; i--)
        s[i] = s[i - 1];
    s[0] = record;
    return record ? n + 1 : 0;
}

/* Nothing but this thread's own past is in there. */
static SNARL_HOT bool granule_is_own(const struct accesses *a, const struct granule *g)
{
    return epoch_is_own(a, slot_epoch((u32)g->newer)) && (!g->older || epoch_is_own(a, slot_epoch((u32)g->older)));
}

static SNARL_HOT bool quick_store(const struct quick *q, const struct granule *g, u64 newer, u64 older)
{
    if (!granule_is_own(q->a, g))
        return granule_store(q->addr, g, newer, older);
    granule_store_own(q->addr, newer, older);
    return true;
}

/* ---- crowds ---- */

/* In the place of the present entries: what is left of them, and the access. Under the guard. 0: it takes more than
 * that, nothing was done. */
static u32 quick_crowd_write(const struct quick *q, struct crowd *c)
{
    u64 left[CROWD_RECORDS + 1];
    u32 n = 0;
    for (u32 i = 0; i < c->n; i++) {
        u64 met = quick_meet(q, c->records[i]);
        if (met == NOT_QUICK)
            return 0;
        if (met)
            left[n++] = met;
    }
    n = quick_add(q, left, n);
    if (!n || n > CROWD_RECORDS)
        return 0;
    __builtin_memcpy(c->records, left, n * sizeof *left);
    return c->n = n;
}

static bool quick_crowd(const struct quick *q, const struct granule *g)
{
    u32 number = crowd_number(g->seen);
    struct crowd *c = crowd_at(number);
    if (crowd_knows(shadow_cell(q->addr), g->seen, (u32)q->record, q->mask, q->kind))
        return true;
    if (!crowd_enter(shadow_cell(q->addr), g->seen))
        return false;
    u32 n = c->next ? 0 : quick_crowd_write(q, c);
    bool ends = n && granule_store_crowd(q->addr, number, c->records, n);
    crowd_leave(number);
    if (ends)
        crowd_give(&q->a->crowds, number);
    return n != 0;
}

/* ---- sets of readers ---- */

/* A read of a granule that is known to have these reads of its kind; `other` is what else it has. */
static bool quick_set(const struct quick *q, const struct granule *g, u64 from, u64 also, u64 other)
{
    const struct set_memo *m = set_memo(q->a, from, q->mask);
    u64 left = quick_meet(q, other);
    u32 to = m->to;
    if (m->from != from || m->also != also || m->mask != q->mask || m->epoch != slot_epoch((u32)q->record) ||
        left == NOT_QUICK)
        return false;
    q->a->set_credit += q->a->set_credit < SET_CREDIT;
    if (to == (u32)from && left == other) {
        access_set_known(&q->a->frames, to, q->mask);
        return true;
    }
    return m->site == record_site(q->record) && quick_store(q, g, to, left);
}

static bool quick_sets(const struct quick *q, const struct granule *g)
{
    bool newer = slot_kind((u32)g->newer) == q->kind, older = g->older && slot_kind((u32)g->older) == q->kind;
    if ((q->kind & ACCESS_WRITE) || !(newer | older))
        return false;
    if (newer && older)
        return quick_set(q, g, g->newer, g->older, 0);
    return newer ? quick_set(q, g, g->newer, 0, g->older) : quick_set(q, g, g->older, 0, g->newer);
}

/* ---- three records, all the thread's own ----
 *
 * A loop that updates an array of ints goes through such a state at each granule: half of it at the old epoch, half at
 * the new one, read and written. Two records stay in the shadow, the newest waits in the thread's own memory until the
 * next access of the granule, which most often makes two of the three, or until the thread's clock is about to change.
 * Until then others do not see it; it sees theirs when it is written, and they are not ordered with it by then. */

static SNARL_HOT struct pending *pending_of(struct accesses *a, u64 addr)
{
    return &a->pending[addr / GRANULE % PENDING];
}

static void pending_set(struct accesses *a, struct pending *p, u64 addr, u64 record)
{
    a->npending += !p->record;
    *p = (struct pending){addr, record};
}

/* With p the newest of three. */
static bool quick_three(const struct quick *q, const struct granule *g, u64 newer, u64 older, struct pending *p)
{
    u64 s[4], left = quick_meet(q, p->record);
    u32 n = 0, waits = (u32)p->record;
    if (slot_epoch(waits) == slot_epoch((u32)q->record) && slot_covers(waits, q->kind, q->mask))
        return true;
    if (left)
        s[n++] = left;
    if (newer)
        s[n++] = newer;
    if (older)
        s[n++] = older;
    n = quick_add(q, s, n);
    if (!n || n > 3)
        return false;
    u32 first = n > 2;
    if (!quick_store(q, g, s[first], n > 1 ? s[first + 1] : 0))
        return false;
    if (n > 2) {
        p->record = s[0];
    } else {
        p->record = 0;
        q->a->npending--;
    }
    return true;
}

static bool quick_granule(const struct quick *q);

/* Two are left that the access joins neither of. */
static __attribute__((noinline)) bool quick_third(const struct quick *q, const struct granule *g, u64 newer, u64 older)
{
    struct accesses *a = q->a;
    struct pending *p = pending_of(a, q->addr);
    if (quick_sets(q, g))
        return true;
    if (p->record) { /* of another granule, perhaps not touched again for long: this one is more likely to be */
        if (QUICK_PLAIN)
            return false;
        accesses_flush_slow(a->owner, a);
        return !__atomic_load_n(&a->ignored, __ATOMIC_RELAXED) && quick_granule(q);
    }
    if ((newer != g->newer || older != g->older) && !quick_store(q, g, newer, older))
        return false;
    pending_set(a, p, q->addr, q->record);
    return true;
}

/* ---- the granule ---- */

static SNARL_COLD bool quick_else(const struct quick *q, const struct granule *g)
{
    const struct pending *p = pending_of(q->a, q->addr);
    if (p->record && p->granule == q->addr)
        return false;
    if (cell_is_shared(g->seen)) {
        if (!QUICK_PLAIN)
            shared_access(q->a->owner, q->a, q->addr, q->mask, q->kind, q->stack);
        return !QUICK_PLAIN;
    }
    return cell_is_crowd(g->seen) ? quick_crowd(q, g) : quick_sets(q, g);
}

static __attribute__((noinline)) bool quick_granule(const struct quick *q)
{
    struct accesses *a = q->a;
    struct granule g = granule_load(q->addr);
    if (snarl_unlikely(cell_is_crowd(g.seen)))
        return quick_else(q, &g);
    u64 newer = quick_meet(q, g.newer), older = g.older ? quick_meet(q, g.older) : 0, fresh = q->record;
    if (snarl_unlikely(newer == NOT_QUICK || older == NOT_QUICK))
        return quick_else(q, &g);
    struct pending *p = pending_of(a, q->addr);
    if (snarl_unlikely(p->record) && p->granule == q->addr)
        return quick_three(q, &g, newer, older, p);
    if (newer && slots_join((u32)newer, (u32)fresh)) {
        fresh = quick_join(q, newer);
        newer = older;
    } else if (older && slots_join((u32)older, (u32)fresh)) {
        fresh = quick_join(q, older);
    } else if (!newer) {
        newer = older;
    } else if (older) {
        return quick_third(q, &g, newer, older);
    }
    return fresh && quick_store(q, &g, fresh, newer);
}

/* The last thing to be done. */
static SNARL_COLD bool signals_came(bool done)
{
    ilock_signals.deliver();
    return done;
}

static SNARL_HOT bool quick_inside(const struct quick *q)
{
    struct thread *t = q->a->owner;
    u64 before = t->inside;
    t->inside = (u64)__builtin_frame_address(0);
    __atomic_signal_fence(__ATOMIC_SEQ_CST);
    bool done = !__atomic_load_n(&q->a->ignored, __ATOMIC_RELAXED) && quick_granule(q);
    __atomic_signal_fence(__ATOMIC_SEQ_CST);
    t->inside = before;
    return snarl_unlikely(t->signals_wait) && !QUICK_PLAIN ? signals_came(done) : done;
}

/* Inside, as quick_inside. */
static __attribute__((noinline)) u32 quick_epoch(struct thread *t)
{
    u64 before = t->inside;
    t->inside = (u64)__builtin_frame_address(0);
    __atomic_signal_fence(__ATOMIC_SEQ_CST);
    access_epoch_begin(t);
    __atomic_signal_fence(__ATOMIC_SEQ_CST);
    t->inside = before;
    if (snarl_unlikely(t->signals_wait))
        ilock_signals.deliver();
    return access_now;
}

/* The older record is this thread's own, and says something else than the access. */
static SNARL_HOT bool older_stays(const struct accesses *a, u64 seen, u64 addr, u64 record, u32 mask, u32 kind)
{
    u32 slot = (u32)__atomic_load_n(shadow_older(addr), __ATOMIC_RELAXED);
    return !cell_is_crowd(seen) && epoch_is_own(a, slot_epoch(slot)) && !slots_join(slot, (u32)record) &&
           (!(slot & mask) || !slot_outdone(slot, kind));
}

/* With locks held. False: it has to come again. */
static SNARL_HOT bool quick_locked(struct thread *t, u64 addr, u32 mask, u32 kind, ref_t stack, u64 pc)
{
    struct accesses *a = t->accesses;
    if ((a->locked & LOCKED_WRITTEN) || ((a->locked & LOCKED_UNWRITTEN) && access_writes_plainly(kind)))
        weak_write(t, a, addr, pc);
    return !(a->locked & LOCKED_PAIRS) || atomicity_access(a, addr, mask, kind, stack, pc);
}

bool QUICK_NAME(struct thread *t, u64 addr, u32 mask, u32 kind, const u64 *fp)
{
    struct accesses *a = t->accesses;
    u32 now = access_now;
    if (snarl_unlikely(!(now & SLOT_SAME_EPOCH)) && !QUICK_PLAIN)
        now = quick_epoch(t);
    if (snarl_unlikely(!a || !(now & SLOT_SAME_EPOCH) || a->ignored))
        return false;
    const struct instruction_memo *m = instruction_memo(a, fp);
    if (snarl_unlikely(!instruction_known(a, m, fp)))
        return false;
    if (snarl_unlikely(!shadow_is_touched(addr))) /* perhaps no shadow: what lies there may be the program's */
        return false;
    if (snarl_unlikely(a->locked) && (QUICK_PLAIN || !quick_locked(t, addr, mask, kind, m->stack, fp[1])))
        return false;
    kind &= ACCESS_WRITE | ACCESS_ATOMIC;
    u64 *cell = shadow_cell(addr), seen = __atomic_load_n(cell, __ATOMIC_RELAXED);
    u32 had = (u32)seen;
    u64 record = record_make(slot_make(now >> SLOT_EPOCH_SHIFT, kind, mask), m->site);
    /* Most often the granule is new, or its only past is this thread's own and says less than this access. */
    if (snarl_likely(!a->npending)) {
        if (!seen)
            return __atomic_compare_exchange_n(cell, &seen, record, false, __ATOMIC_RELAXED, __ATOMIC_RELAXED);
        if (!(had & SLOT_MASK & ~mask) && slot_outdone(had, kind) && epoch_is_own(a, slot_epoch(had)) &&
            (!(seen & (CELL_MORE | CELL_CROWD)) || older_stays(a, seen, addr, record, mask, kind))) {
            __atomic_store_n(cell, record | (seen & CELL_MORE), __ATOMIC_RELAXED);
            return true;
        }
    }
    struct quick q = {a, addr & ~(u64)(GRANULE - 1), record, mask, kind, m->stack};
    return quick_inside(&q);
}
