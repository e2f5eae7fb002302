/* The usual path of an access, inline: is it one that the shadow has already, from this thread, in this epoch?
 * Part of the door access.h; same rules. */
#ifndef SNARL_ANALYZE_ACCESS_HOT_H
#define SNARL_ANALYZE_ACCESS_HOT_H

#include "analyze/access.h"
#include "analyze/cell.h"
#include "analyze/shadow.h"

/* What the calling thread's slots look like now: its epoch and, in the place of the mask, all ones. 0: nothing is
 * watched. ACCESS_NO_EPOCH: the next recorded access takes a new epoch (no slot looks like that). */
extern __thread u32 access_now __attribute__((tls_model("initial-exec"), visibility("hidden")));
#define ACCESS_NO_EPOCH SLOT_MASK

/* Bits of (slot ^ access_now) that tell: the epoch must be the same; of the mask the accessed bytes must be set (they
 * come out as zero); a read is content with a write; a plain access not with an atomic one. */
static SNARL_HOT bool slot_has(u32 slot, u32 now, u32 mask, u32 kind)
{
    u32 want = now | (kind & ACCESS_WRITE ? SLOT_WRITE : 0);
    u32 care = SLOT_SAME_EPOCH | mask;
    if (kind & ACCESS_WRITE)
        care |= SLOT_WRITE;
    if (!(kind & ACCESS_ATOMIC))
        care |= SLOT_ATOMIC;
    return !((slot ^ want) & care);
}

/* True: nothing more to do. For accesses inside one granule; kind is a constant. */
static SNARL_HOT bool access_is_known(u64 addr, u32 mask, u32 kind)
{
    u32 now = access_now;
    if (snarl_unlikely(!now))
        return true;
    u64 cell = __atomic_load_n(shadow_cell(addr), __ATOMIC_RELAXED);
    return snarl_likely(slot_has((u32)cell, now, mask, kind)) || slot_has((u32)(cell >> 32), now, mask, kind);
}

/* The rest: records the access and looks for races. */
void access_seen(struct thread *t, u64 addr, u32 size, u32 kind, const u64 *fp);

#endif
