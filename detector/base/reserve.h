/* Large mappings of address space of which little is ever touched: kept out of core dumps and of locked memory, and known,
 * so that limits that the program sets are not filled by them. Mapping: one thread at a time; asking: any. */
#ifndef SNARL_BASE_RESERVE_H
#define SNARL_BASE_RESERVE_H

#include "types.h"

/* Anonymous private memory, zeroed; at any place, NULL when refused. Never unmapped. */
void *reserve_map(size_t bytes);
/* Exactly there; false when something else lies there, or it is refused. A forked child finds it empty. */
bool reserve_at(u64 lo, u64 bytes);
/* Takes back what reserve_at has mapped. */
void reserve_undo(u64 lo, u64 bytes);

u64 reserve_total(void);
/* [lo, hi) meets some of it. */
bool reserve_meets(u64 lo, u64 hi);
/* After mlockall. */
void reserve_unlock(void);

#endif
