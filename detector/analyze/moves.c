/* Plain moves of machine code that are atomic operations, as far as can be known. Called by race.c when two accesses race,
 * and by the sensor of rewritten code. Takes the guards of hb.c; allocates its table at the first use.
 *
 * A load or store of up to eight aligned bytes is what a compiler makes of an atomic one, too, but for those that are to be
 * in one order with all others (seq_cst stores). Which it is shows when two meet without order:
 *
 *     with a locked instruction         both are atomic: nothing is told
 *     where a release was left before   something has told of the variable: the same
 *     move with move                    may be: told as possible, unless debug information knows more (collect_finding.c)
 *     where both have read, and write   an update by two steps, atomic or not: a race like others
 *
 * From then on both instructions are taken for atomic ones, that acquire and release. What they should have ordered
 * before is not known any more, so all that has happened so far is excused. Each thread's time moves on when it next comes
 * here, so that no more is excused than that.
 *
 * A check comes before its instruction. So between an acquire and the load that it stands for another thread may release
 * and store: the thread notes the variable, looks once more when it next comes here, and before it would tell of a race. */
#include "analyze/moves.h"
#include "analyze/hb_table.h"
#include "analyze/lives.h"
#include "analyze/recycle.h"
#include "analyze/shared.h"
#include "analyze/site.h"
#include "base/reserve.h"

/* By lane: accesses up to that time race with nothing. */
static u64 *excused;
u32 move_excuses;

static bool covers(const struct hb_entry *e, const struct move_past *then)
{
    return sync_clock_knows(&e->clock, then->lane, then->time);
}

/* A release that the thread has read, after it had looked for it. */
static bool read_since(const struct accesses *a, const struct move_past *then)
{
    bool known = false;
    for (u32 i = 0; i < a->nread && i < RELAXED_READS && !known; i++) {
        u64 key = a->read[i];
        if (hb_is_wide(key) || hb_has_nothing(key)) /* what reaches others is learned after the load, too */
            continue;
        struct hb_bucket *b = hb_bucket_enter(key);
        const struct hb_entry *e = hb_entry_find(b, key);
        known = e && covers(e, then);
        hb_bucket_leave(b);
    }
    return known;
}

static bool is_excused(const struct accesses *a, const struct move_past *then)
{
    const u64 *all = __atomic_load_n(&excused, __ATOMIC_ACQUIRE);
    return all && (__atomic_load_n(&all[then->lane], __ATOMIC_RELAXED) >= then->time || read_since(a, then));
}

static void excuse_lane(u64 *all, u32 lane, u64 now)
{
    u64 had = __atomic_load_n(&all[lane], __ATOMIC_RELAXED);
    while (had < now && !__atomic_compare_exchange_n(&all[lane], &had, now, true, __ATOMIC_RELAXED, __ATOMIC_RELAXED))
        ;
}

static void excuse_thread(const struct thread_rec *r, void *all)
{
    u32 lane = __atomic_load_n(&r->clock_lane, __ATOMIC_RELAXED);
    if (lane && lane <= CLOCK_LANES)
        excuse_lane(all, lane - 1, __atomic_load_n(&r->clock_now, __ATOMIC_RELAXED));
}

static void excuse_all(void)
{
    u64 *all = __atomic_load_n(&excused, __ATOMIC_ACQUIRE), *none = NULL;
    if (!all && (all = reserve_map(CLOCK_LANES * sizeof *all)) &&
        !__atomic_compare_exchange_n(&excused, &none, all, false, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE)) {
        sys_unmap(all, CLOCK_LANES * sizeof *all);
        all = none;
    }
    for (const struct accesses *a = recycle_states(); all && a; a = a->next_state)
        excuse_lane(all, a->clock.lane, a->clock.times ? clock_now(&a->clock) : 0);
    if (all && shared_active)
        lives_each(excuse_thread, all);
    __atomic_fetch_add(&move_excuses, 1, __ATOMIC_RELEASE);
}

void move_renew(struct thread *t)
{
    struct accesses *a = hb_watched(t);
    if (a)
        hb_tick(a);
}

static u32 size_of(u32 mask)
{
    return (u32)__builtin_popcount(mask);
}
/* All the bytes of a move that is aligned. */
static bool is_whole(u32 mask)
{
    u32 first = (u32)__builtin_ctz(mask), size = size_of(mask);
    return !(size & (size - 1)) && first % size == 0 && mask >> first == (1u << size) - 1;
}

static u32 instruction_of(ref_t stack, bool take)
{
    const struct stack_rec *s = stack ? arena_at(stack) : NULL;
    return s && s->n && engine_hooks.instruction ? engine_hooks.instruction(s->frame[0], take) : 0;
}

static u32 side(ref_t stack, u32 kind)
{
    return kind & ACCESS_ATOMIC ? INSTRUCTION_ATOMIC : instruction_of(stack, false);
}
/* Two moves are of the same bytes. A move may be of more than a locked instruction: two counts can be read in one. */
static bool is_same(u32 here, u32 there, u32 mask)
{
    return ((here | there) & INSTRUCTION_ATOMIC) ||
           ((here & INSTRUCTION_SIZE) == size_of(mask) && (there & INSTRUCTION_SIZE) == size_of(mask));
}

static bool has_release(u64 key)
{
    key = hb_widen(key);
    if (hb_is_wide(key))
        return wide_has(key);
    if (hb_has_nothing(key))
        return false;
    struct hb_bucket *b = hb_bucket_enter(key);
    bool has = hb_entry_find(b, key) != NULL;
    hb_bucket_leave(b);
    return has;
}

enum move_meeting move_meets(const struct accesses *a, u64 addr, u32 mask, u32 kind, ref_t stack, u64 record)
{
    const struct site *other = record_site(record) ? site_at(record_site(record), (u32)__builtin_ctz(mask)) : NULL;
    const struct epoch *then = &epochs[slot_epoch((u32)record)];
    const struct move_past past = {.stack = other ? other->stack : 0,
                                   .flags = other ? other->flags : 0,
                                   .kind = slot_kind((u32)record),
                                   .lane = then->lane,
                                   .time = then->time};
    return move_meets_past(a, addr, mask, kind, stack, &past);
}

enum move_meeting move_meets_past(const struct accesses *a, u64 addr, u32 mask, u32 kind, ref_t stack,
                                  const struct move_past *past)
{
    u32 flags = past->flags | (kind & ACCESS_FLAGS);
    bool excused = is_excused(a, past);
    if (!engine_hooks.instruction || !is_whole(mask) || flags)
        return excused ? MOVES_ATOMIC : MOVES_NOT;
    u32 here = side(stack, kind), there = side(past->stack, past->kind);
    bool atomic = (here | there) & INSTRUCTION_ATOMIC, updates = (here | there) & INSTRUCTION_UPDATE;
    if (excused) { /* the other may read this value at once, and be past its check */
        if ((kind & ACCESS_ATOMIC) && (kind & ACCESS_WRITE) && there)
            excuse_all();
        return MOVES_ATOMIC;
    }
    if (!here || !there || (here & there & INSTRUCTION_UPDATE) || !is_same(here, there, mask))
        return MOVES_NOT;
    bool known = (atomic && !updates) || has_release(hb_key(HB_ADDRESS, addr + (u32)__builtin_ctz(mask)));
    instruction_of(stack, true);
    instruction_of(past->stack, true);
    excuse_all();
    return known ? MOVES_ATOMIC : MOVES_MAYBE;
}

void move_read(struct thread *t, u64 key)
{
    struct accesses *a = hb_listening(t, key);
    if (!a)
        return;
    hb_take(a, key);
    hb_note_read(a, key);
}
