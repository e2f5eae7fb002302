/* What the shadow keeps of eight bytes of memory (a granule): the encoding. Pure.
 *
 * A record is one access that still matters: 64 bits, 0 = none.
 *
 *     63  59  58       57      56     55   32 31             10 9      8     7       0
 *    |  0   | shared | crowd | more | site   | epoch (epoch.h) | atomic write | byte mask |
 *                                            |<-------------- the slot ------------------>|
 *
 * The slot says who, when and what; the site (site.h) where in the program.
 *
 * A granule has up to two records. Its cell is the newer one; with the flag `more` there is an older one, in another
 * plane of the shadow (shadow.h). What needs more than two goes to a record of its own (crowd.h); the cell then has the
 * flag `crowd`, the crowd's number in the place of a site, and the slot of the newest access in there, so that who comes
 * again need not look further; or no slot. Crowd 0 stands for: another thread is writing both records (granule.h). For
 * `shared`, see shared.h.
 *
 * FastTrack (Flanagan & Freund 2009) keeps the last write and the last reads of a variable; here that is done for bytes:
 * a new access drops from older records the bytes for which it says more than they do. */
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

#define SITE_SHIFT 32
#define SITE_BITS 24
#define SITES (1u << SITE_BITS)
#define CELL_MORE (1ULL << 56)
#define CELL_CROWD (1ULL << 57)
#define CELL_BUSY CELL_CROWD

static inline u32 slot_make(u32 epoch, u32 kind, u32 mask)
{
    return epoch << SLOT_EPOCH_SHIFT | (kind & (ACCESS_WRITE | ACCESS_ATOMIC)) << SLOT_KIND_SHIFT | mask;
}
static inline u32 slot_epoch(u32 slot)
{
    return slot >> SLOT_EPOCH_SHIFT;
}
static inline u32 slot_kind(u32 slot)
{
    return slot >> SLOT_KIND_SHIFT & (ACCESS_WRITE | ACCESS_ATOMIC);
}
static inline u64 record_make(u32 slot, u32 site)
{
    return slot | (u64)site << SITE_SHIFT;
}
static inline u32 record_site(u64 record)
{
    return record >> SITE_SHIFT & (SITES - 1);
}
static inline bool cell_is_crowd(u64 cell)
{
    return cell & CELL_CROWD;
}
/* By the same thread, in the same epoch, of the same kind: one record can stand for both. */
static inline bool slots_join(u32 slot, u32 other)
{
    return slot >> SLOT_KIND_SHIFT == other >> SLOT_KIND_SHIFT;
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
