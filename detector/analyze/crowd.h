/* Crowds: what the shadow keeps of a granule when two records are not enough (many readers; bytes with different pasts).
 *
 * A record, or a chain of them, per granule, from a pool of this process; the cell refers to it by number. Only the
 * holder of the first record's guard may look at it, and only after checking that the cell still refers to it: a record
 * given back may serve another granule. */
#ifndef SNARL_ANALYZE_CROWD_H
#define SNARL_ANALYZE_CROWD_H

#include "analyze/cell.h"
#include "base/types.h"

#define CROWD_BITS 24
#define CROWD_RECORDS 6u
#define CROWD_MAX 4096u /* accesses of one granule; older ones beyond are dropped, counted */
#define CROWD_SPARES 64u

struct crowd {
    u32 guard;
    u32 n; /* used in this record */
    u32 next;
    u32 reserved;
    u64 records[CROWD_RECORDS];
};

struct crowd_spares {
    u32 n;
    u32 number[CROWD_SPARES];
};

int crowd_start(void);
struct crowd *crowd_at(u32 number);
/* A record, not guarded, empty; 0 when the pool is used up. */
u32 crowd_take(struct crowd_spares *s);
/* The record and those chained to it. */
void crowd_give(struct crowd_spares *s, u32 number);
/* newest: the record that comes first in there; 0: unknown */
static inline u64 crowd_cell(u32 number, u64 newest)
{
    return CELL_CROWD | (u64)number << SITE_SHIFT | (u32)newest;
}
static inline u32 crowd_number(u64 cell)
{
    return record_site(cell);
}
/* Takes the guard; the cell is its holder's then. False: the cell refers to something else by now (nothing is held). */
bool crowd_enter(const u64 *cell, u64 seen);
void crowd_leave(u32 number);
/* Has the calling thread made this access before, in the epoch of `now`, a slot of its own? Takes no guard: only this
 * thread can have written such a record, and while the cell refers to the crowd it is this granule's. Now and then the
 * cell tells of this record from now on: of what is asked for often, most often. */
bool crowd_knows(u64 *cell, u64 seen, u32 now, u32 mask, u32 kind);
/* Any in use? Then cells have to be looked at before they are cleared. */
bool crowd_exists(void);
/* Records from here on have never been used. */
u32 crowd_used(void);
void crowd_reset(void);

#endif
