/* What an access means: looks at what the shadow keeps of its bytes, reports races, records it. Called by sensors of
 * accesses. Takes no lock on the usual paths; a new epoch under a lock may take RANK_GRAPH (interned holds), a report
 * RANK_FINDINGS. Cells change by compare-and-swap, so of two accesses at the same time one sees the other. */
#include "analyze/access_hot.h"
#include "analyze/accesses.h"
#include "analyze/site.h"

__thread u32 access_now;
__thread struct access_frames *access_frames;

struct access {
    struct thread *t;
    struct accesses *a;
    const u64 *fp;
    u32 kind;
    u32 flags; /* of its site */
    ref_t stack;
    u32 site; /* 0: not yet looked up */
};

/* ---- epochs ---- */

static ref_t hold_of(struct accesses *a, ref_t outer, const struct held_entry *h)
{
    u32 i = (outer * 31 + h->lock + h->stack * 7) % HOLD_MEMO;
    if (a->holds[i].hold && a->holds[i].outer == outer && a->holds[i].lock == h->lock && a->holds[i].stack == h->stack)
        return a->holds[i].hold;
    ref_t hold = order_hold(outer, h);
    a->holds[i].outer = outer;
    a->holds[i].lock = h->lock;
    a->holds[i].stack = h->stack;
    a->holds[i].hold = hold;
    return hold;
}

static ref_t holds_of(struct thread *t, struct accesses *a)
{
    ref_t outer = 0;
    for (u32 i = 0; i < t->rec->nheld; i++)
        outer = hold_of(a, outer, &t->held[i]);
    return outer;
}

static SNARL_COLD bool epoch_block_begin(struct accesses *a)
{
    u32 first = epoch_block(a->number);
    if (!first) {
        run_lost(LOSS_epochs_reused);
        return false;
    }
    a->next = a->first = first;
    a->block_end = first + EPOCH_BLOCK;
    return true;
}

static bool epoch_begin(struct thread *t, struct accesses *a)
{
    if (snarl_unlikely(a->next == a->block_end) && !epoch_block_begin(a))
        return false;
    u32 e = a->next++;
    if (a->ticked)
        a->first = e;
    a->ticked = false;
    epochs[e] = (struct epoch){.time = clock_now(&a->clock),
                               .lane = a->clock.lane,
                               .number = a->number,
                               .thread = t->ref,
                               .hold = t->rec->nheld ? holds_of(t, a) : 0};
    a->epoch = e;
    access_now = e << SLOT_EPOCH_SHIFT | SLOT_MASK;
    return true;
}

SNARL_COLD enum relation epoch_relation_slow(struct accesses *a, u32 epoch)
{
    const struct epoch *e = &epochs[epoch];
    if (clock_time(&a->clock, e->lane) < e->time) {
        a->concurrent = epoch;
        return UNORDERED;
    }
    a->known[epoch % KNOWN] = epoch;
    return BEFORE;
}

/* ---- sites ---- */

static u32 access_site(struct access *x)
{
    if (x->site)
        return x->site;
    if (!x->stack)
        x->stack = capture(x->t, x->fp);
    u32 i = (x->stack ^ x->stack >> 8) % SITE_MEMO;
    if (snarl_likely(x->a->sites[i].stack == x->stack && !x->flags))
        return x->site = x->a->sites[i].site;
    x->site = site_make(x->stack, 0, x->flags, 0);
    if (!x->flags) {
        x->a->sites[i].stack = x->stack;
        x->a->sites[i].site = x->site;
    }
    return x->site;
}

static SNARL_HOT u32 merge_index(u32 site, u32 masks, ref_t stack)
{
    return (site * 31 + masks * 5 + stack) % MERGE_MEMO;
}

