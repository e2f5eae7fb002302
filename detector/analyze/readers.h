/* Sets of readers: many threads that read the same bytes, none forgotten, in one record.
 *
 * Where three threads and more read a granule, a slot says so by the number of a set: an immutable, interned list of
 * records of one kind (plain reads, or atomic reads). Whole arrays that are read by the same threads share
 * one set, so read-shared data costs no memory per reader; and a thread can remember what a set becomes with its own
 * read added, which is one look for each granule instead of a search through the readers.
 *
 * A slot of a set has its number (from READERS_FIRST on) in the place of an epoch; its mask is the union of the members';
 * it has no site of its own. */
#ifndef SNARL_ANALYZE_READERS_H
#define SNARL_ANALYZE_READERS_H

#include "analyze/crowd.h"
#include "analyze/epoch.h"

#define READERS_FIRST EPOCHS_USED
#define READERS_SETS (EPOCHS - READERS_FIRST)
#define READERS_MAX 1024u /* members */

struct readers {
    u32 n, next;  /* in the hash bucket */
    u64 member[]; /* records */
};

extern u32 readers_limit __attribute__((visibility("hidden"))); /* sets in a half; tests lower it */

int readers_start(void);
/* One record for these reads (of one kind, n <= READERS_MAX, order does not matter): the read itself for one, a set for
 * more. 0 when the table is full. Sorts them. Lock-free. */
u64 readers_make(u64 *members, u32 n);
/* A set also for one. */
u64 readers_intern(u64 *members, u32 n);
const struct readers *readers_at(u32 number);
void readers_reset(void);

/* ---- for recycling (recycle.h) ---- */
bool readers_wanted(void); /* numbers run low */
/* New sets get numbers of the other half from now on; the others are condemned. */
void readers_switch(void);
bool readers_condemned(u32 number); /* between these two */
/* Nothing refers to condemned ones any more; what `by_set` says of them goes, too. */
void readers_retire(u32 *by_set);

static inline bool slot_is_set(u32 slot)
{
    return slot_epoch(slot) >= READERS_FIRST;
}

#endif
