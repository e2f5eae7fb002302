/* What an access means for one granule, in full: meets every older record, reports races, is added. Called by access.c,
 * inside (thread.h). Takes no lock; a report takes RANK_FINDINGS. Granules change by compare-and-swap, so of two accesses
 * at the same time one sees the other. */
#include "analyze/access_steps.h"
#include "analyze/readers.h"
#include "analyze/recycle.h"
#include "analyze/shared.h"
#include "analyze/weak.h"

#define SPINS 100u
#define YIELDS 100000u

SNARL_COLD void granule_await(u64 *cell, u32 turn)
{
    u64 busy = CELL_BUSY;
    if (turn < SPINS)
        __builtin_ia32_pause();
    else if (turn < SPINS + YIELDS)
        sys_call3(SYS_sched_yield, 0, 0, 0);
    else /* it does not get to run because of us (priorities), or never will */
        __atomic_compare_exchange_n(cell, &busy, 0, false, __ATOMIC_RELAXED, __ATOMIC_RELAXED);
}

static SNARL_HOT u32 access_epoch(const struct access *x)
{
    return snarl_unlikely(x->late) ? x->late : x->a->epoch;
}

/* The site of a record that gets more bytes, or some again. */
static u32 merged_site(struct access *x, u64 record, u32 mask)
{
    u32 now = access_site(x), site = record_site(record), masks = (u32)(record & SLOT_MASK) << 8 | mask;
    if (site == now || !(record & SLOT_MASK & ~mask) || !site)
        return now;
    struct merge_memo *m = merge_memo(x->a, site, masks, x->stack);
    if (!merge_known(m, site, masks, x->stack))
        *m = (struct merge_memo){site, masks, x->stack, site_merge(site, record & SLOT_MASK, x->stack, mask)};
    return m->merged;
}

/* ---- meeting what is there ---- */

static SNARL_COLD void record_found(struct access *x, u64 addr, u32 mask, u64 record, found_fn *found)
{
    access_site(x);
    found(x->t, x->a, addr, mask, x->kind | x->flags, x->stack, x->fp, record);
}

static SNARL_COLD void record_orders(struct access *x, u32 mask, u64 record)
{
    u32 slot = (u32)record;
    if (!(slot & mask & SLOT_MASK))
        return;
    if (!slot_is_set(slot)) {
        if (epoch_relation(x->a, slot_epoch(slot)) == UNORDERED && slot_conflicts(slot, x->kind))
            weak_meets_race(x->a);
        return;
    }
    const struct readers *r = readers_at(slot_epoch(slot));
    for (u32 i = 0; i < r->n; i++)
        record_orders(x, mask, r->member[i]);
}

/* The rest of the granule may say more: of sections whose data it is. Is the record before the access then? */
static SNARL_COLD bool granule_orders(struct access *x, u64 addr, u32 mask, u64 record)
{
    struct accesses *a = x->a;
    u32 epoch = slot_epoch((u32)record);
    struct granule g = x->crowd ? (struct granule){0} : granule_load(addr);
    for (u32 c = x->crowd; c; c = crowd_at(c)->next)
        for (u32 i = 0; i < crowd_at(c)->n && i < CROWD_RECORDS; i++)
            record_orders(x, mask, crowd_at(c)->records[i]);
    if (!cell_is_crowd(g.seen)) { /* else another thread's, since the granule was met */
        record_orders(x, mask, g.newer);
        record_orders(x, mask, g.older);
    }
    return epoch_relation(a, epoch) == BEFORE || weak_before_all(a, &epochs[epoch]);
}

/* What one record has to say to an access of these bytes: races are reported. Returns what is left of it. *hit: the
 * access adds nothing to it. */
static SNARL_HOT u64 record_meet(struct access *x, u64 addr, u32 mask, u64 record, bool *hit)
{
    u32 slot = (u32)record, overlap = slot & mask & SLOT_MASK;
    if (!overlap)
        return record;
    enum relation r = epoch_relation(x->a, slot_epoch(slot));
    if (r == SAME_EPOCH && slot_covers(slot, x->kind, mask)) {
        *hit = true;
        return record;
    }
    if (snarl_unlikely(r >= LUCKY)) {
        if (!slot_conflicts(slot, x->kind))
            return record;
        if (r == UNORDERED && x->a->weak)
            weak_raced(x->a, &epochs[slot_epoch(slot)]);
        if (r == UNORDERED)
            record_found(x, addr, overlap, record, race_found);
        else if (!granule_orders(x, addr, mask, record))
            record_found(x, addr, overlap, record, unprotected_found);
    }
    if (!slot_outdone(slot, x->kind))
        return record;
    return slot & SLOT_MASK & ~mask ? record & ~(u64)mask : 0;
}