/* The site of a slot that gets more bytes, or some again. */
static u32 merged_site(struct access *x, u32 site, u32 slot, u32 mask)
{
    u32 now = access_site(x), masks = (slot & SLOT_MASK) << 8 | mask;
    if (site == now || !(slot & SLOT_MASK & ~mask) || !site)
        return now;
    u32 i = merge_index(site, masks, x->stack);
    if (x->a->merges[i].site == site && x->a->merges[i].masks == masks && x->a->merges[i].stack == x->stack)
        return x->a->merges[i].merged;
    u32 merged = site_merge(site, slot & SLOT_MASK, x->stack, mask);
    x->a->merges[i].site = site;
    x->a->merges[i].masks = masks;
    x->a->merges[i].stack = x->stack;
    x->a->merges[i].merged = merged;
    return merged;
}

/* ---- one granule ---- */

/* What one older slot has to say to an access of these bytes: races are reported. Returns what is left of it. *hit: the
 * access adds nothing to it. */
static SNARL_HOT u32 slot_meet(struct access *x, u64 addr, u32 mask, u32 slot, u32 word, bool *hit)
{
    u32 overlap = slot & mask & SLOT_MASK;
    enum relation r = overlap ? epoch_relation(x->a, slot_epoch(slot)) : BEFORE;
    if (!overlap)
        return slot;
    if (r == SAME_EPOCH && slot_covers(slot, x->kind, mask)) {
        *hit = true;
        return slot;
    }
    if (snarl_unlikely(r == UNORDERED)) {
        if (!slot_conflicts(slot, x->kind))
            return slot;
        access_site(x);
        race_found(x->t, x->a, addr, overlap, x->kind | (x->flags & SITE_FREE ? ACCESS_FREE : 0), x->stack, x->fp, slot,
                   site_in(word, slot));
    }
    if (!slot_outdone(slot, x->kind))
        return slot;
    return slot & SLOT_MASK & ~mask ? slot & ~mask : 0;
}

/* Does this slot take the access in: same thread and epoch, same kind? */
static SNARL_HOT bool slot_joins(const struct access *x, u32 slot)
{
    return slot && slot_epoch(slot) == x->a->epoch &&
           ((slot >> SLOT_KIND_SHIFT ^ x->kind) & (ACCESS_WRITE | ACCESS_ATOMIC)) == 0;
}

static bool crowd_begin(struct access *x, u64 *cell, u64 seen, const struct crowd_slot *slots, u32 n)
{
    u32 number = crowd_take(&x->a->crowds);
    if (!number) {
        run_lost(LOSS_epochs_reused);
        return true;
    }
    struct crowd *c = crowd_at(number);
    __builtin_memcpy(c->slots, slots, n * sizeof *slots);
    c->n = n;
    if (__atomic_compare_exchange_n(cell, &seen, CELL_CROWD | (u64)number << 32, false, __ATOMIC_RELEASE,
                                    __ATOMIC_RELAXED))
        return true;
    crowd_give(&x->a->crowds, number);
    return false;
}

/* Writes n <= 2 slots. False: the cell has changed. */
static SNARL_HOT bool cell_write(u64 addr, u64 *cell, u64 seen, const struct crowd_slot *s, u32 n)
{
    u64 fresh = cell_make(s[0].slot, n > 1 ? s[1].slot : 0);
    if (snarl_unlikely(!__atomic_compare_exchange_n(cell, &seen, fresh, false, __ATOMIC_RELAXED, __ATOMIC_RELAXED)))
        return false;
    __atomic_store_n(shadow_site(addr), s[0].site | (n > 1 ? (u64)s[1].site << 32 : 0), __ATOMIC_RELAXED);
    return true;
}

