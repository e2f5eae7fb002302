/* Where the shadow lies. Called when watching begins and when memory comes and goes. Takes no lock (blocks are only
 * added, under a guard of their own); maps address space, never touches it.
 *
 * User space is 128 blocks of 1 TiB. The program's memory lies in a few of them: low addresses (not position independent
 * programs, MAP_32BIT), the program and its heap, the region of mmap, the stack; each with room to grow. A plane of the
 * shadow is where their block numbers, with some bits flipped, hit nothing that is in use: a flip needs no carry, so
 * low and high blocks can trade places, which no addition could do. */
#include "analyze/shadow.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/resource.h>

#include "analyze/cell.h"
#include "base/reserve.h"
#include "base/sys.h"

#define BLOCK_SHIFT 40
#define BLOCKS 128u
#define BLOCK_BYTES (1ULL << BLOCK_SHIFT)
#define USER_END (BLOCKS * BLOCK_BYTES)
#define GROWTH (BLOCK_BYTES / 2)
#define PAGE_AFTER_ERRORS 4096

static bool watched[BLOCKS]; /* in the planes */
u64 shadow_cells, shadow_olders;
u8 shadow_touched[SHADOW_REGIONS];
u32 shadow_ntouched;

/* ---- /proc/self/maps ---- */

struct mapping {
    u64 lo, hi;
};
struct maps {
    int fd;
    u32 at, filled;
    char buffer[4096];
};

static int next_char(struct maps *m)
{
    if (m->at == m->filled) {
        long n = sys_read(m->fd, m->buffer, sizeof m->buffer);
        if (n <= 0)
            return -1;
        m->at = 0;
        m->filled = (u32)n;
    }
    return (unsigned char)m->buffer[m->at++];
}

static u64 next_hex(struct maps *m, char end)
{
    u64 v = 0;
    int c;
    while ((c = next_char(m)) >= 0 && c != end)
        v = v << 4 | (u64)(c <= '9' ? c - '0' : c - 'a' + 10);
    return c < 0 ? 0 : v;
}

static bool next_mapping(struct maps *m, struct mapping *i)
{
    int c;
    i->lo = next_hex(m, '-');
    i->hi = next_hex(m, ' ');
    while ((c = next_char(m)) >= 0 && c != '\n')
        ;
    return i->hi > i->lo && c >= 0;
}

/* ---- blocks ---- */

static void mark(bool *blocks, u64 lo, u64 hi)
{
    lo = lo > GROWTH ? lo - GROWTH : 0;
    hi = hi + GROWTH < USER_END ? hi + GROWTH : USER_END;
    for (u64 b = lo >> BLOCK_SHIFT; b <= (hi - 1) >> BLOCK_SHIFT; b++)
        blocks[b] = true;
}

static bool blocks_in_use(bool *blocks)
{
    struct maps m = {.fd = sys_open("/proc/self/maps", O_RDONLY | O_CLOEXEC, 0)};
    struct mapping i;
    if (m.fd < 0)
        return false;
    blocks[0] = true;
    while (next_mapping(&m, &i))
        if (i.hi <= USER_END) /* not the vsyscall page */
            mark(blocks, i.lo, i.hi);
    sys_close(m.fd);
    return true;
}

static void unreserve(const bool *blocks, u32 end, u32 flip)
{
    for (u32 b = 0; b < end; b++)
        if (blocks[b])
            reserve_undo((u64)(b ^ flip) << BLOCK_SHIFT, BLOCK_BYTES);
}

static bool reserve_all(const bool *blocks, u32 flip)
{
    for (u32 b = 0; b < BLOCKS; b++) {
        if (!blocks[b] || reserve_at((u64)(b ^ flip) << BLOCK_SHIFT, BLOCK_BYTES))
            continue;
        unreserve(blocks, b, flip);
        return false;
    }
    return true;
}

/* Reserves a plane and adds it to what is taken. Which block bits it flips; 0: there is no room. */
static u32 plane_place(const bool *blocks, bool *taken)
{
    for (u32 flip = 1; flip < BLOCKS; flip++) {
        bool ok = true;
        for (u32 b = 0; b < BLOCKS; b++)
            ok &= !(blocks[b] && taken[b ^ flip]);
        if (!ok || !reserve_all(blocks, flip))
            continue;
        for (u32 b = 0; b < BLOCKS; b++)
            taken[b ^ flip] |= blocks[b];
        return flip;
    }
    return 0;
}

int shadow_start(void)
{
    bool taken[BLOCKS], blocks[BLOCKS] = {false};
    if (!blocks_in_use(blocks))
        return -ENOMEM;
    __builtin_memcpy(taken, blocks, sizeof taken);
    u32 cells = plane_place(blocks, taken);
    u32 olders = cells ? plane_place(blocks, taken) : 0;
    if (!olders) {
        if (cells)
            unreserve(blocks, BLOCKS, cells);
        return -ENOMEM;
    }
    shadow_cells = (u64)cells << BLOCK_SHIFT;
    shadow_olders = (u64)olders << BLOCK_SHIFT;
    __builtin_memcpy(watched, blocks, sizeof watched);
    return 0;
}

