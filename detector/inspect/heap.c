/* Which block of glibc's heap an address is in. Called by feed.c. Takes no locks; allocates nothing.
 *
 * Blocks lie one behind the other from the beginning of a mapping, each with its size in front. Nothing else tells: a walk
 * that meets a size that cannot be has begun in the wrong place, or the heap is another allocator's. */
#include "heap.h"

#define HEADER 16u
#define FLAGS 7u
#define OWN_MAPPING 2u
#define MAX_STEPS 2000000u

/* Where the first block is: in the heap of the main thread, or of its own mapping; in the first and in further heaps of other
 * threads, behind what describes them (glibc 2.35 and later, before). */
static const u32 begins[] = {0, 0x8d0, 0x30, 0x8c0, 0x20};

static bool walk(const struct subject *s, u64 at, u64 hi, u64 address, struct heap_block *out)
{
    for (u32 i = 0; i < MAX_STEPS && at + 2 * HEADER <= hi && at + HEADER <= address; i++) {
        u64 size;
        if (!subject_read(s, at + 8, &size, sizeof size))
            return false;
        u64 whole = size & ~(u64)FLAGS;
        if (whole < 2 * HEADER || whole % HEADER || whole > hi - at)
            return false;
        if (address < at + whole + (size & OWN_MAPPING ? 0 : 8)) {
            *out = (struct heap_block){at + HEADER, size & OWN_MAPPING ? 0 : whole - 8};
            return true;
        }
        at += whole;
    }
    return false;
}

bool heap_find(const struct subject *s, u64 lo, u64 hi, u64 address, struct heap_block *out)
{
    for (u32 i = 0; i < ARRAY_LEN(begins); i++)
        if (lo + begins[i] < address && walk(s, lo + begins[i], hi, address, out))
            return true;
    return false;
}
