/* What an access means: looks at what the shadow keeps of its bytes, reports races, records it. Called by sensors of
 * accesses. Takes no lock on the usual paths; a new epoch under a lock may take RANK_GRAPH (interned holds), a report
 * RANK_FINDINGS. Cells change by compare-and-swap, so of two accesses at the same time one sees the other. */
#include "analyze/access_hot.h"
#include "analyze/accesses.h"
#include "analyze/atomicity.h"
#include "analyze/cap.h"
#include "analyze/readers.h"
#include "analyze/recycle.h"
#include "analyze/site.h"
#include "analyze/weak.h"

__thread u32 access_now;
__thread struct access_frames *access_frames;

#define SITE_PATIENCE 10000u
#define CAP_PATIENCE 16u       /* blocks of epochs */
#define DETOURS_PATIENCE 1024u /* slow accesses before the thread tries to end a recycling cycle itself */

struct access {
    struct thread *t;
    struct accesses *a;
    const u64 *fp;
    u32 kind;
    u32 flags; /* of its site */
    ref_t stack;
    u32 site; /* 0: not yet looked up */
    u32 late; /* the epoch of an access that has waited; else 0 */
};

/* Slots met in the shadow may have condemned numbers (recycle.h). */
static SNARL_HOT bool cycle_runs(const struct accesses *a)
{
    return snarl_unlikely(a->cycle & 1);
}

static SNARL_HOT u32 access_epoch(const struct access *x)
{
    return snarl_unlikely(x->late) ? x->late : x->a->epoch;
}

/* ---- epochs ---- */

static ref_t hold_of(struct accesses *a, ref_t outer, const struct held_entry *h)
{
    u32 i = (outer * 31 + h->lock + h->stack * 7) % HOLD_MEMO;
    if (a->holds[i].hold && a->holds[i].outer == outer && a->holds[i].lock == h->lock &&
        a->holds[i].stack == h->stack && a->holds[i].mode == h->mode)
        return a->holds[i].hold;
    ref_t hold = order_hold(outer, h);
    a->holds[i].outer = outer;
    a->holds[i].lock = h->lock;
    a->holds[i].stack = h->stack;
    a->holds[i].mode = h->mode;
    a->holds[i].hold = hold;
    return hold;
}

static ref_t holds_of(struct thread *t, struct accesses *a)
{
    ref_t outer = 0;
    for (u32 i = 0; i < t->rec->nheld; i++)
        if (!(outer = hold_of(a, outer, &t->held[i])))
            weak_forget();
    return outer;
}

static SNARL_COLD bool epoch_block_begin(struct accesses *a)
{
    if (a->block_end)
        epoch_block_full(a->block_first / EPOCH_BLOCK);
    a->next = a->block_first = a->block_end = a->open_first = 0;
    a->first = ~0u;
    if (++a->blocks % CAP_PATIENCE == 0 && cap_near())
        cap_check(a);
    if (recycle_wanted())
        recycle_try(a);
    u32 first = epoch_block_take(a->number) * EPOCH_BLOCK;
    if (!first) {
        accesses_lost();
        return false;
    }
    a->next = a->first = a->block_first = first;
    a->block_end = first + EPOCH_BLOCK;
    return true;
}