/* Adds the access to s[0..n), newest first; there is room for one more. */
static SNARL_HOT u32 slots_add(struct access *x, struct crowd_slot *s, u32 n, u32 mask)
{
    u32 slot = slot_make(x->a->epoch, x->kind, mask), site = 0;
    for (u32 i = 0; i < n; i++) {
        if (!slot_joins(x, s[i].slot))
            continue;
        site = merged_site(x, site_in(s[i].site, s[i].slot), s[i].slot, mask);
        slot |= s[i].slot & SLOT_MASK;
        s[i] = s[--n];
        break;
    }
    if (!site)
        site = access_site(x);
    if (n)
        s[n] = s[0];
    s[0] = (struct crowd_slot){slot, site_word(site, slot)};
    return n + 1;
}

static bool crowd_access(struct access *x, u64 addr, u32 mask, u64 *cell, u64 seen);

static void granule_access(struct access *x, u64 addr, u32 mask)
{
    u64 *cell = shadow_cell(addr);
    for (;;) {
        u64 seen = __atomic_load_n(cell, __ATOMIC_RELAXED);
        if (snarl_unlikely(cell_is_crowd(seen))) {
            if (crowd_access(x, addr, mask, cell, seen))
                return;
            continue;
        }
        u64 words = __atomic_load_n(shadow_site(addr), __ATOMIC_RELAXED);
        struct crowd_slot s[3];
        u32 n = 0;
        bool hit = false;
        for (u32 i = 0; i < 2; i++, seen = seen >> 32 | seen << 32, words >>= 32) {
            u32 slot = (u32)seen ? slot_meet(x, addr, mask, (u32)seen, (u32)words, &hit) : 0;
            if (slot)
                s[n++] = (struct crowd_slot){slot, (u32)words};
        }
        if (hit)
            return;
        n = slots_add(x, s, n, mask);
        if (n <= 2 ? cell_write(addr, cell, seen, s, n) : crowd_begin(x, cell, seen, s, n))
            return;
    }
}

/* ---- crowds ---- */

/* Everything in the chain, into out; at most max. */
static u32 crowd_read(u32 number, struct crowd_slot *out, u32 max)
{
    u32 n = 0;
    for (u32 c = number; c; c = crowd_at(c)->next)
        for (u32 i = 0; i < crowd_at(c)->n && n < max; i++)
            out[n++] = crowd_at(c)->slots[i];
    return n;
}

