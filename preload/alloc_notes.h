/* Notes on live heap blocks: which block lies around an address, how large was it asked for, who asked, and whether
 * it carries an object.
 *
 * Used by the allocation interceptors (alloc.c) on every malloc and free, so an entry is one 64-bit word in a table
 * indexed by address: one store to note, one compare and one store to take back. Lossy (a heap larger than the
 * table's window overwrites older notes), but never wrong: a note is taken back before its block is freed, and the
 * full address can be told from an entry. (Leaving the notes of freed blocks to later ones that cover them was tried:
 * the branches cost more than the store.)
 *
 * No locks, no allocation, async-signal-safe. The tables are plain zero-initialised memory, touched as far as the
 * heap reaches. */
#ifndef SNARL_PRELOAD_ALLOC_NOTES_H
#define SNARL_PRELOAD_ALLOC_NOTES_H

#include "base/types.h"

/* One slot for each 32 bytes (the distance of glibc's smallest blocks) of a window of 32 MiB. */
#define NOTES_SLOTS (1u << 20)
#define NOTES_LARGE 65536u /* blocks of this size and more are noted in a table of their own */
#define NOTES_SITES (1u << 14)

/* Entry: bits 63..32 tag, 31 valid, 30 carries an object, 29..16 site, 15..0 size. Slot and tag together give the
 * address: slot = its bits 5..24; tag = its bits 20..46, and above them its bits 0..4 (user addresses end below bit
 * 47). */
#define NOTE_VALID (1ULL << 31)
#define NOTE_CARRIES (1ULL << 30)

extern u64 notes_slots[NOTES_SLOTS] __attribute__((visibility("hidden")));
/* Return address of each known allocating call. */
extern u64 notes_sites[NOTES_SITES] __attribute__((visibility("hidden")));

static inline u64 *notes_slot(u64 window)
{
    return &notes_slots[window & (NOTES_SLOTS - 1)];
}
static inline u64 notes_entry(u64 addr, u64 size, u32 site)
{
    return (u64)((u32)(addr >> 20) ^ (u32)(addr << 27)) << 32 | NOTE_VALID | (u64)site << 16 | size;
}
static inline u32 notes_site_index(u64 pc)
{
    return (u32)pc & (NOTES_SITES - 1); /* return addresses are scattered enough in their low bits */
}

/* Notes a block asked for by the call that returns to pc; nothing for NULL. Returns block. */
void *notes_add(void *block, u64 size, u64 pc) __attribute__((visibility("hidden")));

/* The same for the usual case: not large, from a call that has allocated before. */
static SNARL_HOT void *notes_add_hot(void *block, u64 size, u64 pc)
{
    u32 site = notes_site_index(pc);
    if (snarl_unlikely(size >= NOTES_LARGE || __atomic_load_n(&notes_sites[site], __ATOMIC_RELAXED) != pc || !block))
        return notes_add(block, size, pc);
    __atomic_store_n(notes_slot((u64)block >> 5), notes_entry((u64)block, size, site), __ATOMIC_RELAXED);
    return block;
}

/* The block at addr is noted and surely carries no object: forgets it. */
static SNARL_HOT bool notes_take_plain(u64 addr)
{
    u64 *s = notes_slot(addr >> 5);
    if (snarl_unlikely(__atomic_load_n(s, __ATOMIC_RELAXED) >> 30 != notes_entry(addr, 0, 0) >> 30))
        return false;
    __atomic_store_n(s, 0, __ATOMIC_RELAXED);
    return true;
}

/* The note of a block gets another size and call, if there is one. */
void *notes_correct_slow(void *block, u64 size, u64 pc) __attribute__((visibility("hidden")));
static SNARL_HOT void *notes_correct(void *block, u64 size, u64 pc)
{
    u64 addr = (u64)block, *s = notes_slot(addr >> 5);
    u32 site = notes_site_index(pc);
    if (snarl_unlikely(__atomic_load_n(s, __ATOMIC_RELAXED) >> 30 != notes_entry(addr, 0, 0) >> 30 ||
                       size >= NOTES_LARGE || __atomic_load_n(&notes_sites[site], __ATOMIC_RELAXED) != pc))
        return notes_correct_slow(block, size, pc);
    __atomic_store_n(s, notes_entry(addr, size, site), __ATOMIC_RELAXED);
    return block;
}

struct note {
    u64 base, size, pc; /* pc 0: site unknown */
    bool carries;
};

/* Forgets the block that begins at addr; false when it is not noted. */
bool notes_take(u64 addr, struct note *out) __attribute__((visibility("hidden")));
/* Finds the live block around addr, if it is noted, and marks it as carrying an object. */
bool notes_find(u64 addr, struct note *out) __attribute__((visibility("hidden")));

#endif
