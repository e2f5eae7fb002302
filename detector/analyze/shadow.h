/* Shadow memory: for every eight bytes of the program a cell of eight bytes, and room for an older record (cell.h),
 * each at the same address with some of its high bits flipped: a constant of this process.
 *
 * The constants are chosen when watching begins, by where this process's memory lies: every ASLR setting, position
 * independent or not, legacy layouts. Reserved is what the program's regions can grow to; only what is touched costs
 * memory. Addresses outside of that are not watched (shadow_covers). */
#ifndef SNARL_ANALYZE_SHADOW_H
#define SNARL_ANALYZE_SHADOW_H

#include "base/types.h"

extern u64 shadow_cells __attribute__((visibility("hidden"))); /* what to flip in an address */
extern u64 shadow_olders __attribute__((visibility("hidden")));

/* Regions of the program's memory in whose cells something may have been written: set before that is, by who knows that
 * they are covered. */
#define SHADOW_REGION_SHIFT 24
#define SHADOW_REGION (1u << SHADOW_REGION_SHIFT)
#define SHADOW_REGIONS (1u << (47 - SHADOW_REGION_SHIFT))
extern u8 shadow_touched[SHADOW_REGIONS] __attribute__((visibility("hidden")));
extern u32 shadow_ntouched __attribute__((visibility("hidden")));
SNARL_COLD void shadow_touch_first(u64 addr);
static inline bool shadow_is_touched(u64 addr)
{
    return shadow_touched[addr >> SHADOW_REGION_SHIFT & (SHADOW_REGIONS - 1)];
}
static inline void shadow_touch(u64 addr)
{
    if (snarl_unlikely(!shadow_is_touched(addr)))
        shadow_touch_first(addr);
}

/* 0, or -ENOMEM when there is no room. Called once, before any other thread looks. */
int shadow_start(void);
/* True when all of [addr, addr + size) is watched. Reserves for new regions where it can. */
bool shadow_covers(u64 addr, u64 size);
/* False: shadow_covers tells. */
static inline bool shadow_surely_covers(u64 addr, u64 size)
{
    u64 last = addr + size - 1;
    return size <= SHADOW_REGION && last >> 47 == 0 && shadow_is_touched(addr) && shadow_is_touched(last);
}
/* As if nothing had ever been accessed there. */
void shadow_clear(u64 addr, u64 size);
/* All cells behind [addr, addr + size), whole pages, read `cell` from now on, whatever is done to them; a forked child's,
 * too. False: there is no room. shadow_plain: they are like any other again, empty. */
bool shadow_stencil(u64 addr, u64 size, u64 cell);
void shadow_plain(u64 addr, u64 size);
/* Everywhere. For a forked child. */
void shadow_clear_all(void);
/* Every page of cells that may have something. `addr`: of the memory of the first of n granules. */
typedef void shadow_page_fn(u64 addr, u32 n, void *arg);
void shadow_each_page(shadow_page_fn *fn, void *arg);

static inline u64 *shadow_cell(u64 addr)
{
    return (u64 *)(uintptr_t)((addr & ~7ULL) ^ shadow_cells);
}
static inline u64 *shadow_older(u64 addr)
{
    return (u64 *)(uintptr_t)((addr & ~7ULL) ^ shadow_olders);
}

#endif