static bool epoch_begin(struct thread *t, struct accesses *a)
{
    if (snarl_unlikely(a->next == a->block_end) && !epoch_block_begin(a))
        return false;
    u32 e = a->next++;
    if (a->ticked || a->weak) /* which section an access is in matters there */
        a->first = e;
    a->ticked = false;
    epochs[e] = (struct epoch){.time = clock_now(&a->clock),
                               .lane = a->clock.lane,
                               .number = a->number,
                               .thread = t->ref,
                               .hold = t->rec->nheld ? holds_of(t, a) : 0};
    a->epoch = e;
    a->open_first = !t->rec->nheld ? 0 : a->open_first ? a->open_first : e;
    a->wrote = a->weak && t->rec->nheld ? 0 : e;
    a->locked = atomicity_epoch(t, a);
    access_sets_forget(&a->frames);
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
    if (a->weak && !weak_before(a, e)) {
        a->concurrent = epoch;
        return LUCKY;
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

/* The slot was there before its site: whoever wrote it is about to write that, too. */
static SNARL_COLD u32 site_awaited(u64 addr, u32 slot)
{
    for (u32 i = 0; i < SITE_PATIENCE; i++) {
        u64 words = __atomic_load_n(shadow_site(addr), __ATOMIC_ACQUIRE);
        u64 cell = __atomic_load_n(shadow_cell(addr), __ATOMIC_RELAXED);
        u32 word = (u32)cell == slot ? (u32)words : (u32)(words >> 32);
        if ((u32)cell != slot && (u32)(cell >> 32) != slot)
            return 0;
        if (site_in(word, slot))
            return site_in(word, slot);
        __builtin_ia32_pause();
    }
    return 0;
}

static SNARL_COLD void slot_found(struct access *x, u64 addr, u32 mask, u32 slot, u32 word, found_fn *found)
{
    access_site(x);
    found(x->t, x->a, addr, mask, x->kind | (x->flags & SITE_FREE ? ACCESS_FREE : 0), x->stack, x->fp, slot,
          site_in(word, slot) ? site_in(word, slot) : site_awaited(addr, slot));
}

static SNARL_COLD void slot_orders(struct accesses *a, u32 mask, u32 slot)
{
    if (!(slot & mask & SLOT_MASK))
        return;
    if (!slot_is_set(slot)) {
        epoch_relation(a, slot_epoch(slot));
        return;
    }
    const struct readers *r = readers_at(slot_epoch(slot));
    for (u32 i = 0; i < r->n; i++)
        slot_orders(a, mask, r->member[i].slot);
}

/* The rest of the cell may say more: of sections whose data it is. A crowd's guard is this thread's. */
static SNARL_COLD bool cell_orders(struct access *x, u64 addr, u32 mask, u32 slot)
{
    struct accesses *a = x->a;
    u64 cell = __atomic_load_n(shadow_cell(addr), __ATOMIC_RELAXED);
    for (u32 c = cell_is_crowd(cell) ? crowd_number(cell) : 0; c; c = crowd_at(c)->next)
        for (u32 i = 0; i < crowd_at(c)->n && i < CROWD_SLOTS; i++)
            slot_orders(a, mask, crowd_at(c)->slots[i].slot);
    slot_orders(a, mask, (u32)cell);
    slot_orders(a, mask, (u32)(cell >> 32));
    return epoch_relation(a, slot_epoch(slot)) == BEFORE || weak_before_all(a, &epochs[slot_epoch(slot)]);
}

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
    if (snarl_unlikely(r >= LUCKY)) {
        if (!slot_conflicts(slot, x->kind))
            return slot;
        if (r == UNORDERED && x->a->weak)
            weak_raced(x->a, &epochs[slot_epoch(slot)]);
        if (r == UNORDERED)
            slot_found(x, addr, overlap, slot, word, race_found);
        else if (!cell_orders(x, addr, overlap, slot))
            slot_found(x, addr, overlap, slot, word, unprotected_found);
    }
    if (!slot_outdone(slot, x->kind))
        return slot;
    return slot & SLOT_MASK & ~mask ? slot & ~mask : 0;
}

/* The same for a set of readers. */
static struct crowd_slot set_meet(struct access *x, u64 addr, u32 mask, u32 slot, bool *hit)
{
    const struct readers *r = readers_at(slot_epoch(slot));
    struct crowd_slot *left = x->a->members, same = {slot, 0};
    u32 n = 0;
    bool changed = false;
    if (!(slot & mask & SLOT_MASK))
        return same;
    for (u32 i = 0; i < r->n && !*hit; i++) {
        u32 l = slot_meet(x, addr, mask, r->member[i].slot, r->member[i].site, hit);
        changed |= l != r->member[i].slot;
        if (l)
            left[n++] = (struct crowd_slot){l, r->member[i].site};
    }
    return *hit || !changed ? same : readers_make(left, n);
}

static SNARL_HOT struct crowd_slot any_meet(struct access *x, u64 addr, u32 mask, u32 slot, u32 word, bool *hit)
{
    if (snarl_unlikely(slot_is_set(slot)))
        return set_meet(x, addr, mask, slot, hit);
    return (struct crowd_slot){slot_meet(x, addr, mask, slot, word, hit), word};
}

/* Does this slot take the access in: same thread and epoch, same kind? */
static SNARL_HOT bool slot_joins(const struct access *x, u32 slot)
{
    return slot && slot_epoch(slot) == access_epoch(x) &&
           ((slot >> SLOT_KIND_SHIFT ^ x->kind) & (ACCESS_WRITE | ACCESS_ATOMIC)) == 0;
}

static bool crowd_begin(struct access *x, u64 *cell, u64 seen, const struct crowd_slot *slots, u32 n)
{
    u32 number = crowd_take(&x->a->crowds);
    if (!number) {
        accesses_lost();
        return true;
    }
    struct crowd *c = crowd_at(number);
    __builtin_memcpy(c->slots, slots, n * sizeof *slots);
    c->n = n;
    if (__atomic_compare_exchange_n(cell, &seen, crowd_cell(number), false, __ATOMIC_RELEASE, __ATOMIC_RELAXED))
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
    u32 slot = slot_make(access_epoch(x), x->kind, mask), site = 0;
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

/* Adds a read, or the members of a set, to m[0..n), the reads of one kind. */
static u32 members_add(struct access *x, struct crowd_slot *m, u32 n, struct crowd_slot s)
{
    if (slot_is_set(s.slot)) {
        const struct readers *r = readers_at(slot_epoch(s.slot));
        for (u32 i = 0; i < r->n && n < READERS_MAX; i++)
            n = members_add(x, m, n, r->member[i]);
        return n;
    }
    for (u32 i = 0; i < n; i++) {
        if (m[i].slot >> SLOT_KIND_SHIFT != s.slot >> SLOT_KIND_SHIFT)
            continue;
        /* the access itself, now with more bytes; it comes first */
        u32 site = merged_site(x, site_in(s.site, s.slot), s.slot, m[i].slot & SLOT_MASK);
        m[i].slot |= s.slot & SLOT_MASK;
        m[i].site = site_word(site, m[i].slot);
        return n;
    }
    if (n < READERS_MAX)
        m[n++] = s;
    return n;
}

/* Puts all reads of the access's kind into one set, when there are so many of them or a set is among them. The new
 * number of slots. */
static u32 slots_fold(struct access *x, struct crowd_slot *s, u32 n)
{
    u32 kind = x->kind << SLOT_KIND_SHIFT, folded = 0, kept = 0;
    struct crowd_slot *m = x->a->members;
    bool set = n > 2;
    for (u32 i = 0; i < n; i++)
        set |= slot_is_set(s[i].slot);
    if ((kind & SLOT_WRITE) || !set)
        return n;
    for (u32 i = 0; i < n; i++)
        if ((s[i].slot & (SLOT_WRITE | SLOT_ATOMIC)) == kind)
            folded = members_add(x, m, folded, s[i]);
    struct crowd_slot one = folded < READERS_MAX ? readers_make(m, folded) : (struct crowd_slot){0, 0};
    if (!one.slot)
        return n;
    for (u32 i = 0; i < n; i++)
        if ((s[i].slot & (SLOT_WRITE | SLOT_ATOMIC)) != kind)
            s[kept++] = s[i];
    for (u32 i = kept; i > 0; i--)
        s[i] = s[i - 1];
    s[0] = one;
    return kept + 1;
}

/* What a set became with this access, for the next granule that has it. */
static void set_remember(struct access *x, u64 seen, u32 to, u32 mask)
{
    u32 from = slot_is_set((u32)seen) ? (u32)seen : slot_is_set((u32)(seen >> 32)) ? (u32)(seen >> 32) : 0;
    if (!from || !slot_is_set(to) || x->late || cycle_runs(x->a) || (from >> SLOT_KIND_SHIFT & 3) != x->kind)
        return;
    *set_memo(x->a, from, mask) =
        (struct set_memo){.from = from, .to = to, .epoch = x->a->epoch, .mask = mask, .site = access_site(x)};
}

static bool crowd_access(struct access *x, u64 addr, u32 mask, u64 *cell, u64 seen);

static void granule_access(struct access *x, u64 addr, u32 mask)
{
    u64 *cell = shadow_cell(addr);
    shadow_touch(addr);
    for (;;) {
        u64 seen = __atomic_load_n(cell, __ATOMIC_RELAXED), old;
        if (snarl_unlikely(cell_is_crowd(seen))) {
            if (crowd_access(x, addr, mask, cell, seen))
                return;
            continue;
        }
        u64 words = __atomic_load_n(shadow_site(addr), __ATOMIC_RELAXED);
        struct crowd_slot s[3];
        u32 n = 0;
        bool hit = false;
        for (old = cycle_runs(x->a) ? recycle_cell(x->a, seen, &words) : seen; old; old >>= 32, words >>= 32) {
            // cppcheck-suppress oppositeInnerCondition ; the low half only
            if (!(u32)old)
                continue;
            s[n] = any_meet(x, addr, mask, (u32)old, (u32)words, &hit);
            n += s[n].slot != 0;
        }
        if (hit) {
            set_remember(x, seen, slot_is_set((u32)seen) ? (u32)seen : (u32)(seen >> 32), mask);
            return;
        }
        n = slots_fold(x, s, slots_add(x, s, n, mask));
        set_remember(x, seen, s[0].slot, mask);
        if (n <= 2 ? cell_write(addr, cell, seen, s, n) : crowd_begin(x, cell, seen, s, n))
            return;
    }
}

/* ---- crowds ---- */

/* Everything in the chain, into out; at most max. */
static u32 crowd_read(struct accesses *a, u32 number, struct crowd_slot *out, u32 max)
{
    u32 n = 0;
    for (u32 c = number; c; c = crowd_at(c)->next)
        for (u32 i = 0; i < crowd_at(c)->n && n < max; i++)
            out[n++] = crowd_at(c)->slots[i];
    for (u32 i = 0; i < n && cycle_runs(a); i++)
        out[i].slot = recycle_slot(a, out[i].slot, &out[i].site);
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
        for (u32 i = 0; i < crowd_at(c)->n; i++)
            if (slot_epoch(crowd_at(c)->slots[i].slot) == access_epoch(x) &&
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
    n = crowd_read(x->a, number, s, CROWD_MAX);
    for (u32 i = 0; i < n; i++) {
        s[kept] = any_meet(x, addr, mask, s[i].slot, s[i].site, &hit);
        kept += s[kept].slot != 0;
    }
    if (!hit) {
        n = slots_fold(x, s, slots_add(x, s, kept, mask));
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
    accesses_flush(t, a);
    if (snarl_unlikely(a->cycle & 1) && ++a->detours % DETOURS_PATIENCE == 0)
        recycle_try(a);
    if ((access_now & SLOT_SAME_EPOCH) == 0 && !epoch_begin(t, a))
        return false;
    recycle_visit(a);
    if (cap_due())
        cap_check(a);
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

/* The half of a pair that may lose an update. single: fp[1] is the access's own instruction. */
static SNARL_COLD void pair_seen(struct access *x, u64 addr, u64 size, u32 kind, const u64 *fp, bool single)
{
    u64 room = GRANULE - addr % GRANULE;
    u32 first = (u32)(size < room ? size : room);
    access_site(x);
    atomicity_access(x->t, x->a, addr, granule_mask(addr, first), kind, x->stack, single ? fp[1] : 0, fp, true);
    if (size > room)
        atomicity_rest(x->a, addr + room, size - room);
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
    if (snarl_unlikely(x.a->locked))
        pair_seen(&x, addr, size, kind, fp, false);
    granules(&x, addr, size);
}

/* ---- by an instruction known to the thread ---- */

static SNARL_HOT struct instruction_memo *instruction_memo(struct accesses *a, const u64 *fp)
{
    u64 h = (fp[1] ^ a->frames.context) + (u64)fp;
    return &a->instructions[h * 0x9e3779b97f4a7c15ULL >> (64 - INSTRUCTION_MEMO_BITS)];
}

static SNARL_HOT bool instruction_known(const struct accesses *a, const struct instruction_memo *m, const u64 *fp)
{
    return m->pc == fp[1] && m->context == a->frames.context && m->sp == (u64)fp;
}

/* What is left of an older slot; NOT_QUICK when its past has to be looked up. */
#define NOT_QUICK CELL_CROWD
static SNARL_HOT u32 quick_meet(const struct accesses *a, u32 slot, u32 mask, u32 kind)
{
    u32 epoch = slot_epoch(slot);
    if (snarl_unlikely(epoch >= READERS_FIRST))
        return (slot & mask) || kind == (slot >> SLOT_KIND_SHIFT & 3) ? NOT_QUICK : slot;
    if (!(slot & mask))
        return slot;
    if (epoch_owner[epoch / EPOCH_BLOCK] != a->number && a->known[epoch % KNOWN] != epoch)
        return epoch == a->concurrent && !slot_conflicts(slot, kind) ? slot : NOT_QUICK;
    if (!slot_outdone(slot, kind))
        return slot;
    return slot & SLOT_MASK & ~mask ? slot & ~mask : 0;
}

/* Nothing but this thread's own past is in the cell. */
static SNARL_HOT bool cell_is_own(const struct accesses *a, u64 cell)
{
    u32 newer = slot_epoch((u32)cell), older = slot_epoch((u32)(cell >> 32));
    return newer && epoch_owner[newer / EPOCH_BLOCK] == a->number &&
           (!older || epoch_owner[older / EPOCH_BLOCK] == a->number);
}

/* A cell that nobody else has touched is written without the bus lock, which would double the cost of most accesses:
 * another thread's very first access of the granule, between our load and our store, could get lost. */
static SNARL_HOT bool quick_store(const struct accesses *a, u64 addr, u64 seen, u64 fresh, u64 sites)
{
    if (snarl_likely(cell_is_own(a, seen)))
        __atomic_store_n(shadow_cell(addr), fresh, __ATOMIC_RELAXED);
    else if (!__atomic_compare_exchange_n(shadow_cell(addr), &seen, fresh, false, __ATOMIC_RELAXED, __ATOMIC_RELAXED))
        return false;
    __atomic_store_n(shadow_site(addr), sites, __ATOMIC_RELAXED);
    return true;
}

static SNARL_HOT bool quick_store_first(u64 addr, u32 slot, u32 word)
{
    u64 none = 0;
    if (!__atomic_compare_exchange_n(shadow_cell(addr), &none, slot, false, __ATOMIC_RELAXED, __ATOMIC_RELAXED))
        return false;
    __atomic_store_n(shadow_site(addr), word, __ATOMIC_RELAXED);
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

/* ---- three slots, all the thread's own ----
 *
 * A loop that updates an array of ints goes through such a state at each granule: half of it at the old epoch, half at
 * the new one, read and written. Two slots stay in the cell, the newest waits in the thread's own memory until the next
 * access of the granule, which most often makes two of the three, or until the thread's clock is about to change. Until
 * then others do not see it; it sees theirs when it is written, and they are not ordered with it by then. */

static SNARL_HOT struct pending *pending_of(struct accesses *a, u64 addr)
{
    return &a->pending[addr / GRANULE % PENDING];
}

static void pending_set(struct accesses *a, struct pending *p, u64 addr, u32 slot, u32 word)
{
    a->npending += !p->slot;
    p->granule = addr & ~(u64)(GRANULE - 1);
    p->slot = slot;
    p->word = word;
}

/* The access joins one of s[0..n) of the same epoch and kind, or comes before them, newest first. The new number; 0: it
 * takes more than the thread's tables to tell. There is room for one more. */
static SNARL_HOT u32 quick_add(const struct quick *q, struct crowd_slot *s, u32 n)
{
    u32 slot = q->slot, site = q->site;
    for (u32 i = 0; i < n; i++) {
        if (s[i].slot >> SLOT_KIND_SHIFT != slot >> SLOT_KIND_SHIFT)
            continue;
        site = quick_merge(q->a, s[i].slot, site_in(s[i].site, s[i].slot), q->mask, q->site, q->stack);
        slot |= s[i].slot & SLOT_MASK;
        for (n--; i < n; i++)
            s[i] = s[i + 1];
        break;
    }
    for (u32 i = n; i > 0; i--)
        s[i] = s[i - 1];
    s[0] = (struct crowd_slot){slot, site_word(site, slot)};
    return site ? n + 1 : 0;
}

static u64 slots_cell(const struct crowd_slot *s, u32 n)
{
    return cell_make(s[0].slot, n > 1 ? s[1].slot : 0);
}
static u64 slots_words(const struct crowd_slot *s, u32 n)
{
    return s[0].site | (n > 1 ? (u64)s[1].site << 32 : 0);
}

/* With p the newest of three. */
static bool quick_three(const struct quick *q, u64 seen, u32 newer, u32 older, struct pending *p)
{
    struct crowd_slot s[4];
    u32 n = 0, left = quick_meet(q->a, p->slot, q->mask, q->kind);
    u64 words = __atomic_load_n(shadow_site(q->addr), __ATOMIC_RELAXED);
    if (slot_epoch(p->slot) == slot_epoch(q->slot) && slot_covers(p->slot, q->kind, q->mask))
        return true;
    if (left)
        s[n++] = (struct crowd_slot){left, p->word};
    if (newer)
        s[n++] = (struct crowd_slot){newer, (u32)words};
    if (older)
        s[n++] = (struct crowd_slot){older, (u32)(words >> 32)};
    n = quick_add(q, s, n);
    if (!n || n > 3)
        return false;
    if (!(n > 2 ? quick_store(q->a, q->addr, seen, slots_cell(s + 1, 2), slots_words(s + 1, 2))
                : quick_store(q->a, q->addr, seen, slots_cell(s, n), slots_words(s, n))))
        return false;
    if (n > 2) {
        pending_set(q->a, p, q->addr, s[0].slot, s[0].site);
    } else {
        p->slot = 0;
        q->a->npending--;
    }
    return true;
}

/* A read of what is known to have a set of readers of that kind in this slot. */
static bool quick_set(const struct quick *q, u64 seen, u32 from, u32 other, u32 other_word)
{
    const struct set_memo *m = set_memo(q->a, from, q->mask);
    u32 left = quick_meet(q->a, other, q->mask, q->kind), to = m->to;
    if (m->from != from || m->mask != q->mask || m->epoch != slot_epoch(q->slot) || left == NOT_QUICK)
        return false;
    if (to == from && left == other) {
        access_set_known(&q->a->frames, from, q->mask);
        return true;
    }
    return m->site == q->site && quick_store(q->a, q->addr, seen, cell_make(to, left), (u64)other_word << 32);
}

static bool quick_sets(const struct quick *q, u64 seen)
{
    u32 newer = (u32)seen, older = (u32)(seen >> 32), kind = q->kind << SLOT_KIND_SHIFT;
    u64 words = __atomic_load_n(shadow_site(q->addr), __ATOMIC_RELAXED);
    if (slot_is_set(newer) && (newer & (SLOT_WRITE | SLOT_ATOMIC)) == kind)
        return quick_set(q, seen, newer, older, (u32)(words >> 32));
    if (slot_is_set(older) && (older & (SLOT_WRITE | SLOT_ATOMIC)) == kind)
        return quick_set(q, seen, older, newer, (u32)words);
    return false;
}

static bool quick_two(const struct quick *q, u64 seen, u32 newer, u32 older)
{
    u64 words = __atomic_load_n(shadow_site(q->addr), __ATOMIC_RELAXED);
    struct crowd_slot s[3];
    u32 n = 0;
    if (newer)
        s[n++] = (struct crowd_slot){newer, (u32)words};
    if (older)
        s[n++] = (struct crowd_slot){older, (u32)(words >> 32)};
    n = quick_add(q, s, n);
    if (!n)
        return false;
    if (n <= 2)
        return quick_store(q->a, q->addr, seen, slots_cell(s, n), slots_words(s, n));
    struct pending *p = pending_of(q->a, q->addr);
    if (p->slot || !cell_is_own(q->a, seen) ||
        !quick_store(q->a, q->addr, seen, slots_cell(s + 1, 2), slots_words(s + 1, 2)))
        return false;
    pending_set(q->a, p, q->addr, s[0].slot, s[0].site);
    return true;
}

static SNARL_HOT bool epoch_is_own(const struct accesses *a, u32 epoch)
{
    return epoch - a->block_first < EPOCH_BLOCK || epoch_owner[epoch / EPOCH_BLOCK] == a->number;
}

static bool quick_rest(const struct quick *q, u64 seen, struct pending *p)
{
    struct accesses *a = q->a;
    u32 newer = quick_meet(a, (u32)seen, q->mask, q->kind), older = quick_meet(a, (u32)(seen >> 32), q->mask, q->kind);
    if (snarl_unlikely(newer == NOT_QUICK || older == NOT_QUICK)) /* a crowd looks like that, too */
        return !a->npending && (cell_is_crowd(seen) ? quick_crowd(q, seen) : quick_sets(q, seen));
    if (p->slot && p->granule == (q->addr & ~(u64)(GRANULE - 1)))
        return quick_three(q, seen, newer, older, p);
    if (!newer && !older)
        return quick_store(a, q->addr, seen, q->slot, site_word(q->site, q->slot));
    return quick_two(q, seen, newer, older);
}

static SNARL_HOT struct step_memo *step_memo(struct accesses *a, u64 cell, u32 slot)
{
    return &a->steps[(cell * 0x9e3779b97f4a7c15ULL ^ (u64)slot * 0xc2b2ae3d27d4eb4fULL) >> 58];
}

/* As this thread has done it to another granule in the same state, in this epoch. */
static SNARL_HOT bool step_again(struct accesses *a, const struct quick *q, u64 seen, u64 words, struct pending *p)
{
    u64 granule = q->addr & ~(u64)(GRANULE - 1);
    const struct step_memo *e = step_memo(a, seen, q->slot);
    bool waits = p->slot && p->granule == granule;
    if (e->cell != seen || e->slot != q->slot || e->site != q->site || e->words != words ||
        e->waiting != (waits ? p->slot : 0) || (waits && e->waiting_word != p->word) ||
        (e->new_waiting && p->slot && !waits))
        return false;
    if (e->new_cell != seen || e->new_words != words) {
        if (e->own)
            __atomic_store_n(shadow_cell(granule), e->new_cell, __ATOMIC_RELAXED);
        else if (!__atomic_compare_exchange_n(shadow_cell(granule), &seen, e->new_cell, false, __ATOMIC_RELAXED,
                                              __ATOMIC_RELAXED))
            return false;
        __atomic_store_n(shadow_site(granule), e->new_words, __ATOMIC_RELAXED);
    }
    if (e->new_waiting) {
        pending_set(a, p, granule, e->new_waiting, e->new_waiting_word);
    } else if (waits) {
        p->slot = 0;
        a->npending--;
    }
    return true;
}

static bool step(const struct quick *q)
{
    struct accesses *a = q->a;
    struct pending *p = pending_of(a, q->addr);
    u64 granule = q->addr & ~(u64)(GRANULE - 1), seen = __atomic_load_n(shadow_cell(granule), __ATOMIC_RELAXED);
    u64 words = __atomic_load_n(shadow_site(granule), __ATOMIC_RELAXED);
    bool done = step_again(a, q, seen, words, p);
    if (!done) {
        bool waited = p->slot && p->granule == granule;
        struct step_memo e = {.cell = seen,
                              .words = words,
                              .slot = q->slot,
                              .site = q->site,
                              .waiting = waited ? p->slot : 0,
                              .waiting_word = waited ? p->word : 0,
                              .own = cell_is_own(a, seen)};
        done = quick_rest(q, seen, p);
        e.new_cell = __atomic_load_n(shadow_cell(granule), __ATOMIC_RELAXED);
        e.new_words = __atomic_load_n(shadow_site(granule), __ATOMIC_RELAXED);
        if (p->slot && p->granule == granule) {
            e.new_waiting = p->slot;
            e.new_waiting_word = p->word;
        }
        if (done && e.own && cell_is_own(a, e.new_cell))
            *step_memo(a, seen, q->slot) = e;
    }
    return done;
}

/* Inside (thread.h): a signal handler's accesses take the other way meanwhile, and recycling waits for the end of it. So
 * what the cell had before does not count. */
static __attribute__((noinline)) bool quick_step(const struct quick *q)
{
    struct thread *t = q->a->owner;
    u64 before = t->inside;
    t->inside = (u64)__builtin_frame_address(0);
    __atomic_signal_fence(__ATOMIC_SEQ_CST);
    bool done = !__atomic_load_n(&q->a->ignored, __ATOMIC_RELAXED) && step(q);
    __atomic_signal_fence(__ATOMIC_SEQ_CST);
    t->inside = before;
    return done;
}

static SNARL_HOT bool quick(struct thread *t, u64 addr, u32 mask, u32 kind, const u64 *fp)
{
    struct accesses *a = t->accesses;
    u32 now = access_now;
    if (snarl_unlikely(!a || !(now & SLOT_SAME_EPOCH) || a->ignored))
        return false;
    const struct instruction_memo *m = instruction_memo(a, fp);
    if (snarl_unlikely(!instruction_known(a, m, fp)))
        return false;
    if (snarl_unlikely(!shadow_is_touched(addr))) /* perhaps no shadow: what lies there may be the program's */
        return false;
    if (snarl_unlikely(a->locked) && !atomicity_access(t, a, addr, mask, kind, m->stack, fp[1], NULL, false))
        return false;
    kind &= ACCESS_WRITE | ACCESS_ATOMIC;
    u64 *cell = shadow_cell(addr);
    u64 seen = __atomic_load_n(cell, __ATOMIC_RELAXED);
    u32 slot = slot_make(now >> SLOT_EPOCH_SHIFT, kind, mask), word = site_word(m->site, slot), had = (u32)seen;
    struct quick q = {a, addr, slot, mask, kind, m->site, m->stack};
    if (snarl_unlikely(a->npending))
        return quick_step(&q);
    /* Most often the granule is new, or its only past is this thread's own and says less than this access. */
    if (!seen)
        return quick_store_first(addr, slot, word);
    if (seen >> 32 || had & SLOT_MASK & ~mask || !slot_outdone(had, kind) || !epoch_is_own(a, slot_epoch(had)) ||
        had == CELL_CROWD)
        return quick_step(&q);
    __atomic_store_n(cell, slot, __ATOMIC_RELAXED);
    __atomic_store_n(shadow_site(addr), word, __ATOMIC_RELAXED);
    return true;
}

bool access_quick(struct thread *t, u64 addr, u32 mask, u32 kind, const u64 *fp)
{
    if (!quick(t, addr, mask, kind, fp))
        return false;
    weak_wrote(t, t->accesses, addr, kind);
    return true;
}

/* An access that has waited is recorded as it was made. */
SNARL_COLD void accesses_flush_slow(struct thread *t, struct accesses *a)
{
    recycle_visit(a);
    for (u32 i = 0; i < PENDING; i++) {
        struct pending p = a->pending[i];
        if (!p.slot)
            continue;
        a->pending[i].slot = 0;
        a->npending--;
        struct access x = {.t = t,
                           .a = a,
                           .kind = p.slot >> SLOT_KIND_SHIFT & (ACCESS_WRITE | ACCESS_ATOMIC),
                           .site = site_in(p.word, p.slot),
                           .late = slot_epoch(p.slot)};
        const struct site *site = x.site ? site_at(x.site, (u32)__builtin_ctz(p.slot)) : NULL;
        x.stack = site ? site->stack : 0;
        granule_access(&x, p.granule, p.slot & SLOT_MASK);
    }
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
    struct instruction_memo *m = instruction_memo(x.a, fp);
    if (instruction_known(x.a, m, fp)) {
        x.site = m->site;
        x.stack = m->stack;
    } else if (access_site(&x)) {
        m->pc = 0;
        __atomic_signal_fence(__ATOMIC_SEQ_CST);
        m->site = x.site;
        m->stack = x.stack;
        m->context = x.a->frames.context;
        m->sp = (u64)fp;
        __atomic_signal_fence(__ATOMIC_SEQ_CST);
        m->pc = fp[1];
    }
    if (snarl_unlikely(x.a->locked))
        pair_seen(&x, addr, size, kind, fp, true);
    granules(&x, addr, size);
    weak_wrote(t, x.a, addr, kind);
}
