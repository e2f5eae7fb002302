/* Notes on live heap blocks: everything that is not on the path of each malloc and free. Called by intercept/alloc.c
 * and, for the birth of an object, by locate.c. Takes no lock, allocates nothing. */
#include "alloc_notes.h"

#include "base/hash.h"

#define SITE_PROBES 16u
#define LARGE_SLOTS 4096u /* one for each 64 KiB of a window of 256 MiB */
#define LARGE_SHIFT 16
#define LARGE_CARRIES 1ULL
#define ADDRESS_BITS 0x7fffffffffffULL

u64 notes_slots[NOTES_SLOTS];
u64 notes_sites[NOTES_SITES];

/* A large block's note. Two words that belong together only if the check in `head` fits `body`: two threads may write
 * one slot at a time. head: check << 48 | address | LARGE_CARRIES; 0 = empty. body: size << 14 | site. */
static struct large {
    u64 head, body;
} large[LARGE_SLOTS];
static u64 largest; /* size of the largest block ever noted there: how far back to search */

/* Number of a call site, 0 when there are too many of them. */
static u32 site_number(u64 pc)
{
    u32 first = notes_site_index(pc);
    for (u32 i = 0; i < SITE_PROBES; i++) {
        u32 at = (first + i) & (NOTES_SITES - 1);
        u64 seen = 0;
        if (!at)
            continue; /* 0 means unknown */
        if (__atomic_compare_exchange_n(&notes_sites[at], &seen, pc, false, __ATOMIC_RELAXED, __ATOMIC_RELAXED) ||
            seen == pc)
            return at;
    }
    return 0;
}

static u64 site_pc(u64 site)
{
    return __atomic_load_n(&notes_sites[site & (NOTES_SITES - 1)], __ATOMIC_RELAXED);
}

static struct large *large_slot(u64 window)
{
    return &large[window & (LARGE_SLOTS - 1)];
}

static u64 large_check(u64 body)
{
    return hash_mix64(body) & ~0xffffffffffffULL;
}

static void large_add(u64 addr, u64 size, u64 pc)
{
    struct large *l = large_slot(addr >> LARGE_SHIFT);
    u64 body = size << 14 | site_number(pc);
    if ((addr & 15) || size >> 47)
        return;
    u64 before = __atomic_load_n(&largest, __ATOMIC_RELAXED);
    while (before < size &&
           !__atomic_compare_exchange_n(&largest, &before, size, false, __ATOMIC_RELAXED, __ATOMIC_RELAXED))
        continue;
    __atomic_store_n(&l->head, 0, __ATOMIC_RELAXED);
    __atomic_store_n(&l->body, body, __ATOMIC_RELEASE);
    __atomic_store_n(&l->head, large_check(body) | addr, __ATOMIC_RELEASE);
}

/* The block noted there, false if none is. */
static bool large_read(const struct large *l, u64 *head, u64 *body)
{
    *head = __atomic_load_n(&l->head, __ATOMIC_ACQUIRE);
    if (!*head)
        return false;
    *body = __atomic_load_n(&l->body, __ATOMIC_RELAXED);
    return (*head & ~0xffffffffffffULL) == large_check(*body);
}

static bool large_take(u64 addr, struct note *out)
{
    struct large *l = large_slot(addr >> LARGE_SHIFT);
    u64 head, body;
    if (!large_read(l, &head, &body) || (head & ADDRESS_BITS & ~LARGE_CARRIES) != addr)
        return false;
    __atomic_store_n(&l->head, 0, __ATOMIC_RELAXED);
    *out = (struct note){addr, body >> 14, site_pc(body), head & LARGE_CARRIES};
    return true;
}

/* Blocks do not overlap: the nearest noted one that begins at or before addr is the one around it, or none is. */
static bool large_find(u64 addr, struct note *out)
{
    u64 window = addr >> LARGE_SHIFT, most = (__atomic_load_n(&largest, __ATOMIC_RELAXED) >> LARGE_SHIFT) + 1;
    for (u32 back = 0; back < LARGE_SLOTS && back <= window && back <= most; back++) {
        struct large *l = large_slot(window - back);
        u64 head, body;
        if (!large_read(l, &head, &body))
            continue;
        u64 base = head & ADDRESS_BITS & ~LARGE_CARRIES;
        if (base > addr || base >> LARGE_SHIFT != window - back)
            continue;
        *out = (struct note){base, body >> 14, site_pc(body), true};
        return addr < base + out->size &&
               (head & LARGE_CARRIES || __atomic_compare_exchange_n(&l->head, &head, head | LARGE_CARRIES, false,
                                                                    __ATOMIC_RELAXED, __ATOMIC_RELAXED));
    }
    return false;
}

static bool small_find(u64 addr, struct note *out)
{
    u64 window = addr >> 5;
    for (u32 back = 0; back <= NOTES_LARGE >> 5 && back <= window; back++) {
        u64 *s = notes_slot(window - back), w = __atomic_load_n(s, __ATOMIC_RELAXED), tag = w >> 32;
        u64 base = (tag & 0x7ffffff) << 20 | ((window - back) << 5 & 0xfffe0) | tag >> 27;
        if (!(w & NOTE_VALID) || base >> 5 != window - back || base > addr)
            continue;
        *out = (struct note){base, w & 0xffff, site_pc(w >> 16), true};
        return addr < base + out->size &&
               (w & NOTE_CARRIES ||
                __atomic_compare_exchange_n(s, &w, w | NOTE_CARRIES, false, __ATOMIC_RELAXED, __ATOMIC_RELAXED) ||
                w == (notes_entry(base, out->size, w >> 16 & (NOTES_SITES - 1)) | NOTE_CARRIES));
    }
    return false;
}

void *notes_add(void *block, u64 size, u64 pc)
{
    u64 addr = (u64)block;
    if (!addr || addr & ~ADDRESS_BITS)
        return block;
    if (size < NOTES_LARGE)
        __atomic_store_n(notes_slot(addr >> 5), notes_entry(addr, size, site_number(pc)), __ATOMIC_RELAXED);
    else
        large_add(addr, size, pc);
    return block;
}

bool notes_take(u64 addr, struct note *out)
{
    u64 *s = notes_slot(addr >> 5), w = __atomic_load_n(s, __ATOMIC_RELAXED);
    if (!(w & NOTE_VALID) || w >> 32 != notes_entry(addr, 0, 0) >> 32)
        return large_take(addr, out);
    __atomic_store_n(s, 0, __ATOMIC_RELAXED);
    *out = (struct note){addr, w & 0xffff, site_pc(w >> 16), w & NOTE_CARRIES};
    return true;
}

bool notes_find(u64 addr, struct note *out)
{
    if (addr & ~ADDRESS_BITS)
        return false;
    /* Large blocks first: an array of a million locks would search its whole distance for small ones each time. */
    return (largest && large_find(addr, out)) || small_find(addr, out);
}

void *notes_correct_slow(void *block, u64 size, u64 pc)
{
    struct note n;
    return block && notes_take((u64)block, &n) ? notes_add(block, size, pc) : block;
}