/* The same for a set of readers. */
static u64 set_meet(struct access *x, u64 addr, u32 mask, u64 record, bool *hit)
{
    const struct readers *r = readers_at(slot_epoch((u32)record));
    u64 *left = x->a->members;
    u32 n = 0;
    bool changed = false;
    if (!(record & mask & SLOT_MASK))
        return record;
    for (u32 i = 0; i < r->n && !*hit; i++) {
        u64 l = record_meet(x, addr, mask, r->member[i], hit);
        changed |= l != r->member[i];
        if (l)
            left[n++] = l;
    }
    return *hit || !changed ? record : readers_make(left, n);
}

/* Meets all of s[0..n), n not too many for what is left to stay there. How many are left. */
static u32 records_meet(struct access *x, u64 addr, u32 mask, u64 *s, u32 n, bool *hit)
{
    u32 kept = 0;
    for (u32 i = 0; i < n; i++) {
        u64 r = cycle_runs(x->a) ? recycle_record(x->a, s[i]) : s[i];
        s[kept] =
            snarl_unlikely(slot_is_set((u32)r)) ? set_meet(x, addr, mask, r, hit) : record_meet(x, addr, mask, r, hit);
        kept += s[kept] != 0;
    }
    return kept;
}

/* ---- adding the access ---- */

/* To s[0..n), newest first; there is room for one more. */
static SNARL_HOT u32 records_add(struct access *x, u64 *s, u32 n, u32 mask)
{
    u32 slot = slot_make(access_epoch(x), x->kind, mask), site = 0;
    for (u32 i = 0; i < n; i++) {
        if (!slots_join((u32)s[i], slot))
            continue;
        site = merged_site(x, s[i], mask);
        slot |= s[i] & SLOT_MASK;
        s[i] = s[--n];
        break;
    }
    if (n)
        s[n] = s[0];
    s[0] = record_make(slot, site ? site : access_site(x));
    return n + 1;
}

/* Adds a read, or the members of a set, to m[0..n), the reads of one kind. */
static u32 members_add(struct access *x, u64 *m, u32 n, u64 record)
{
    if (slot_is_set((u32)record)) {
        const struct readers *r = readers_at(slot_epoch((u32)record));
        for (u32 i = 0; i < r->n && n < READERS_MAX; i++)
            n = members_add(x, m, n, r->member[i]);
        return n;
    }
    for (u32 i = 0; i < n; i++) {
        if (!slots_join((u32)m[i], (u32)record))
            continue;
        /* the access itself, now with more bytes; it comes first */
        u32 site = merged_site(x, record, m[i] & SLOT_MASK);
        m[i] = record_make((u32)m[i] | (record & SLOT_MASK), site);
        return n;
    }
    if (n < READERS_MAX)
        m[n++] = record;
    return n;
}

/* Asks without learning: these may be other bytes than the access's. */
static bool is_concurrent(const struct accesses *a, u32 epoch)
{
    const struct epoch *e = &epochs[epoch];
    return !epoch_is_own(a, epoch) && !epoch_is_past(a, epoch) && clock_time(&a->clock, e->lane) < e->time;
}

/* Many threads read at the same time: worth a set. Pasts of this thread's, or before it, are of this granule only. */
static bool is_shared(struct access *x, const u64 *s, u32 n)
{
    for (u32 i = 0; i < n; i++) {
        u32 slot = (u32)s[i];
        if (slot_is_set(slot) || (n > 2 && slot_kind(slot) == x->kind && is_concurrent(x->a, slot_epoch(slot))))
            return true;
    }
    return false;
}

/* Puts all reads of the access's kind into one set, where that is worth it. The new number of records. */
static u32 records_fold(struct access *x, u64 *s, u32 n)
{
    u32 folded = 0, kept = 0;
    u64 *m = x->a->members;
    if ((x->kind & ACCESS_WRITE) || !is_shared(x, s, n) || !x->a->set_credit)
        return n;
    x->a->set_credit--;
    for (u32 i = 0; i < n; i++)
        if (slot_kind((u32)s[i]) == x->kind)
            folded = members_add(x, m, folded, s[i]);
    u64 one = folded < READERS_MAX ? readers_make(m, folded) : 0;
    if (!one)
        return n;
    for (u32 i = 0; i < n; i++)
        if (slot_kind((u32)s[i]) != x->kind)
            s[kept++] = s[i];
    for (u32 i = kept; i > 0; i--)
        s[i] = s[i - 1];
    s[0] = one;
    return kept + 1;
}

/* What the granule's reads of the access's kind became with this access, for the next granule that has them. */
static void set_remember(struct access *x, const struct granule *g, u32 to, u32 mask)
{
    bool newer = g->newer && slot_kind((u32)g->newer) == x->kind,
         older = g->older && slot_kind((u32)g->older) == x->kind;
    u64 from = newer ? g->newer : older ? g->older : 0;
    to = to ? to : (u32)from;
    if (!from || !slot_is_set(to) || x->late || cycle_runs(x->a))
        return;
    *set_memo(x->a, from, mask) = (struct set_memo){.from = from,
                                                    .also = newer && older ? g->older : 0,
                                                    .to = to,
                                                    .epoch = x->a->epoch,
                                                    .mask = mask,
                                                    .site = access_site(x)};
}

