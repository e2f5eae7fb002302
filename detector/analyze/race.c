/* Data races as findings. Called by the slow path of accesses when two meet that nothing orders.
 * Takes RANK_FINDINGS, and what naming memory takes. */
#include "analyze/access_hot.h"
#include "analyze/accesses.h"
#include "analyze/moves.h"
#include "analyze/site.h"
#include "base/hash.h"

/* ---- intended ---- */

#define INTENDED 65536u
#define PAGE_BITS 12
#define FILTER_BITS 16

static struct intended {
    u64 addr, size; /* size 0: free */
} * intended;       /* address space, made at the first use; looked through only when a race is met */
static u32 nintended;
static u64 intended_pages[(1u << FILTER_BITS) / 64]; /* hashes of pages that have had some */

static u32 page_hash(u64 page)
{
    return (u32)(page * 0x9e3779b97f4a7c15ULL >> (64 - FILTER_BITS));
}

void access_intended(u64 addr, u64 size, const char *what)
{
    struct intended *all = __atomic_load_n(&intended, __ATOMIC_ACQUIRE), *none = NULL;
    (void)what;
    if (!all && (all = sys_map(INTENDED * sizeof *all)) &&
        !__atomic_compare_exchange_n(&intended, &none, all, false, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE)) {
        sys_unmap(all, INTENDED * sizeof *all);
        all = none;
    }
    if (!all || !size)
        return;
    for (u64 p = addr >> PAGE_BITS; p <= (addr + size - 1) >> PAGE_BITS; p++)
        __atomic_fetch_or(&intended_pages[page_hash(p) / 64], 1ULL << page_hash(p) % 64, __ATOMIC_RELAXED);
    for (u32 i = 0; i < INTENDED; i++) {
        u64 none_yet = 0;
        if (__atomic_load_n(&all[i].addr, __ATOMIC_RELAXED) ||
            !__atomic_compare_exchange_n(&all[i].addr, &none_yet, addr, false, __ATOMIC_RELAXED, __ATOMIC_RELAXED))
            continue;
        __atomic_store_n(&all[i].size, size, __ATOMIC_RELEASE);
        if (i >= __atomic_load_n(&nintended, __ATOMIC_RELAXED))
            __atomic_store_n(&nintended, i + 1, __ATOMIC_RELEASE);
        return;
    }
    run_lost(LOSS_intended_full);
}

static struct intended *intended_find(u64 addr, u64 size, u32 *from)
{
    u32 n = __atomic_load_n(&nintended, __ATOMIC_ACQUIRE);
    for (; *from < n; ++*from) {
        struct intended *i = &intended[*from];
        if (i->size && addr < i->addr + i->size && i->addr < addr + size)
            return i;
    }
    return NULL;
}

bool access_is_intended(u64 addr, u32 size)
{
    return intended_find(addr, size, &(u32){0}) != NULL;
}

void intended_forget(u64 addr, u64 size)
{
    u64 last = (addr + size - 1) >> PAGE_BITS;
    u32 from = 0;
    bool some = !__atomic_load_n(&nintended, __ATOMIC_RELAXED) || !size ? false : last - (addr >> PAGE_BITS) > 1024;
    for (u64 p = addr >> PAGE_BITS; nintended && size && !some && p <= last; p++)
        some = intended_pages[page_hash(p) / 64] >> page_hash(p) % 64 & 1;
    for (struct intended *i; some && (i = intended_find(addr, size, &from)); from++) {
        __atomic_store_n(&i->size, 0, __ATOMIC_RELAXED);
        __atomic_store_n(&i->addr, 0, __ATOMIC_RELEASE);
    }
}

/* ---- findings ---- */

static u64 top_frame(ref_t stack)
{
    const struct stack_rec *s = stack ? arena_at(stack) : NULL;
    return s && s->n ? s->frame[0] : 0;
}

/* The thread of the earlier access; its record serves another one by now: 0. */
static ref_t thread_then(const struct epoch *e)
{
    return THREAD_AT(e->thread)->number == e->number ? e->thread : 0;
}

ref_t holds_snapshot(ref_t hold, u32 *n)
{
    u32 count = 0;
    *n = 0;
    for (ref_t h = hold; h && count < ENGINE_MAX_HELD_SHOWN; h = HOLD_AT(h)->outer)
        count++;
    ref_t blob = count ? arena_blob(count * sizeof(struct held_snapshot)) : 0;
    if (!blob)
        return 0;
    struct held_snapshot *s = arena_at(blob);
    ref_t h = hold;
    for (u32 i = count; i-- > 0; h = HOLD_AT(h)->outer) {
        const struct hold_rec *r = HOLD_AT(h);
        s[i] = (struct held_snapshot){
            .lock = r->lock, .stack = r->stack, .site_pc = r->site_pc, .mode = r->mode, .how = r->how};
        pin_object(r->lock);
    }
    *n = count;
    return blob;
}

