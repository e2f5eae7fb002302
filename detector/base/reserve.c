/* Address space (reserve.h). Called when accesses come to be watched, and when the program uses a new region. Raw system
 * calls; allocates nothing.
 *
 * Mapped without access first: so mlockall(MCL_FUTURE) finds nothing to fill before the lock is taken off. */
#include "reserve.h"

#include <sys/mman.h>

#include "sys.h"

#define RANGES 512u

static struct {
    u64 lo, bytes;
} ranges[RANGES];
static u32 n;
static u64 total;

static long map(u64 at, u64 bytes, int flags)
{
    if (n >= RANGES)
        return 0;
    long r = sys_call6(SYS_mmap, (long)at, (long)bytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | flags,
                       -1, 0);
    if (r < 0 && r > -4096)
        return 0;
    sys_call3(SYS_munlock, r, bytes, 0);
    if ((at && r != (long)at) || sys_call3(SYS_mprotect, r, bytes, PROT_READ | PROT_WRITE) < 0) {
        sys_call3(SYS_munmap, r, bytes, 0);
        return 0;
    }
    sys_call3(SYS_madvise, r, bytes, MADV_DONTDUMP);
    ranges[n].lo = (u64)r;
    ranges[n].bytes = bytes;
    __atomic_store_n(&n, n + 1, __ATOMIC_RELEASE);
    __atomic_fetch_add(&total, bytes, __ATOMIC_RELAXED);
    return r;
}

void *reserve_map(size_t bytes)
{
    return (void *)map(0, (bytes + 4095) & ~4095ULL, 0);
}

bool reserve_at(u64 lo, u64 bytes)
{
    if (!map(lo, bytes, MAP_FIXED_NOREPLACE)) /* a hint only, to a kernel that does not know it */
        return false;
    sys_call3(SYS_madvise, lo, bytes, MADV_NOHUGEPAGE);
    sys_call3(SYS_madvise, lo, bytes, MADV_WIPEONFORK);
    return true;
}

void reserve_undo(u64 lo, u64 bytes)
{
    sys_call3(SYS_munmap, lo, bytes, 0);
    for (u32 i = 0; i < n; i++)
        if (ranges[i].lo == lo)
            ranges[i].bytes = 0;
    __atomic_fetch_sub(&total, bytes, __ATOMIC_RELAXED);
}

u64 reserve_total(void)
{
    return __atomic_load_n(&total, __ATOMIC_RELAXED);
}

bool reserve_meets(u64 lo, u64 hi)
{
    for (u32 i = 0, end = __atomic_load_n(&n, __ATOMIC_ACQUIRE); i < end; i++)
        if (lo < ranges[i].lo + ranges[i].bytes && ranges[i].lo < hi)
            return true;
    return false;
}

void reserve_unlock(void)
{
    for (u32 i = 0, end = __atomic_load_n(&n, __ATOMIC_ACQUIRE); i < end; i++)
        if (ranges[i].bytes)
            sys_call3(SYS_munlock, ranges[i].lo, ranges[i].bytes, 0);
}