/* ---- later ---- */

static bool watches(u64 lo, u64 hi)
{
    if (snarl_unlikely(hi > USER_END || hi < lo))
        return false;
    for (u64 b = lo >> BLOCK_SHIFT; b <= (hi - 1) >> BLOCK_SHIFT; b++)
        if (snarl_unlikely(!__atomic_load_n(&watched[b], __ATOMIC_ACQUIRE)))
            return false;
    return true;
}

static bool block_add(u32 b)
{
    u64 cells = (u64)b << BLOCK_SHIFT ^ shadow_cells, olders = (u64)b << BLOCK_SHIFT ^ shadow_olders;
    if (!reserve_at(cells, BLOCK_BYTES))
        return false;
    if (reserve_at(olders, BLOCK_BYTES))
        return true;
    reserve_undo(cells, BLOCK_BYTES);
    return false;
}

bool shadow_covers(u64 addr, u64 size)
{
    static u32 guard;
    if (snarl_likely(watches(addr, addr + size)))
        return true;
    if (!size || addr + size < addr || addr + size > USER_END)
        return false;
    while (__atomic_exchange_n(&guard, 1, __ATOMIC_ACQUIRE))
        __builtin_ia32_pause();
    bool ok = true;
    for (u64 b = addr >> BLOCK_SHIFT; ok && b <= (addr + size - 1) >> BLOCK_SHIFT; b++) {
        ok = watched[b] || block_add((u32)b);
        __atomic_store_n(&watched[b], ok, __ATOMIC_RELEASE);
    }
    __atomic_store_n(&guard, 0, __ATOMIC_RELEASE);
    return ok;
}

#define CLEAR_BY_STORE (64u << 10)

static void plane_clear(u64 lo, u64 hi)
{
    u64 first = (lo + 4095) & ~4095ULL, last = hi & ~4095ULL;
    if (hi - lo < CLEAR_BY_STORE || first >= last) {
        __builtin_memset((void *)lo, 0, hi - lo);
        return;
    }
    __builtin_memset((void *)lo, 0, first - lo);
    sys_call3(SYS_madvise, first, last - first, MADV_DONTNEED);
    __builtin_memset((void *)last, 0, hi - last);
}

/* Older records need not be cleared with their cells, but large ones are to be given back. */
static void olders_give_back(u64 lo, u64 hi)
{
    u64 first = (lo + 4095) & ~4095ULL, last = hi & ~4095ULL;
    if (hi - lo >= CLEAR_BY_STORE && first < last)
        sys_call3(SYS_madvise, first, last - first, MADV_DONTNEED);
}

void shadow_clear(u64 addr, u64 size)
{
    u64 lo = addr & ~7ULL, hi = (addr + size + 7) & ~7ULL;
    while (lo < hi) { /* block by block: neighbours need not be neighbours in a plane */
        u64 end = (lo | (BLOCK_BYTES - 1)) + 1;
        end = end < hi ? end : hi;
        if (watches(lo, end)) {
            plane_clear(lo ^ shadow_cells, ((end - 1) ^ shadow_cells) + 1);
            olders_give_back(lo ^ shadow_olders, ((end - 1) ^ shadow_olders) + 1);
        }
        lo = end;
    }
}

/* ---- cells that say one thing only ---- */

/* One piece of a file with such cells, mapped again and again. Private, so that a store that was on its way when the
 * cells changed harms one page of this process at most. */
#define STENCIL_BYTES (2u << 20)
#define STENCIL_MOST 4096u /* pieces */

