/* The shadow's share of memory (cap.h). Called by the slow path of accesses, inside, by one thread at a time (a lock that
 * is only tried). Raw system calls; allocates nothing. */
#include "analyze/cap.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/sysinfo.h>

#include "analyze/weak.h"
#include "base/sys.h"
#include "model/run.h"

#define LEAST (2ULL << 30)
#define PAGE 4096u

u64 cap_bytes = ~0ULL;
u32 cap_regions = ~0u;
static u32 lock, hand; /* hand: the region that was forgotten last */

/* ---- how much there is ---- */

static u32 read_file(const char *path, char *text, u32 size)
{
    int fd = sys_open(path, O_RDONLY | O_CLOEXEC, 0);
    long n = fd < 0 ? 0 : sys_read(fd, text, size - 1);
    if (fd >= 0)
        sys_close(fd);
    text[n > 0 ? n : 0] = 0;
    return n > 0 ? (u32)n : 0;
}

static u64 limit_in(const char *path)
{
    char text[32];
    u64 v = 0;
    read_file(path, text, sizeof text);
    for (const char *c = text; *c >= '0' && *c <= '9'; c++)
        v = v * 10 + (u64)(*c - '0');
    return v ? v : ~0ULL; /* "max" */
}

/* Of the process's control group, and those around it. */
static u64 group_limit(void)
{
    static const char root[] = "/sys/fs/cgroup", file[] = "/memory.max";
    char text[512], path[sizeof root + sizeof text + sizeof file];
    u32 n = read_file("/proc/self/cgroup", text, sizeof text), end;
    u64 least = limit_in("/sys/fs/cgroup/memory/memory.limit_in_bytes"), limit;
    if (n < 4 || __builtin_memcmp(text, "0::", 3))
        return least;
    for (end = 3; end < n && text[end] != '\n';)
        end++;
    for (;; end--) {
        u32 at = sizeof root - 1, length = end - 3;
        __builtin_memcpy(path, root, at);
        __builtin_memcpy(path + at, text + 3, length);
        __builtin_memcpy(path + at + length, file, sizeof file);
        limit = limit_in(path);
        least = limit < least ? limit : least;
        while (end > 3 && text[end - 1] != '/')
            end--;
        if (end <= 3)
            return least;
    }
}

void cap_start(void)
{
    struct sysinfo s;
    u64 there = sys_call3(SYS_sysinfo, &s, 0, 0) == 0 ? (u64)s.totalram * s.mem_unit : ~0ULL, group = group_limit();
    there = group < there ? group : there;
    cap_bytes = there / 2 > LEAST ? there / 2 : LEAST;
    cap_regions = (u32)(cap_bytes / (2ULL * SHADOW_REGION));
}

/* ---- what is taken ---- */

static u64 resident(u64 lo)
{
    unsigned char in[SHADOW_REGION / PAGE];
    u64 n = 0;
    if (sys_call3(SYS_mincore, lo, SHADOW_REGION, in) < 0)
        return 0;
    for (u32 i = 0; i < sizeof in; i++)
        n += in[i] & 1;
    return n * PAGE;
}

u64 cap_resident(u32 region)
{
    u64 addr = (u64)region << SHADOW_REGION_SHIFT;
    return resident((u64)shadow_cell(addr)) + resident((u64)shadow_older(addr));
}

static u64 all_resident(void)
{
    u64 sum = 0;
    for (u32 r = 0; r < SHADOW_REGIONS; r++)
        if (shadow_touched[r])
            sum += cap_resident(r);
    return sum;
}

/* In turn, so that every region keeps its past for as long as can be. */
static void forget_some(struct accesses *a, u64 sum)
{
    for (u32 i = 0; i < SHADOW_REGIONS && sum > cap_bytes - cap_bytes / 8; i++) {
        hand = (hand + 1) % SHADOW_REGIONS;
        u64 addr = (u64)hand << SHADOW_REGION_SHIFT, has = shadow_touched[hand] ? cap_resident(hand) : 0;
        if (!has)
            continue;
        crowds_end(a, addr, SHADOW_REGION);
        shadow_clear(addr, SHADOW_REGION);
        run_lost(LOSS_shadow_forgotten);
        weak_forget();
        sum -= has < sum ? has : sum;
    }
}

void cap_check(struct accesses *a)
{
    if (__atomic_exchange_n(&lock, 1, __ATOMIC_ACQUIRE))
        return;
    u64 mask = ilock_guard(), sum = all_resident();
    if (sum > cap_bytes)
        forget_some(a, sum);
    __atomic_store_n(&cap_regions, shadow_ntouched, __ATOMIC_RELAXED); /* until there is another one */
    __atomic_store_n(&lock, 0, __ATOMIC_RELEASE);
    ilock_unguard(mask);
}