static void crowd_write(struct access *x, u32 number, const struct crowd_slot *s, u32 n)
{
    u32 c = number;
    for (u32 at = 0; at < n;) {
        struct crowd *r = crowd_at(c);
        u32 take = n - at < CROWD_SLOTS ? n - at : CROWD_SLOTS;
        __builtin_memcpy(r->slots, s + at, take * sizeof *s);
        r->n = take;
        at += take;
        if (at < n && !r->next && !(r->next = crowd_take(&x->a->crowds))) {
            run_lost(LOSS_epochs_reused);
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
        for (u32 i = 0; i < crowd_at(c)->n; i++)
            if (slot_epoch(crowd_at(c)->slots[i].slot) == x->a->epoch &&
                slot_covers(crowd_at(c)->slots[i].slot, x->kind, mask))
                return true;
    return false;
}

static bool crowd_access(struct access *x, u64 addr, u32 mask, u64 *cell, u64 seen)
{
    struct crowd_slot *s = x->a->scratch;
    u32 number = crowd_number(seen), n, kept = 0;
    bool hit = false;
    access_site(x); /* before the guard: it may unwind */
    if (!crowd_enter(cell, seen))
        return false;
    if (crowd_has(x, number, mask)) {
        crowd_leave(number);
        return true;
    }
    n = crowd_read(number, s, CROWD_MAX);
    for (u32 i = 0; i < n; i++) {
        u32 slot = slot_meet(x, addr, mask, s[i].slot, s[i].site, &hit);
        if (slot)
            s[kept++] = (struct crowd_slot){slot, s[i].site};
    }
    if (!hit) {
        n = slots_add(x, s, kept, mask);
        if (n > 2) {
            crowd_write(x, number, s, n < CROWD_MAX ? n : CROWD_MAX);
        } else if (cell_write(addr, cell, seen, s, n)) {
            crowd_leave(number);
            crowd_give(&x->a->crowds, number);
            return true;
        }
    }
    crowd_leave(number);
    return true;
}

/* ---- the door ---- */

static SNARL_HOT bool ignores(const struct accesses *a, u32 kind)
{
    return kind & ACCESS_WRITE ? a->ignored_writes : a->ignored_reads;
}

static bool access_start(struct access *x, struct thread *t, u32 kind, const u64 *fp)
{
    struct accesses *a = accesses_of(t);
    if (snarl_unlikely(!a || (a->ignored && ignores(a, kind))))
        return false;
    if ((access_now & SLOT_SAME_EPOCH) == 0 && !epoch_begin(t, a))
        return false;
    *x = (struct access){.t = t, .a = a, .fp = fp, .kind = kind & (ACCESS_WRITE | ACCESS_ATOMIC)};
    x->flags = kind & ACCESS_FREE ? SITE_FREE : 0;
    return true;
}

static void granules(struct access *x, u64 addr, u64 size)
{
    u64 end = addr + size;
    while (addr < end) {
        u64 next = (addr | (GRANULE - 1)) + 1;
        u32 n = (u32)((next < end ? next : end) - addr), mask = granule_mask(addr, n);
        if (!access_is_known(addr, mask, x->kind))
            granule_access(x, addr & ~(u64)(GRANULE - 1), mask);
        addr = next;
    }
}

void access_range(struct thread *t, u64 addr, u64 size, u32 kind, const u64 *fp)
{
    struct access x;
    if (!access_now || !size || !access_start(&x, t, kind, fp))
        return;
    if (snarl_unlikely(!shadow_covers(addr, size))) {
        run_lost(LOSS_shadow_uncovered);
        return;
    }
    granules(&x, addr, size);
}

/* ---- by an instruction known to the thread ---- */

static struct instruction_memo *instruction_memo(struct accesses *a, u64 pc, u64 stamp)
{
    return &a->instructions[(pc ^ pc >> 8 ^ stamp * 0x9e3779b1u) % INSTRUCTION_MEMO];
}

/* What is left of an older slot; NOT_QUICK when its past has to be looked up. */
#define NOT_QUICK CELL_CROWD
static SNARL_HOT u32 quick_meet(const struct accesses *a, u32 slot, u32 mask, u32 kind)
{
    if (!(slot & mask))
        return slot;
    u32 epoch = slot_epoch(slot);
    if (epoch_owner[epoch / EPOCH_BLOCK] != a->number && a->known[epoch % KNOWN] != epoch)
        return epoch == a->concurrent && !slot_conflicts(slot, kind) ? slot : NOT_QUICK;
    if (!slot_outdone(slot, kind))
        return slot;
    return slot & SLOT_MASK & ~mask ? slot & ~mask : 0;
}

static bool quick_store(u64 addr, u64 seen, u64 fresh, u64 sites)
{
    if (!__atomic_compare_exchange_n(shadow_cell(addr), &seen, fresh, false, __ATOMIC_RELAXED, __ATOMIC_RELAXED))
        return false;
    __atomic_store_n(shadow_site(addr), sites, __ATOMIC_RELAXED);
    return true;
}

/* The site of slot with the bytes of `had` added, when the thread knows it; 0: it does not. */
static u32 quick_merge(const struct accesses *a, u32 had, u32 had_site, u32 mask, u32 site, ref_t stack)
{
    u32 masks = (had & SLOT_MASK) << 8 | mask, i = merge_index(had_site, masks, stack);
    if (had_site == site || !(had & SLOT_MASK & ~mask))
        return site;
    return a->merges[i].site == had_site && a->merges[i].masks == masks && a->merges[i].stack == stack
               ? a->merges[i].merged
               : 0;
}

/* The access as its slot would say it, and where it is made. */
struct quick {
    struct accesses *a;
    u64 addr;
    u32 slot, mask, kind, site;
    ref_t stack;
};

static bool quick_crowd_begin(const struct quick *q, u64 seen, u64 words)
{
    if (!q->a->crowds.n)
        return false;
    u32 number = crowd_take(&q->a->crowds);
    struct crowd *c = crowd_at(number);
    c->slots[0] = (struct crowd_slot){q->slot, site_word(q->site, q->slot)};
    c->n = 1;
    for (u32 i = 0; i < 2; i++, seen >>= 32, words >>= 32) {
        u32 left = quick_meet(q->a, (u32)seen, q->mask, q->kind);
        if (left)
            c->slots[c->n++] = (struct crowd_slot){left, (u32)words};
    }
    return true;
}

/* The thread has made this access before, in this epoch. Without the guard: only this thread can have written such an
 * entry, and while the cell refers to the record it is this granule's. */
static bool quick_crowd_has(const struct quick *q, const struct crowd *c, const u64 *cell, u64 seen)
{
    bool has = false;
    u32 n = __atomic_load_n(&c->n, __ATOMIC_RELAXED);
    for (u32 i = 0; i < n && i < CROWD_SLOTS && !has; i++) {
        u32 slot = __atomic_load_n(&c->slots[i].slot, __ATOMIC_RELAXED);
        has = slot_epoch(slot) == slot_epoch(q->slot) && slot_covers(slot, q->kind, q->mask);
    }
    return has && __atomic_load_n(cell, __ATOMIC_ACQUIRE) == seen;
}

/* In the place of the present entries: what is left of them, and the access. Under the guard. 0: it takes more than
 * that, nothing was done. */
static u32 quick_crowd_write(const struct quick *q, struct crowd *c)
{
    struct crowd_slot left[CROWD_SLOTS + 1];
    u32 n = 1, slot = q->slot, site = q->site;
    for (u32 i = 0; i < c->n; i++) {
        u32 met = quick_meet(q->a, c->slots[i].slot, q->mask, q->kind);
        if (met == NOT_QUICK)
            return 0;
        if (met >> SLOT_KIND_SHIFT == slot >> SLOT_KIND_SHIFT) {
            site = quick_merge(q->a, met, site_in(c->slots[i].site, met), q->mask, q->site, q->stack);
            slot |= met & SLOT_MASK;
            if (!site)
                return 0;
        } else if (met) {
            left[n++] = (struct crowd_slot){met, c->slots[i].site};
        }
    }
    left[0] = (struct crowd_slot){slot, site_word(site, slot)};
    if (n > CROWD_SLOTS)
        return 0;
    __builtin_memcpy(c->slots, left, n * sizeof *left);
    return c->n = n;
}

static bool quick_crowd(const struct quick *q, u64 seen)
{
    u64 *cell = shadow_cell(q->addr);
    u32 number = crowd_number(seen);
    struct crowd *c = crowd_at(number);
    if (quick_crowd_has(q, c, cell, seen))
        return true;
    if (!crowd_enter(cell, seen))
        return false;
    u32 n = c->next ? 0 : quick_crowd_write(q, c);
    if (n == 1 || n == 2) { /* fits into the cell again; the guard makes us the only one to change it */
        __atomic_store_n(shadow_site(q->addr), c->slots[0].site | (n > 1 ? (u64)c->slots[1].site << 32 : 0),
                         __ATOMIC_RELAXED);
        __atomic_store_n(cell, cell_make(c->slots[0].slot, n > 1 ? c->slots[1].slot : 0), __ATOMIC_RELEASE);
    }
    crowd_leave(number);
    if (n == 1 || n == 2)
        crowd_give(&q->a->crowds, number);
    return n != 0;
}

static bool quick_two(const struct quick *q, u64 seen, u32 newer, u32 older)
{
    u64 words = __atomic_load_n(shadow_site(q->addr), __ATOMIC_RELAXED), rest = words & ~(u64)~0u;
    if (!newer) {
        newer = older;
        older = 0;
        words >>= 32;
    }
    if (newer >> SLOT_KIND_SHIFT == q->slot >> SLOT_KIND_SHIFT) { /* more bytes for the same slot */
        u32 site = quick_merge(q->a, newer, site_in((u32)words, newer), q->mask, q->site, q->stack);
        u32 slot = q->slot | (newer & SLOT_MASK);
        return site && quick_store(q->addr, seen, cell_make(slot, older), site_word(site, slot) | (older ? rest : 0));
    }
    if (!older)
        return quick_store(q->addr, seen, cell_make(q->slot, newer), site_word(q->site, q->slot) | words << 32);
    if (older >> SLOT_KIND_SHIFT == q->slot >> SLOT_KIND_SHIFT) {
        u32 site = quick_merge(q->a, older, site_in((u32)(rest >> 32), older), q->mask, q->site, q->stack);
        u32 slot = q->slot | (older & SLOT_MASK);
        return site && quick_store(q->addr, seen, cell_make(slot, newer), site_word(site, slot) | words << 32);
    }
    if (!quick_crowd_begin(q, seen, words))
        return false;
    u32 number = q->a->crowds.number[q->a->crowds.n]; /* the one just taken */
    if (__atomic_compare_exchange_n(shadow_cell(q->addr), &seen, CELL_CROWD | (u64)number << 32, false,
                                    __ATOMIC_RELEASE, __ATOMIC_RELAXED))
        return true;
    crowd_give(&q->a->crowds, number);
    return false;
}

bool access_quick(struct thread *t, u64 addr, u32 mask, u32 kind, u64 pc)
{
    struct accesses *a = t->accesses;
    u32 now = access_now;
    if (snarl_unlikely(!a || !(now & SLOT_SAME_EPOCH) || a->ignored))
        return false;
    const struct instruction_memo *m = instruction_memo(a, pc, a->frames.stamp);
    struct quick q = {a, addr, slot_make(now >> SLOT_EPOCH_SHIFT, kind, mask), mask, kind, m->site, m->stack};
    __atomic_signal_fence(__ATOMIC_SEQ_CST);
    if (snarl_unlikely(m->pc != pc || m->stamp != a->frames.stamp))
        return false;
    u64 seen = __atomic_load_n(shadow_cell(addr), __ATOMIC_RELAXED);
    u32 newer = quick_meet(a, (u32)seen, mask, kind), older = quick_meet(a, (u32)(seen >> 32), mask, kind);
    if (snarl_unlikely(newer == NOT_QUICK || older == NOT_QUICK)) /* a crowd looks like that, too */
        return cell_is_crowd(seen) && quick_crowd(&q, seen);
    if (!newer && !older)
        return quick_store(addr, seen, q.slot, site_word(q.site, q.slot));
    return quick_two(&q, seen, newer, older);
}

void access_seen(struct thread *t, u64 addr, u32 size, u32 kind, const u64 *fp)
{
    struct access x;
    if (!access_now || !access_start(&x, t, kind, fp))
        return;
    if (snarl_unlikely(!shadow_covers(addr, size))) {
        run_lost(LOSS_shadow_uncovered);
        return;
    }
    struct instruction_memo *m = instruction_memo(x.a, fp[1], x.a->frames.stamp);
    if (m->pc == fp[1] && m->stamp == x.a->frames.stamp) {
        x.site = m->site;
        x.stack = m->stack;
    } else if (access_site(&x)) {
        m->pc = 0;
        __atomic_signal_fence(__ATOMIC_SEQ_CST);
        m->site = x.site;
        m->stack = x.stack;
        m->stamp = x.a->frames.stamp;
        __atomic_signal_fence(__ATOMIC_SEQ_CST);
        m->pc = fp[1];
    }
    granules(&x, addr, size);
}