/* ---- crowds ---- */

static bool crowd_begin(struct access *x, u64 addr, u64 seen, const u64 *s, u32 n)
{
    u32 number = crowd_take(&x->a->crowds);
    if (!number) {
        accesses_lost();
        return true;
    }
    struct crowd *c = crowd_at(number);
    __builtin_memcpy(c->records, s, n * sizeof *s);
    c->n = n;
    if (__atomic_compare_exchange_n(shadow_cell(addr), &seen, crowd_cell(number, s[0]), false, __ATOMIC_RELEASE,
                                    __ATOMIC_RELAXED))
        return true;
    crowd_give(&x->a->crowds, number);
    return false;
}

/* Everything in the chain, into out; at most max. */
static u32 crowd_read(u32 number, u64 *out, u32 max)
{
    u32 n = 0;
    for (u32 c = number; c; c = crowd_at(c)->next)
        for (u32 i = 0; i < crowd_at(c)->n && n < max; i++)
            out[n++] = crowd_at(c)->records[i];
    return n;
}

static void crowd_write(struct access *x, u32 number, const u64 *s, u32 n)
{
    u32 c = number;
    for (u32 at = 0; at < n;) {
        struct crowd *r = crowd_at(c);
        u32 take = n - at < CROWD_RECORDS ? n - at : CROWD_RECORDS;
        __builtin_memcpy(r->records, s + at, take * sizeof *s);
        r->n = take;
        at += take;
        if (at < n && !r->next && !(r->next = crowd_take(&x->a->crowds))) {
            accesses_lost();
            return;
        }
        if (at >= n) {
            crowd_give(&x->a->crowds, r->next);
            r->next = 0;
        }
        c = r->next;
    }
}

/* The thread has this access in the crowd already. */
static bool crowd_has(const struct access *x, u32 number, u32 mask)
{
    for (u32 c = number; c; c = crowd_at(c)->next)
        for (u32 i = 0; i < crowd_at(c)->n; i++) {
            u32 slot = (u32)crowd_at(c)->records[i];
            if (slot_epoch(slot) == access_epoch(x) && slot_covers(slot, x->kind, mask))
                return true;
        }
    return false;
}

static bool crowd_access(struct access *x, u64 addr, u32 mask, const struct granule *g)
{
    u64 *s = x->a->scratch;
    u32 number = crowd_number(g->seen), n;
    bool hit = false, ended = false;
    access_site(x); /* before the guard: it may unwind */
    if (!crowd_enter(shadow_cell(addr), g->seen))
        return false;
    x->crowd = number;
    if (!crowd_has(x, number, mask)) {
        n = records_meet(x, addr, mask, s, crowd_read(number, s, CROWD_MAX), &hit);
        n = hit ? 0 : records_fold(x, s, records_add(x, s, n, mask));
        if (n > 2)
            crowd_write(x, number, s, n < CROWD_MAX ? n : CROWD_MAX);
        ended = n && granule_store_crowd(addr, number, s, n);
    }
    x->crowd = 0;
    crowd_leave(number);
    if (ended)
        crowd_give(&x->a->crowds, number);
    return true;
}

/* ---- the granule ---- */

static void granule_step(struct access *x, u64 addr, u32 mask)
{
    for (;;) {
        struct granule g = granule_load(addr);
        if (snarl_unlikely(cell_is_crowd(g.seen))) {
            if (cell_is_shared(g.seen)) {
                access_site(x);
                shared_access(x->t, x->a, addr, mask, x->kind | x->flags, x->stack);
                return;
            }
            if (crowd_access(x, addr, mask, &g))
                return;
            continue;
        }
        u64 s[4] = {g.newer, g.older};
        bool hit = false;
        u32 n = records_meet(x, addr, mask, s, (g.newer != 0) + (g.older != 0), &hit);
        if (hit) {
            set_remember(x, &g, 0, mask);
            x->step = (struct run_step){.seen = g.seen, .cell = g.seen};
            x->stepped = !(g.seen & CELL_MORE);
            return;
        }
        n = records_fold(x, s, records_add(x, s, n, mask));
        set_remember(x, &g, (u32)s[0], mask);
        u64 older = n > 1 ? s[1] : 0;
        if (n > 2 ? !crowd_begin(x, addr, g.seen, s, n) : !granule_store(addr, &g, s[0], older))
            continue;
        x->step = (struct run_step){g.seen, g.older, older ? s[0] | CELL_MORE : s[0], older};
        x->stepped = n <= 2;
        return;
    }
}

void granule_access(struct access *x, u64 addr, u32 mask)
{
    u64 races = x->a->races;
    shadow_touch(addr);
    x->stepped = false;
    granule_step(x, addr, mask);
    x->stepped &= x->a->races == races && !cycle_runs(x->a);
}
