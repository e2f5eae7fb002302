/* One granule's records in the shadow (cell.h): reading and replacing them while other threads do the same. Only inside
 * snarl (thread.h), but for cells that are a thread's own: a handler that came between the two writes would wait for
 * itself. Nothing outside detector/analyze includes this. */
#ifndef SNARL_ANALYZE_GRANULE_H
#define SNARL_ANALYZE_GRANULE_H

#include "analyze/crowd.h"
#include "analyze/shadow.h"

struct granule {
    u64 seen;         /* the cell, as it was */
    u64 newer, older; /* its records, 0: none; of a crowd `newer` is the cell */
};

/* Another thread writes both records, which takes a few instructions; unless the kernel has stopped it there. */
SNARL_COLD void granule_await(u64 *cell, u32 turn);

static SNARL_HOT struct granule granule_load(u64 addr)
{
    u64 *cell = shadow_cell(addr);
    for (u32 turn = 0;; turn++) {
        u64 seen = __atomic_load_n(cell, __ATOMIC_ACQUIRE);
        if (snarl_unlikely(seen == CELL_BUSY)) {
            granule_await(cell, turn);
        } else if (!(seen & CELL_MORE)) {
            return (struct granule){seen, seen, 0};
        } else {
            u64 older = __atomic_load_n(shadow_older(addr), __ATOMIC_ACQUIRE);
            if (snarl_likely(__atomic_load_n(cell, __ATOMIC_RELAXED) == seen))
                return (struct granule){seen, seen & ~CELL_MORE, older};
        }
    }
}

/* Replaces the records; older only with newer. False: the granule has changed since it was loaded. */
static SNARL_HOT bool granule_store(u64 addr, const struct granule *g, u64 newer, u64 older)
{
    u64 *cell = shadow_cell(addr), seen = g->seen, fresh = older ? newer | CELL_MORE : newer;
    if (!older || older == g->older)
        return __atomic_compare_exchange_n(cell, &seen, fresh, false, __ATOMIC_RELEASE, __ATOMIC_RELAXED);
    if (!__atomic_compare_exchange_n(cell, &seen, CELL_BUSY, false, __ATOMIC_ACQUIRE, __ATOMIC_RELAXED))
        return false;
    __atomic_store_n(shadow_older(addr), older, __ATOMIC_RELAXED);
    __atomic_store_n(cell, fresh, __ATOMIC_RELEASE);
    return true;
}

/* The same where all records are the calling thread's own, without the bus lock, which would double the cost of most
 * accesses: another thread's very first access of the granule, since the load, can get lost. What remains is true
 * whoever comes last: each record says all of its access. */
static SNARL_HOT void granule_store_own(u64 addr, u64 newer, u64 older)
{
    if (older)
        __atomic_store_n(shadow_older(addr), older, __ATOMIC_RELAXED);
    __atomic_store_n(shadow_cell(addr), older ? newer | CELL_MORE : newer, __ATOMIC_RELEASE);
}

/* What the holder of a crowd's guard makes of its n records: one or two fit into the granule again, else the cell tells
 * of the newest. True: the crowd is to be given back. */
static inline bool granule_store_crowd(u64 addr, u32 number, const u64 *s, u32 n)
{
    bool ends = n <= 2;
    if (ends)
        granule_store_own(addr, s[0], n > 1 ? s[1] : 0);
    else
        __atomic_store_n(shadow_cell(addr), crowd_cell(number, s[0]), __ATOMIC_RELEASE);
    return ends;
}

#endif
