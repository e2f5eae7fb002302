/* What the shadow keeps of eight bytes of memory (a granule): the encoding. Pure.
 *
 * A slot is one access that still matters: 32 bits, 0 = none.
 *
 *     31                  10 9      8     7       0
 *    | epoch (epoch.h)      | atomic write | byte mask |
 *
 * A cell is two slots, the newer one first (low half). What needs more than two goes to a record of its own
 * (crowd.h); the cell then holds CELL_CROWD in its low half, which no slot can be (its mask is empty), and the record's
 * number in the high half, where the mask is empty, too.
 *
 * Beside each cell stand two sites (site.h), in the same order: where those accesses were made.
 *
 * FastTrack (Flanagan & Freund 2009) keeps the last write and the last reads of a variable; here that is done for bytes:
 * a new access drops from older slots the bytes for which it says more than they do. */
#ifndef SNARL_ANALYZE_CELL_H
#define SNARL_ANALYZE_CELL_H

#include "analyze/access.h"
#include "base/types.h"

#define GRANULE 8u
#define SLOT_MASK 0xffu
#define SLOT_KIND_SHIFT 8
#define SLOT_WRITE (1u << 8)
#define SLOT_ATOMIC (1u << 9)
#define SLOT_EPOCH_SHIFT 10
#define SLOT_SAME_EPOCH (~0u << SLOT_EPOCH_SHIFT)

#define CELL_CROWD SLOT_WRITE

static inline u32 slot_make(u32 epoch, u32 kind, u32 mask)
{
    return epoch << SLOT_EPOCH_SHIFT | (kind & (ACCESS_WRITE | ACCESS_ATOMIC)) << SLOT_KIND_SHIFT | mask;
}
static inline u32 slot_epoch(u32 slot)
{
    return slot >> SLOT_EPOCH_SHIFT;
}
static inline u64 cell_make(u32 newer, u32 older)
{
    return newer | (u64)older << 32;
}
static inline bool cell_is_crowd(u64 cell)
{
    return (u32)cell == CELL_CROWD;
}

/* Two accesses of which at least one is a plain one and at least one writes. */
static inline bool slot_conflicts(u32 slot, u32 kind)
{
    u32 k = kind << SLOT_KIND_SHIFT;
    return ((slot | k) & SLOT_WRITE) && !(slot & k & SLOT_ATOMIC);
}
/* Whatever races with `slot` races with a later access of this kind, too: the slot says nothing more. A write races with
 * all, a plain access with more than an atomic one. */
static inline bool slot_outdone(u32 slot, u32 kind)
{
    u32 k = kind << SLOT_KIND_SHIFT;
    return ((k & SLOT_WRITE) || !(slot & SLOT_WRITE)) && ((slot & SLOT_ATOMIC) || !(k & SLOT_ATOMIC));
}
/* The same for an access of the same thread in the same epoch that is there already: this one adds nothing to it. */
static inline bool slot_covers(u32 slot, u32 kind, u32 mask)
{
    u32 k = kind << SLOT_KIND_SHIFT;
    return (slot & mask) == mask && ((slot & SLOT_WRITE) || !(k & SLOT_WRITE)) &&
           (!(slot & SLOT_ATOMIC) || (k & SLOT_ATOMIC));
}

/* Bytes [addr, addr + size) within addr's granule. */
static inline u32 granule_mask(u64 addr, u32 size)
{
    return ((1u << size) - 1) << (addr & (GRANULE - 1));
}

#endif
