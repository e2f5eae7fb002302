/* What the shadow of this process says of a mapping that from now on is looked at for all processes goes to the arena.
 * Called by shared_map.c, for the thread that makes it so. Takes RANK_SHARED, and RANK_ARENA inside.
 *
 * What that thread knows to be before it is left out: it is before all that other processes will do there. Other threads
 * of the process may store meanwhile; what they store may be lost. */
#include "analyze/shared.h"

#include "analyze/granule.h"
#include "analyze/site.h"

#define PAGE 4096u

struct adopt {
    const struct accesses *a; /* NULL: knows nothing */
    ref_t object;
    u64 offset; /* of the granule in it */
};

static void slot_adopt(const struct adopt *d, u64 record)
{
    u32 slot = (u32)record, left = slot & SLOT_MASK;
    const struct epoch e = epochs[slot_epoch(slot)];
    if (d->a && clock_time(&d->a->clock, e.lane) >= e.time)
        return;
    while (left) { /* each stack with its bytes */
        const struct site *s = record_site(record) ? site_at(record_site(record), (u32)__builtin_ctz(left)) : NULL;
        u32 mask = s && s->mask ? left & s->mask : left;
        shared_adopt_record(d->object, d->offset,
                            &(struct shared_record){.time = e.time,
                                                    .number = e.number,
                                                    .thread = e.thread,
                                                    .lane = (u16)e.lane,
                                                    .mask = (u8)mask,
                                                    .kind = (u8)(slot_kind(slot) | (s ? s->flags : 0)),
                                                    .hold = e.hold,
                                                    .stack = s ? s->stack : 0});
        left &= ~mask;
    }
}

static void record_adopt(const struct adopt *d, u64 record)
{
    if (!((u32)record & SLOT_MASK))
        return;
    if (!slot_is_set((u32)record)) {
        slot_adopt(d, record);
        return;
    }
    const struct readers *r = readers_at(slot_epoch((u32)record));
    for (u32 i = 0; i < r->n; i++)
        slot_adopt(d, r->member[i]);
}

static void granule_adopt(const struct adopt *d, u64 addr)
{
    struct granule g = granule_load(addr);
    if (!cell_is_crowd(g.seen)) {
        record_adopt(d, g.newer);
        record_adopt(d, g.older);
        return;
    }
    if (cell_is_shared(g.seen) || !crowd_enter(shadow_cell(addr), g.seen))
        return;
    for (u32 c = crowd_number(g.seen); c; c = crowd_at(c)->next)
        for (u32 i = 0; i < crowd_at(c)->n && i < CROWD_RECORDS; i++)
            record_adopt(d, crowd_at(c)->records[i]);
    crowd_leave(crowd_number(g.seen));
}

void shared_adopt(const struct accesses *a, u64 addr, u64 size, ref_t object, u64 offset)
{
    unsigned char resident;
    if (process()->nthreads_ever < 2 || !shadow_covers(addr, size))
        return;
    for (u64 at = 0; at < size; at += GRANULE) {
        u64 *cell = shadow_cell(addr + at);
        if ((u64)cell % PAGE == 0 && sys_call3(SYS_mincore, cell, PAGE, &resident) == 0 && !(resident & 1))
            at += PAGE - GRANULE;
        else if (__atomic_load_n(cell, __ATOMIC_RELAXED))
            granule_adopt(&(struct adopt){a, object, offset + at}, addr + at);
    }
}
