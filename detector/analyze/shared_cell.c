/* Accesses to memory that processes share: meeting what others have left there, whichever process they are in, and
 * leaving a record. Called by the full way of an access. Takes RANK_SHARED, one guard for a granule; allocates arena
 * records; findings take RANK_FINDINGS and what naming memory takes.
 *
 * The rules are those of access_full.c, without numbers for epochs and sites: a record says itself when it was made, on
 * which lane of the run, and where. Only the strong order is looked at: `unprotected` is not found here. */
#include "analyze/shared.h"

#include "analyze/moves.h"
#include "analyze/weak.h"
#include "base/hash.h"

#define RECORDS_MOST 256u /* of a granule; further ones take the place of the oldest */
#define RACES_MOST 4u     /* told at a time */

struct shared_step {
    struct thread *t;
    struct accesses *a;
    u64 addr; /* of the granule */
    u32 mask, kind, flags;
    ref_t stack, hold;
    u64 time;
    bool hit, learns;
    u32 nraces;
    struct shared_record race[RACES_MOST];
};

/* ---- the page ---- */

static SNARL_COLD struct shared_page *page_find(struct accesses *a, u64 addr)
{
    u32 now = __atomic_load_n(&shared_changes, __ATOMIC_ACQUIRE);
    struct shared_memo *m = &a->shared[addr / SHARED_PAGE_BYTES % SHARED_MEMO];
    ref_t object;
    u64 offset;
    if (a->shared_changes != now) {
        __builtin_memset(a->shared, 0, sizeof a->shared);
        a->shared_changes = now;
    }
    m->page = 0;
    if (!shared_at(addr & ~(u64)(SHARED_PAGE_BYTES - 1), &object, &offset))
        return NULL;
    m->records = shared_page(object, offset);
    if (m->records)
        m->page = addr / SHARED_PAGE_BYTES;
    return m->records;
}

static struct shared_page *page_of(struct accesses *a, u64 addr)
{
    const struct shared_memo *m = &a->shared[addr / SHARED_PAGE_BYTES % SHARED_MEMO];
    if (snarl_likely(a->shared_changes == __atomic_load_n(&shared_changes, __ATOMIC_ACQUIRE) &&
                     m->page == addr / SHARED_PAGE_BYTES))
        return m->records;
    return page_find(a, addr);
}

/* ---- under the guard ---- */

/* As slot_conflicts and slot_outdone. */
static bool conflicts(const struct shared_record *r, u32 kind)
{
    return slot_conflicts(r->kind << SLOT_KIND_SHIFT, kind);
}
static bool outdone(const struct shared_record *r, u32 kind)
{
    return slot_outdone(slot_make(0, r->kind, 0), kind);
}

/* By this thread, at this time, with these locks held. */
static bool is_now(const struct shared_step *x, const struct shared_record *r)
{
    return r->time == x->time && r->number == x->a->number && r->lane == x->a->clock.lane && r->hold == x->hold;
}

/* The first record has this access already. Without the guard: nobody else writes a record with this thread's number, and
 * whoever makes another one of it takes its bytes first, and gives it new ones last. */
static bool is_known(const struct shared_step *x, const struct shared_record *r)
{
    u32 mask = __atomic_load_n(&r->mask, __ATOMIC_ACQUIRE);
    return (mask & x->mask) == x->mask && is_now(x, r) && slot_covers(slot_make(0, r->kind, mask), x->kind, x->mask);
}

/* What one record has to say to the access. Its bytes that the access says more about go. */
static void meet(struct shared_step *x, struct shared_record *r)
{
    if (!(r->mask & x->mask))
        return;
    if (is_now(x, r) && slot_covers(slot_make(0, r->kind, r->mask), x->kind, x->mask)) {
        x->hit = true;
        return;
    }
    bool before = r->number == x->a->number || clock_time(&x->a->clock, r->lane) >= r->time;
    if (before && r->number != x->a->number && x->a->weak)
        x->learns |= clock_time(&x->a->weak->clock, r->lane) < r->time;
    if (!before) {
        if (!conflicts(r, x->kind))
            return;
        if (x->nraces < RACES_MOST)
            x->race[x->nraces++] = *r;
    }
    if (outdone(r, x->kind))
        r->mask &= (u8)~x->mask;
}

/* Takes the records without bytes out of the list. How many are left there. */
static u32 list_clean(struct shared_record *g)
{
    u32 left = 0;
    for (ref_t *at = &g->next; *at;) {
        ref_t r = *at;
        struct shared_record *s = arena_at(r);
        if (s->mask && left < RECORDS_MOST) {
            left++;
            at = &s->next;
            continue;
        }
        if (s->mask)
            run_lost(LOSS_shared_forgotten);
        __atomic_store_n(at, s->next, __ATOMIC_RELEASE);
        arena_free(POOL_SHARED_RECORD, r);
    }
    return left;
}

static void record_fill(const struct shared_step *x, struct shared_record *r)
{
    r->time = x->time;
    r->number = x->a->number;
    r->thread = x->t->ref;
    r->lane = (u16)x->a->clock.lane;
    r->kind = (u8)(x->kind | x->flags);
    r->hold = x->hold;
    r->stack = x->stack;
    __atomic_store_n(&r->mask, (u8)x->mask, __ATOMIC_RELEASE); /* now it is one */
}

/* The same access but for the bytes, or a place for it. */
static bool record_join(const struct shared_step *x, struct shared_record *r)
{
    if (!r->mask || !is_now(x, r) || r->kind != (x->kind | x->flags) || r->stack != x->stack)
        return false;
    r->mask |= (u8)x->mask;
    return true;
}