static int stencil_file(u64 cell, u64 bytes)
{
    u64 limit[2] = {0, 0};
    if (sys_call6(SYS_prlimit64, 0, RLIMIT_FSIZE, 0, (long)limit, 0, 0) < 0 || limit[0] < bytes)
        return -EFBIG; /* a larger file would be a signal to the program */
    int fd = (int)sys_call3(SYS_memfd_create, "", MFD_CLOEXEC, 0);
    if (fd < 0)
        return fd;
    long at = sys_call3(SYS_ftruncate, fd, bytes, 0)
                  ? -ENOSPC
                  : sys_call6(SYS_mmap, 0, (long)bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (at < 0 && at > -PAGE_AFTER_ERRORS) {
        sys_close(fd);
        return (int)at;
    }
    if (sys_call3(SYS_madvise, at, bytes, MADV_POPULATE_WRITE) == -EFAULT) { /* no memory for it */
        sys_call3(SYS_munmap, at, bytes, 0);
        sys_close(fd);
        return -ENOMEM;
    }
    for (u64 *to = (u64 *)at, *end = to + bytes / sizeof *to; to < end; to++)
        *to = cell;
    sys_call3(SYS_munmap, at, bytes, 0);
    return fd;
}

/* Block by block: neighbours need not be neighbours in a plane. */
static u64 stencil_next(u64 lo, u64 hi, u64 most)
{
    u64 end = (lo | (BLOCK_BYTES - 1)) + 1;
    end = end < hi ? end : hi;
    return end - lo < most ? end : lo + most;
}

static bool stencil_map(u64 lo, u64 hi, int fd)
{
    for (u64 next; lo < hi; lo = next) {
        next = stencil_next(lo, hi, STENCIL_BYTES);
        u64 cells = lo ^ shadow_cells;
        if (sys_call6(SYS_mmap, (long)cells, (long)(next - lo), PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_FIXED | MAP_NORESERVE, fd, 0) != (long)cells)
            return false;
        sys_call3(SYS_madvise, cells, next - lo, MADV_DONTDUMP);
        shadow_touch(lo);
    }
    return true;
}

bool shadow_stencil(u64 addr, u64 size, u64 cell)
{
    if (size / STENCIL_BYTES > STENCIL_MOST || !shadow_covers(addr, size))
        return false;
    int fd = stencil_file(cell, size < STENCIL_BYTES ? size : STENCIL_BYTES);
    bool ok = fd >= 0 && stencil_map(addr, addr + size, fd);
    if (fd >= 0)
        sys_close(fd);
    if (fd >= 0 && !ok)
        shadow_plain(addr, size);
    return ok;
}

void shadow_plain(u64 addr, u64 size)
{
    for (u64 lo = addr, hi = addr + size, next; lo < hi; lo = next) {
        next = stencil_next(lo, hi, BLOCK_BYTES);
        u64 cells = lo ^ shadow_cells;
        sys_call6(SYS_mmap, (long)cells, (long)(next - lo), PROT_READ | PROT_WRITE,
                  MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED | MAP_NORESERVE, -1, 0);
        sys_call3(SYS_madvise, cells, next - lo, MADV_DONTDUMP);
        sys_call3(SYS_madvise, cells, next - lo, MADV_NOHUGEPAGE);
        sys_call3(SYS_madvise, cells, next - lo, MADV_WIPEONFORK);
    }
}

/* ---- all that is there ---- */

void shadow_touch_first(u64 addr)
{
    if (!__atomic_exchange_n(&shadow_touched[addr >> SHADOW_REGION_SHIFT & (SHADOW_REGIONS - 1)], 1, __ATOMIC_RELAXED))
        __atomic_fetch_add(&shadow_ntouched, 1, __ATOMIC_RELAXED);
}

#define PAGE 4096u
#define PAGES_AT_ONCE 512u
#define REGION_PAGES (SHADOW_REGION / PAGE)
#define PAGE_USED (3ULL << 62) /* in /proc/self/pagemap: present, or swapped */

/* What the kernel says of n pages; all used, if it says nothing. */
static void pages_ask(int pagemap, u64 lo, u64 *entry, u32 n)
{
    long got = pagemap < 0 ? 0 : sys_call6(SYS_pread64, pagemap, (long)entry, n * 8L, (long)(lo / PAGE * 8), 0, 0);
    for (u32 i = got > 0 ? (u32)got / 8 : 0; i < n; i++)
        entry[i] = PAGE_USED;
}

static void region_pages(int pagemap, u64 lo, shadow_page_fn *fn, void *arg)
{
    u64 entry[PAGES_AT_ONCE];
    for (u32 at = 0; at < REGION_PAGES; at += PAGES_AT_ONCE) {
        u64 addr = lo + (u64)at * PAGE;
        pages_ask(pagemap, addr ^ shadow_cells, entry, PAGES_AT_ONCE);
        for (u32 i = 0; i < PAGES_AT_ONCE; i++, addr += PAGE)
            if (entry[i] & PAGE_USED)
                fn(addr, PAGE / GRANULE, arg);
    }
}

void shadow_each_page(shadow_page_fn *fn, void *arg)
{
    int pagemap = sys_open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC, 0);
    for (u64 b = 0; b < BLOCKS; b++) {
        if (!__atomic_load_n(&watched[b], __ATOMIC_ACQUIRE))
            continue;
        for (u64 r = b << (BLOCK_SHIFT - SHADOW_REGION_SHIFT), end = r + (BLOCK_BYTES >> SHADOW_REGION_SHIFT); r < end;
             r++)
            if (__atomic_load_n(&shadow_touched[r], __ATOMIC_RELAXED))
                region_pages(pagemap, r << SHADOW_REGION_SHIFT, fn, arg);
    }
    if (pagemap >= 0)
        sys_close(pagemap);
}

void shadow_clear_all(void)
{
    shadow_ntouched = 0;
    for (u64 b = 0; b < BLOCKS; b++) {
        if (!watched[b])
            continue;
        for (u64 r = b << (BLOCK_SHIFT - SHADOW_REGION_SHIFT), end = r + (BLOCK_BYTES >> SHADOW_REGION_SHIFT); r < end;
             r++)
            if (shadow_touched[r]) /* most of its pages have never been */
                shadow_touched[r] = 0;
        sys_call3(SYS_madvise, b << BLOCK_SHIFT ^ shadow_cells, BLOCK_BYTES, MADV_DONTNEED);
        sys_call3(SYS_madvise, b << BLOCK_SHIFT ^ shadow_olders, BLOCK_BYTES, MADV_DONTNEED);
    }
}