static enum event_action action_of(u32 kind)
{
    if (kind & ACCESS_FREE)
        return EVENT_FREE;
    if (kind & (ACCESS_BEGIN | ACCESS_END))
        return kind & ACCESS_BEGIN ? EVENT_INIT : EVENT_DESTROY;
    if (kind & ACCESS_USE)
        return EVENT_USE;
    if (kind & ACCESS_ATOMIC)
        return kind & ACCESS_WRITE ? EVENT_ATOMIC_WRITE : EVENT_ATOMIC_READ;
    return kind & ACCESS_WRITE ? EVENT_WRITE : EVENT_READ;
}

void access_event_fill(struct finding_event *e, ref_t thread, u32 kind, u64 addr, u32 mask, ref_t stack)
{
    e->thread = thread;
    e->action = (u8)action_of(kind);
    e->stack = stack;
    e->address = addr + (u32)__builtin_ctz(mask);
    e->size = (u32)(32 - __builtin_clz(mask) - __builtin_ctz(mask));
    pin_thread(thread);
}

u64 memory_place(const struct object_birth *b)
{
    return hash_combine(hash_combine(b->region, b->offset), b->region == REGION_GLOBAL ? b->module : b->alloc_stack);
}

u64 memory_signature(const struct object_birth *b, ref_t stack, ref_t other)
{
    u64 p = top_frame(stack), q = top_frame(other);
    return hash_combine(hash_combine(p < q ? p : q, p < q ? q : p), memory_place(b));
}

/* This thread has told of these two places meeting at this address, and goes on doing so, at every turn of a loop; or
 * it has told of them at so many addresses that one more says nothing new. */
static bool told(struct accesses *a, u64 addr, ref_t stack, u32 site)
{
    u64 places = hash_combine(stack, site), key = hash_combine(addr, places);
    u64 *slot = &a->reported[key % REPORTED];
    struct told_places *p = &a->places[places % TOLD_PLACES];
    if (*slot == key)
        return true;
    *slot = key;
    if (p->key != places)
        *p = (struct told_places){places, 0};
    return ++p->n > PLACES_TOLD;
}

bool access_is_told(struct accesses *a, u64 addr, u32 mask, ref_t stack, u32 site)
{
    u64 first = addr + (u32)__builtin_ctz(mask);
    u32 size = (u32)(32 - __builtin_clz(mask) - __builtin_ctz(mask));
    return !detects(DETECT_RACE) || told(a, first, stack, site) || access_is_intended(first, size) ||
           (engine_hooks.harmless && engine_hooks.harmless(first));
}

void accesses_fill(struct finding_rec *f, struct thread *t, const struct object_birth *memory, u64 addr, u32 mask,
                   u32 kind, ref_t stack, u64 record)
{
    u32 slot = (u32)record, site = record_site(record);
    const struct epoch then = epochs[slot_epoch(slot)];
    const struct site *other = site ? site_at(site, (u32)__builtin_ctz(mask)) : NULL;
    f->mem_address = addr + (u32)__builtin_ctz(mask);
    f->mem_size = (u32)(32 - __builtin_clz(mask) - __builtin_ctz(mask));
    f->memory = *memory;
    pin_thread(memory->thread);
    access_event_fill(&f->events[0], t->ref, kind, addr, mask, stack);
    f->events[0].held = held_snapshot(t->rec, &f->events[0].nheld);
    u32 then_kind = slot_kind(slot) | (other ? other->flags : 0);
    access_event_fill(&f->events[1], thread_then(&then), then_kind, addr, slot & SLOT_MASK, other ? other->stack : 0);
    for (u32 i = 0; i < 2 && memory->region == REGION_DESCRIPTOR; i++)
        if (f->events[i].action == EVENT_DESTROY)
            f->events[i].action = EVENT_CLOSE;
    f->events[1].held = holds_snapshot(then.hold, &f->events[1].nheld);
}

void race_found(struct thread *t, struct accesses *a, u64 addr, u32 mask, u32 kind, ref_t stack, const u64 *fp,
                u64 record)
{
    u32 site = record_site(record);
    u64 first = addr + (u32)__builtin_ctz(mask);
    a->races++;
    enum move_meeting moves = move_meets(a, addr, mask, kind, stack, record);
    if (moves == MOVES_ATOMIC || access_is_told(a, addr, mask, stack, site))
        return;
    struct object_birth memory = {.init_stack = stack};
    if (engine_hooks.locate_access)
        engine_hooks.locate_access(t, first, fp, &memory);
    const struct site *other = site ? site_at(site, (u32)__builtin_ctz(mask)) : NULL;
    ref_t r = finding_begin(memory_signature(&memory, stack, other ? other->stack : 0), 0, 2);
    if (!r)
        return;
    struct finding_rec *f = arena_at(r);
    f->kind = FINDING_DATA_RACE;
    f->verdict = moves == MOVES_MAYBE ? VERDICT_POSSIBLE : VERDICT_OBSERVED;
    f->flags = moves == MOVES_MAYBE ? FINDING_MOVES : 0;
    accesses_fill(f, t, &memory, addr, mask, kind, stack, record);
    finding_publish(r, false);
}
