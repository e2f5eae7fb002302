/* The pool of crowds. Called by the slow path of accesses. A guard is held for a few loads and stores, never across
 * other code; a signal handler that comes meanwhile finds its thread inside snarl and does not get here. */
#include "analyze/crowd.h"

#include <errno.h>
#include <sys/mman.h>

#include "analyze/access_hot.h"
#include "base/reserve.h"
#include "base/sys.h"

#define POOL (1u << CROWD_BITS)
#define SPINS 100

static struct crowd *pool; /* address space; touched as used */
static u32 used = 1;
static u64 free_list; /* number, and above it a count against ABA; linked through `next` */
static u32 in_use;

int crowd_start(void)
{
    if (!pool)
        pool = reserve_map((u64)POOL * sizeof *pool);
    return pool ? 0 : -ENOMEM;
}

struct crowd *crowd_at(u32 number)
{
    return &pool[number & (POOL - 1)];
}

static u32 shared_take(void)
{
    u64 head = __atomic_load_n(&free_list, __ATOMIC_ACQUIRE);
    while ((u32)head) {
        u64 next = ((head >> 32) + 1) << 32 | __atomic_load_n(&crowd_at((u32)head)->reserved, __ATOMIC_RELAXED);
        if (__atomic_compare_exchange_n(&free_list, &head, next, true, __ATOMIC_ACQUIRE, __ATOMIC_ACQUIRE))
            return (u32)head;
    }
    u32 i = __atomic_load_n(&used, __ATOMIC_RELAXED);
    while (i < POOL && !__atomic_compare_exchange_n(&used, &i, i + 1, true, __ATOMIC_RELAXED, __ATOMIC_RELAXED))
        ;
    return i < POOL ? i : 0;
}

static void shared_give(u32 number)
{
    u64 head = __atomic_load_n(&free_list, __ATOMIC_RELAXED), next;
    do {
        __atomic_store_n(&crowd_at(number)->reserved, (u32)head, __ATOMIC_RELAXED);
        next = ((head >> 32) + 1) << 32 | number;
    } while (!__atomic_compare_exchange_n(&free_list, &head, next, true, __ATOMIC_RELEASE, __ATOMIC_RELAXED));
}

u32 crowd_take(struct crowd_spares *s)
{
    u32 i = s->n ? s->number[--s->n] : shared_take();
    if (!i)
        return 0;
    struct crowd *c = crowd_at(i);
    c->n = c->next = 0;
    if (snarl_unlikely(!__atomic_load_n(&in_use, __ATOMIC_RELAXED)))
        __atomic_store_n(&in_use, 1, __ATOMIC_RELAXED);
    return i;
}

void crowd_give(struct crowd_spares *s, u32 number)
{
    while (number) {
        u32 next = crowd_at(number)->next;
        __atomic_store_n(&crowd_at(number)->n, 0, __ATOMIC_RELAXED); /* recycling looks at all records */
        if (s->n < CROWD_SPARES)
            s->number[s->n++] = number;
        else
            shared_give(number);
        number = next;
    }
}

static bool refers(const u64 *cell, u64 seen)
{
    return !((__atomic_load_n(cell, __ATOMIC_RELAXED) ^ seen) >> SITE_SHIFT);
}

bool crowd_enter(const u64 *cell, u64 seen)
{
    u32 *guard = &crowd_at(crowd_number(seen))->guard;
    for (u32 i = 0; __atomic_exchange_n(guard, 1, __ATOMIC_ACQUIRE); i++) {
        if (!refers(cell, seen))
            return false;
        if (i < SPINS)
            __builtin_ia32_pause();
        else
            sys_call3(SYS_sched_yield, 0, 0, 0);
    }
    if (refers(cell, seen))
        return true;
    __atomic_store_n(guard, 0, __ATOMIC_RELEASE);
    return false;
}

/* The slot of the calling thread's record with this access; 0: there is none. */
static u32 own_slot(const struct crowd *c, u32 now, u32 mask, u32 kind)
{
    u32 n = __atomic_load_n(&c->n, __ATOMIC_RELAXED);
    for (u32 i = 0; i < n && i < CROWD_RECORDS; i++) {
        u32 slot = (u32)__atomic_load_n(&c->records[i], __ATOMIC_RELAXED);
        if (!((slot ^ now) & SLOT_SAME_EPOCH) && slot_covers(slot, kind, mask))
            return slot;
    }
    return 0;
}

#define TURNS 8u

static void show(u64 *cell, u64 seen, u32 slot)
{
    struct crowd *c = crowd_at(crowd_number(seen));
    u64 fresh = crowd_cell(crowd_number(seen), slot);
    if (++access_frames->turns % TURNS ||
        !__atomic_compare_exchange_n(cell, &seen, fresh, false, __ATOMIC_ACQ_REL, __ATOMIC_RELAXED))
        return;
    if (own_slot(c, slot, slot & SLOT_MASK, slot_kind(slot)) != slot) /* another crowd by now, of the same number */
        __atomic_compare_exchange_n(cell, &fresh, crowd_cell(crowd_number(seen), 0), false, __ATOMIC_RELAXED,
                                    __ATOMIC_RELAXED);
}

bool crowd_knows(u64 *cell, u64 seen, u32 now, u32 mask, u32 kind)
{
    u32 slot = own_slot(crowd_at(crowd_number(seen)), now, mask, kind);
    __atomic_thread_fence(__ATOMIC_ACQUIRE);
    if (!slot || !refers(cell, seen))
        return false;
    if (access_frames)
        show(cell, seen, slot);
    return true;
}

bool access_is_in_crowd(u64 addr, u32 mask, u32 kind)
{
    u64 *cell = shadow_cell(addr);
    u64 seen = __atomic_load_n(cell, __ATOMIC_ACQUIRE);
    return cell_is_crowd(seen) && (access_now & SLOT_SAME_EPOCH) && crowd_knows(cell, seen, access_now, mask, kind);
}

void crowd_leave(u32 number)
{
    __atomic_store_n(&crowd_at(number)->guard, 0, __ATOMIC_RELEASE);
}

u32 crowd_used(void)
{
    return __atomic_load_n(&used, __ATOMIC_RELAXED);
}

bool crowd_exists(void)
{
    return __atomic_load_n(&in_use, __ATOMIC_RELAXED) != 0;
}

void crowd_reset(void)
{
    if (pool)
        sys_call3(SYS_madvise, pool, (u64)used * sizeof *pool, MADV_DONTNEED);
    used = 1;
    free_list = 0;
    in_use = 0;
}
