/* mmap, munmap, mremap, shmdt: objects end with their memory, accesses to it are forgotten; and which memory is shared
 * between processes.
 *
 * Called by the watched program and its libraries (an allocator's own system calls are not seen: its blocks end with
 * free). Takes the engine's locks only when an object may be concerned. Allocates nothing.
 *
 * What lies behind an address is asked of /proc/self/maps, since mappings are inherited over fork and made in ways
 * that we do not see. A few answers are kept: they hold until something is unmapped or mapped over. */
#include "mapping.h"

#include <stdarg.h>

#include "analyze/access_hot.h"
#include "base/sys.h"
#include "interceptor.h"
#include "maps.h"
#include "start.h"
#include "watched.h"

#define PAGE 4096u
#define PAGES_TESTED 65536u
#define KEPT 16u

/* Mappings found lately. `seq` is odd while an entry is written; `epoch` tells when it was true. */
static struct {
    u32 seq, next;
    struct {
        struct maps_entry map;
        u32 epoch;
    } entry[KEPT];
} kept;
static u32 epoch = 1; /* grows whenever memory goes away */
static bool kept_any;

static bool kept_find(u64 addr, struct maps_entry *out)
{
    u32 seq = __atomic_load_n(&kept.seq, __ATOMIC_ACQUIRE), now = __atomic_load_n(&epoch, __ATOMIC_ACQUIRE);
    bool found = false;
    for (u32 i = 0; i < KEPT && !found; i++) {
        *out = kept.entry[i].map;
        found = kept.entry[i].epoch == now && addr >= out->lo && addr < out->hi;
    }
    __atomic_thread_fence(__ATOMIC_ACQUIRE);
    return found && !(seq & 1) && __atomic_load_n(&kept.seq, __ATOMIC_RELAXED) == seq;
}

static void kept_add(const struct maps_entry *map, u32 when)
{
    u32 seq = __atomic_load_n(&kept.seq, __ATOMIC_RELAXED);
    if ((seq & 1) || !__atomic_compare_exchange_n(&kept.seq, &seq, seq + 1, false, __ATOMIC_ACQUIRE, __ATOMIC_RELAXED))
        return; /* somebody else is writing: nothing is lost but time */
    kept.entry[kept.next % KEPT].map = *map;
    kept.entry[kept.next++ % KEPT].epoch = when;
    __atomic_store_n(&kept_any, true, __ATOMIC_RELEASE);
    __atomic_store_n(&kept.seq, seq + 2, __ATOMIC_RELEASE);
}

static SNARL_HOT void mappings_change(void)
{
    if (__atomic_load_n(&kept_any, __ATOMIC_RELAXED))
        __atomic_add_fetch(&epoch, 1, __ATOMIC_ACQ_REL);
}

bool mapping_shared_key(u64 addr, u64 key[3])
{
    struct maps_entry m;
    if (mapping_is_file_lock(addr)) {
        key[0] = addr;
        key[1] = key[2] = ~0ULL; /* no device has that number */
        return true;
    }
    if (!kept_find(addr, &m)) {
        u32 when = __atomic_load_n(&epoch, __ATOMIC_ACQUIRE);
        if (!maps_find(addr, &m))
            return false;
        kept_add(&m, when);
    }
    key[0] = m.device;
    key[1] = m.inode;
    key[2] = m.offset + (addr - m.lo);
    return m.shared;
}

/* ---- the end of memory ---- */

static bool may_have_objects(u64 addr, u64 size)
{
    u64 page = addr / PAGE, last = (addr + size - 1) / PAGE;
    if (!size || last < page)
        return false;
    if (last - page > PAGES_TESTED)
        return true;
    for (; page <= last; page++)
        if (engine_page_may_have_objects(page * PAGE))
            return true;
    return false;
}

static void memory_ends(u64 addr, u64 size, const u64 *fp)
{
    mappings_change();
    if (!may_have_objects(addr, size))
        return;
    struct thread *t = interceptor_enter(fp);
    if (!t)
        return;
    engine_memory_gone(t, addr, size, fp);
    interceptor_leave(t);
}

static u64 whole_pages(size_t n)
{
    return ((u64)n + PAGE - 1) & ~(u64)(PAGE - 1);
}

static SNARL_HOT void mapped_over(void *addr, size_t n, int flags, const u64 *fp)
{
    if (snarl_unlikely((flags & MAP_FIXED) && !((u64)addr % PAGE)))
        memory_ends((u64)addr, whole_pages(n), fp);
}