static void record_add(struct shared_step *x, struct shared_record *g)
{
    for (struct shared_record *r = g; r; r = r->next ? arena_at(r->next) : NULL)
        if (record_join(x, r))
            return;
    if (!g->mask) {
        record_fill(x, g);
        return;
    }
    ref_t fresh = arena_alloc(POOL_SHARED_RECORD, sizeof *g);
    if (!fresh) {
        run_lost(LOSS_shared_forgotten);
        return;
    }
    struct shared_record *r = arena_at(fresh);
    record_fill(x, r);
    r->next = g->next;
    __atomic_store_n(&g->next, fresh, __ATOMIC_RELEASE);
}

static void granule_meet(struct shared_step *x, struct shared_record *g)
{
    for (struct shared_record *r = g; r && !x->hit; r = r->next ? arena_at(r->next) : NULL)
        meet(x, r);
    if (x->hit)
        return;
    if (g->next)
        list_clean(g);
    record_add(x, g);
}

void shared_adopt_record(ref_t object, u64 offset, const struct shared_record *record)
{
    struct shared_page *page = shared_page(object, offset);
    u32 granule = offset % SHARED_PAGE_BYTES / GRANULE;
    ref_t fresh = page ? arena_alloc(POOL_SHARED_RECORD, sizeof *record) : 0;
    if (!fresh) {
        run_lost(LOSS_shared_forgotten);
        return;
    }
    struct shared_bucket *guard = shared_guard(page, granule);
    struct shared_record *r = arena_at(fresh);
    *r = *record;
    u64 signals = ilock_acquire(&guard->lock);
    r->next = page->granule[granule].next;
    __atomic_store_n(&page->granule[granule].next, fresh, __ATOMIC_RELEASE);
    ilock_release(&guard->lock, signals);
}

/* ---- findings ---- */

/* The thread of the other access; its record serves another one by now: 0. */
static ref_t thread_then(const struct shared_record *r)
{
    return THREAD_AT(r->thread)->number == r->number ? r->thread : 0;
}

static SNARL_COLD void race_tell(const struct shared_step *x, const struct shared_record *r)
{
    u32 mask = x->mask & r->mask;
    u64 first = x->addr + (u32)__builtin_ctz(mask);
    const struct move_past past = {
        .stack = r->stack, .flags = r->kind & ACCESS_FLAGS, .kind = r->kind, .lane = r->lane, .time = r->time};
    x->a->races++;
    enum move_meeting moves = move_meets_past(x->a, x->addr, mask, x->kind | x->flags, x->stack, &past);
    if (moves == MOVES_ATOMIC || access_is_told(x->a, x->addr, mask, x->stack, r->stack))
        return;
    struct object_birth memory = {.init_stack = x->stack};
    if (engine_hooks.locate_access)
        engine_hooks.locate_access(x->t, first, NULL, &memory);
    ref_t ref = finding_begin(memory_signature(&memory, x->stack, r->stack), 0, 2);
    if (!ref)
        return;
    struct finding_rec *f = arena_at(ref);
    f->kind = FINDING_DATA_RACE;
    f->verdict = moves == MOVES_MAYBE ? VERDICT_POSSIBLE : VERDICT_OBSERVED;
    f->flags = moves == MOVES_MAYBE ? FINDING_MOVES : 0;
    f->mem_address = first;
    f->mem_size = (u32)(32 - __builtin_clz(mask) - __builtin_ctz(mask));
    f->memory = memory;
    pin_thread(memory.thread);
    access_event_fill(&f->events[0], x->t->ref, x->kind | x->flags, x->addr, x->mask, x->stack);
    f->events[0].held = held_snapshot(x->t->rec, &f->events[0].nheld);
    access_event_fill(&f->events[1], thread_then(r), r->kind, x->addr, r->mask, r->stack);
    f->events[1].held = holds_snapshot(r->hold, &f->events[1].nheld);
    if (r->thread && THREAD_AT(r->thread)->process != x->t->rec->process)
        f->flags |= FINDING_CROSS_PROCESS;
    finding_publish(ref, false);
}

/* ---- the door ---- */

void shared_access(struct thread *t, struct accesses *a, u64 addr, u32 mask, u32 kind, ref_t stack)
{
    struct shared_page *page = page_of(a, addr);
    if (!page)
        return;
    struct shared_step x; /* without the races, which are only filled as they are met */
    x.t = t;
    x.a = a;
    x.addr = addr & ~(u64)(GRANULE - 1);
    x.mask = mask;
    x.kind = kind & (ACCESS_WRITE | ACCESS_ATOMIC);
    x.flags = kind & ACCESS_FLAGS;
    x.stack = stack;
    x.hold = epochs[a->epoch].hold;
    x.time = clock_now(&a->clock);
    x.hit = x.learns = false;
    x.nraces = 0;
    u32 granule = addr % SHARED_PAGE_BYTES / GRANULE;
    if (is_known(&x, &page->granule[granule]))
        return;
    struct shared_bucket *guard = shared_guard(page, granule);
    u64 signals = ilock_acquire(&guard->lock);
    granule_meet(&x, &page->granule[granule]);
    ilock_release(&guard->lock, signals);
    if (snarl_unlikely(x.learns)) /* sections that show nothing else would be in no order */
        clock_join(weak_clock(a), &a->clock);
    for (u32 i = 0; i < x.nraces; i++)
        race_tell(&x, &x.race[i]);
}
