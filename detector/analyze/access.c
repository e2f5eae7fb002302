/* Accesses come in here: epochs are begun, sites looked up; then each granule is dealt with (access_full.c). Called by
 * sensors of accesses. Takes no lock on the usual paths; a new epoch under a lock may take RANK_GRAPH (interned holds). */
#include "analyze/access_hot.h"
#include "analyze/access_steps.h"
#include "analyze/atomicity.h"
#include "analyze/cap.h"
#include "analyze/recycle.h"
#include "analyze/weak.h"

__thread u32 access_now;
__thread struct access_frames *access_frames;

#define CAP_PATIENCE 16u       /* blocks of epochs */
#define DETOURS_PATIENCE 1024u /* slow accesses before the thread tries to end a recycling cycle itself */

/* ---- epochs ---- */

static ref_t hold_of(struct accesses *a, ref_t outer, const struct held_entry *h)
{
    u64 hash = ((u64)outer << 32 | h->lock) * 0x9e3779b97f4a7c15ULL ^ h->stack * 0xc2b2ae3d27d4eb4fULL;
    struct hold_memo *m = &a->holds[hash >> (64 - HOLD_MEMO_BITS)];
    if (!m->hold || m->outer != outer || m->lock != h->lock || m->stack != h->stack || m->mode != h->mode)
        *m = (struct hold_memo){outer, h->lock, h->stack, order_hold(outer, h), h->mode};
    return m->hold;
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
    a->past[first / EPOCH_BLOCK] = PAST_OWN | EPOCH_BLOCK;
    return true;
}

static __attribute__((noinline)) bool epoch_begin(struct thread *t, struct accesses *a)
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
    weak_written(a);
    a->open_first = !t->rec->nheld ? 0 : a->open_first ? a->open_first : e;
    a->locked = (atomicity_epoch(t, a) ? LOCKED_PAIRS : 0) | (a->weak && t->rec->nheld ? LOCKED_UNWRITTEN : 0);
    access_sets_forget(&a->frames);
    access_now = e << SLOT_EPOCH_SHIFT | SLOT_MASK;
    return true;
}

SNARL_COLD enum relation epoch_relation_slow(struct accesses *a, u32 epoch)
{
    const struct epoch *e = &epochs[epoch];
    u32 owner = epoch_owner[epoch / EPOCH_BLOCK];
    u16 *past = &a->past[epoch / EPOCH_BLOCK];
    if (owner == a->number) {
        *past = PAST_OWN | EPOCH_BLOCK;
        return epoch_relation(a, epoch);
    }
    if (clock_time(&a->clock, e->lane) < e->time) {
        a->concurrent = epoch;
        return UNORDERED;
    }
    if (a->weak && !weak_before(a, e)) {
        a->concurrent = epoch;
        return LUCKY;
    }
    if (owner != EPOCH_MIXED) /* then what is earlier in the block is past, too */
        *past = (u16)(epoch % EPOCH_BLOCK + 1);
    return BEFORE;
}

/* ---- sites ---- */

u32 access_site(struct access *x)
{
    if (x->site)
        return x->site;
    if (!x->stack)
        x->stack = x->call ? access_call_stack(x->t, x->fp) : capture(x->t, x->fp);
    u32 i = (x->stack ^ x->stack >> 8 ^ x->flags * 31) % SITE_MEMO;
    if (snarl_likely(x->a->sites[i].stack == x->stack && x->a->sites[i].flags == x->flags))
        return x->site = x->a->sites[i].site;
    x->site = site_make(x->stack, 0, x->flags, 0);
    x->a->sites[i].stack = x->stack;
    x->a->sites[i].flags = x->flags;
    x->a->sites[i].site = x->site;
    return x->site;
}

/* ---- ranges ---- */

#define LONG_RUN 2u
#define RUN_AT_ONCE 64u

/* The step again, as far as it goes. Granules that others know, too, are written without the bus lock here: of two threads
 * that do so at once, one could wipe out what the other has just written. So each looks again, when its stores are
 * seen. */
static u64 granules_alike(struct access *x, u64 addr, u64 n)
{
    struct run_step s = x->step;
    u64 *cell = shadow_cell(addr), done = 0, k = 1;
    bool own = epoch_is_own(x->a, slot_epoch((u32)s.seen)) &&
               (!(s.seen & CELL_MORE) || epoch_is_own(x->a, slot_epoch((u32)s.older)));
    if (s.cell == s.seen)
        return run_of(cell, n, s.seen, ~0ULL);
    for (; done < n && k; done += k) {
        u64 most = own || n - done < RUN_AT_ONCE ? n - done : RUN_AT_ONCE;
        k = run_repeat(cell + done, shadow_older(addr) + done, most, &s);
        if (own || !k)
            continue;
        __atomic_thread_fence(__ATOMIC_SEQ_CST);
        for (u64 i = 0; (i += run_of(cell + done + i, k - i, s.cell, ~0ULL)) < k; i++)
            granule_access(x, addr + (done + i) * GRANULE, SLOT_MASK);
    }
    return done;
}