/* What a mapping is, for access_mapping_shared. */
enum { OWN = 0, SHARED = 1, WRITES = 2 };
static u32 sort_of(int protection, int flags)
{
    return (flags & MAP_TYPE) == MAP_PRIVATE ? OWN : SHARED | (protection & PROT_WRITE ? WRITES : 0);
}

/* Nothing that happened at these addresses before counts for what is there now. */
static SNARL_COLD void *fresh_slow(void *addr, size_t n, u32 sort, const u64 *fp)
{
    struct thread *t = addr == MAP_FAILED ? NULL : interceptor_enter(fp);
    if (!t)
        return addr;
    access_mapping_gone(t, (u64)addr, whole_pages(n));
    if (sort & SHARED)
        access_mapping_shared(t, (u64)addr, whole_pages(n), sort & WRITES);
    if (access_now)
        watched_begin();
    interceptor_leave(t);
    return addr;
}

static SNARL_HOT void *mapped(void *addr, size_t n, u32 sort, const u64 *fp)
{
    return snarl_likely(!access_on) ? addr : fresh_slow(addr, n, sort, fp);
}

void mapping_segment(void *addr, size_t n, bool writes, const u64 *fp)
{
    mapped(addr, n, SHARED | (writes ? WRITES : 0), fp);
}

EXPORT void *mmap(void *addr, size_t n, int protection, int flags, int fd, off_t offset)
{
    mapped_over(addr, n, flags, INTERCEPTOR_FP());
    return mapped(REAL(mmap)(addr, n, protection, flags, fd, offset), n, sort_of(protection, flags), INTERCEPTOR_FP());
}

EXPORT void *mmap64(void *addr, size_t n, int protection, int flags, int fd, off64_t offset)
{
    mapped_over(addr, n, flags, INTERCEPTOR_FP());
    addr = REAL(mmap64) ? REAL(mmap64)(addr, n, protection, flags, fd, offset)
                        : REAL(mmap)(addr, n, protection, flags, fd, offset);
    return mapped(addr, n, sort_of(protection, flags), INTERCEPTOR_FP());
}

EXPORT int munmap(void *addr, size_t n)
{
    if (!((u64)addr % PAGE))
        memory_ends((u64)addr, whole_pages(n), INTERCEPTOR_FP());
    /* Before the real call: afterwards the addresses may be somebody else's. */
    if (snarl_unlikely(access_on))
        fresh_slow(addr, n, OWN, INTERCEPTOR_FP());
    return REAL(munmap)(addr, n);
}

static SNARL_COLD void moved(void *addr, u64 before, void *now, u64 after, const u64 *fp)
{
    struct maps_entry m;
    bool shared = maps_find((u64)now, &m) && m.shared;
    if (now == addr && !shared) {
        if (after > before)
            mapped((char *)addr + before, after - before, OWN, fp);
        return;
    }
    mapped(now, after, shared ? SHARED | (m.writable ? WRITES : 0) : OWN, fp);
    if (now != addr)
        mapped(addr, before, OWN, fp);
}

/* Where it goes is known only afterwards: until then nobody else gets the old place but by luck, and an object born
 * there would only lose its name. */
EXPORT void *mremap(void *addr, size_t old_size, size_t n, int flags, ...)
{
    const u64 *fp = INTERCEPTOR_FP();
    va_list ap;
    va_start(ap, flags);
    void *place = va_arg(ap, void *); /* passed with MREMAP_FIXED only; reading it otherwise does no harm */
    va_end(ap);
    u64 before = whole_pages(old_size), after = whole_pages(n);
    if (flags & MREMAP_FIXED)
        memory_ends((u64)place, after, fp);
    if (after < before)
        memory_ends((u64)addr + after, before - after, fp);
    void *now = REAL(mremap)(addr, old_size, n, flags, place);
    if (now != MAP_FAILED && now != addr)
        memory_ends((u64)addr, after < before ? after : before, fp);
    if (access_on && now != MAP_FAILED)
        moved(addr, before, now, after, fp);
    return now;
}

EXPORT int shmdt(const void *addr)
{
    struct maps_entry m;
    if (snarl_on && maps_find((u64)addr, &m) && m.lo == (u64)addr) {
        memory_ends(m.lo, m.hi - m.lo, INTERCEPTOR_FP());
        mapped((void *)(uintptr_t)m.lo, m.hi - m.lo, OWN, INTERCEPTOR_FP());
    }
    return REAL(shmdt)(addr);
}