/* n whole granules of one region of the shadow. */
static void granules_whole(struct access *x, u64 addr, u64 n)
{
    u64 care = SLOT_SAME_EPOCH | SLOT_MASK | (x->kind & ACCESS_WRITE ? SLOT_WRITE : 0) |
               (x->kind & ACCESS_ATOMIC ? 0 : SLOT_ATOMIC);
    u64 want = access_now | (x->kind & ACCESS_WRITE ? SLOT_WRITE : 0);
    for (u64 i = 0; (i += run_of(shadow_cell(addr) + i, n - i, want, care)) < n;) {
        granule_access(x, addr + i++ * GRANULE, SLOT_MASK);
        if (x->stepped && i < n)
            i += granules_alike(x, addr + i * GRANULE, n - i);
    }
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
    x->t = t;
    x->a = a;
    x->fp = fp;
    x->kind = kind & (ACCESS_WRITE | ACCESS_ATOMIC);
    x->flags = kind & ACCESS_FLAGS;
    x->stack = x->site = x->late = x->crowd = 0;
    x->call = false;
    return true;
}

static void granules(struct access *x, u64 addr, u64 size)
{
    u64 end = addr + size;
    while (addr < end) {
        u64 whole = addr % GRANULE ? 0 : (end - addr) / GRANULE,
            room = (SHADOW_REGION - addr % SHADOW_REGION) / GRANULE;
        whole = whole < room ? whole : room;
        if (whole >= LONG_RUN) {
            granules_whole(x, addr, whole);
            addr += whole * GRANULE;
            continue;
        }
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
    atomicity_seen(x->a, addr, granule_mask(addr, first), kind, x->stack, single ? fp[1] : 0, fp);
    if (size > room)
        atomicity_rest(x->a, addr + room, size - room);
}

void access_range_from(struct thread *t, u64 addr, u64 size, u32 kind, bool call, const u64 *fp)
{
    struct access x;
    if (!access_now || !size || !access_start(&x, t, kind, fp))
        return;
    x.call = call;
    if (snarl_unlikely(!shadow_surely_covers(addr, size) && !shadow_covers(addr, size))) {
        run_lost(LOSS_shadow_uncovered);
        return;
    }
    if (snarl_unlikely(x.a->locked & LOCKED_PAIRS))
        pair_seen(&x, addr, size, kind, fp, false);
    weak_written(x.a);
    granules(&x, addr, size);
}

void access_range(struct thread *t, u64 addr, u64 size, u32 kind, const u64 *fp)
{
    access_range_from(t, addr, size, kind, false, fp);
}

void access_range_by_call(struct thread *t, u64 addr, u64 size, u32 kind, const u64 *fp)
{
    access_range_from(t, addr, size, kind, true, fp);
}

u64 access_as_written(struct thread *t, ref_t stack, const u64 *fp)
{
    struct access x;
    if (!access_start(&x, t, ACCESS_WRITE, fp))
        return 0;
    x.stack = stack;
    return record_make(slot_make(x.a->epoch, ACCESS_WRITE, SLOT_MASK), access_site(&x));
}

/* An access that has waited is recorded as it was made. */
SNARL_COLD void accesses_flush_slow(struct thread *t, struct accesses *a)
{
    recycle_visit(a);
    for (u32 i = 0; i < PENDING; i++) {
        struct pending p = a->pending[i];
        u32 slot = (u32)p.record;
        if (!p.record)
            continue;
        a->pending[i].record = 0;
        a->npending--;
        struct access x = {.t = t,
                           .a = a,
                           .kind = slot >> SLOT_KIND_SHIFT & (ACCESS_WRITE | ACCESS_ATOMIC),
                           .site = record_site(p.record),
                           .late = slot_epoch(slot)};
        const struct site *site = x.site ? site_at(x.site, (u32)__builtin_ctz(slot)) : NULL;
        x.stack = site ? site->stack : 0;
        granule_access(&x, p.granule, slot & SLOT_MASK);
    }
}

/* Where an instruction, or a call, is. */
static void site_by_instruction(struct access *x, const u64 *fp)
{
    struct instruction_memo *m = instruction_memo(x->a, fp);
    if (instruction_known(x->a, m, fp)) {
        x->site = m->site;
        x->stack = m->stack;
    } else if (x->call = false, access_site(x)) {
        m->pc = 0;
        __atomic_signal_fence(__ATOMIC_SEQ_CST);
        m->site = x->site;
        m->stack = x->stack;
        m->context = x->a->frames.context;
        m->sp = (u64)fp;
        __atomic_signal_fence(__ATOMIC_SEQ_CST);
        m->pc = fp[1];
    }
}

ref_t access_call_stack(struct thread *t, const u64 *fp)
{
    struct accesses *a = accesses_of(t);
    if (!a)
        return 0;
    const struct instruction_memo *m = instruction_memo(a, fp);
    if (snarl_likely(instruction_known(a, m, fp)))
        return m->stack;
    struct access x = {.t = t, .a = a, .fp = fp};
    site_by_instruction(&x, fp);
    return x.stack;
}

void access_epoch_begin(struct thread *t)
{
    struct accesses *a = t->accesses;
    if (a && a->number && !a->ignored && !a->npending && access_now == ACCESS_NO_EPOCH &&
        a->cycle == __atomic_load_n(&recycle_cycle, __ATOMIC_ACQUIRE))
        epoch_begin(t, a);
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
    site_by_instruction(&x, fp);
    if (snarl_unlikely(x.a->locked & LOCKED_PAIRS))
        pair_seen(&x, addr, size, kind, fp, true);
    if (x.a->written != weak_write_key(addr, fp[1])) /* else access_quick has begun with it */
        weak_written(x.a);
    granules(&x, addr, size);
    if ((x.a->locked & LOCKED_UNWRITTEN) && access_writes_plainly(kind))
        weak_write(t, x.a, addr, fp[1]);
    weak_written(x.a);
}
