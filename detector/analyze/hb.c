/* Happens-before: what releases leave for later acquires, found by a key. Called by sensors (hb_*, access.h), and for
 * locks, threads, barriers and semaphores by hb_locks.c. Takes no internal lock; an entry's guard is held for a few loads
 * and stores. All does nothing while accesses are not watched. */
#include <errno.h>
#include <sys/mman.h>

#include "analyze/atomicity.h"
#include "analyze/hb_table.h"
#include "base/hash.h"
#include "base/reserve.h"

#define ENTRIES (1u << 26)
#define LINE_SHIFT 6
#define LINES (1u << 20)
#define PAGES (1u << HB_PAGE_BITS)
#define MANY_PAGES 4096u

u32 hb_limit = ENTRIES;
struct hb_bucket *hb_buckets;
struct hb_entry *hb_entries;
static u32 used = 1;
/* How many hb_entries there are of addresses in a line, and in a page, of memory, by hash: what ends with the memory. */
static u32 *lines;
u32 *hb_pages;
/* What is left when there are no more hb_entries: nothing less than was, so no race is invented. */
static struct {
    struct hb_bucket bucket;
    struct sync_clock clock;
} spill;
bool hb_spilled;
static u64 free_list; /* number, and above it a count against ABA; linked through `next` */

int hb_start(void)
{
    if (!hb_buckets)
        hb_buckets = reserve_map(HB_BUCKETS * sizeof *hb_buckets);
    if (!hb_entries)
        hb_entries = reserve_map((u64)ENTRIES * sizeof *hb_entries);
    if (!lines)
        lines = reserve_map(LINES * sizeof *lines);
    if (!hb_pages)
        hb_pages = reserve_map(PAGES * sizeof *hb_pages);
    return hb_buckets && hb_entries && lines && hb_pages ? 0 : -ENOMEM;
}

/* What was left here was for threads of the parent, whose accesses the child's shadow does not have. The counted parts
 * are the parent's to give back. */
void hb_forked(void)
{
    if (!hb_buckets || !hb_entries)
        return;
    sys_call3(SYS_madvise, hb_buckets, HB_BUCKETS * sizeof *hb_buckets, MADV_DONTNEED);
    sys_call3(SYS_madvise, hb_entries, (u64)used * sizeof *hb_entries, MADV_DONTNEED);
    sys_call3(SYS_madvise, lines, LINES * sizeof *lines, MADV_DONTNEED);
    sys_call3(SYS_madvise, hb_pages, PAGES * sizeof *hb_pages, MADV_DONTNEED);
    __builtin_memset(&spill, 0, sizeof spill);
    hb_spilled = false;
    used = 1;
    free_list = 0;
}

static u32 entry_take(void)
{
    u64 head = __atomic_load_n(&free_list, __ATOMIC_ACQUIRE);
    while ((u32)head) {
        u64 next = ((head >> 32) + 1) << 32 | __atomic_load_n(&hb_entries[(u32)head].next, __ATOMIC_RELAXED);
        if (__atomic_compare_exchange_n(&free_list, &head, next, true, __ATOMIC_ACQUIRE, __ATOMIC_ACQUIRE))
            return (u32)head;
    }
    u32 i = __atomic_load_n(&used, __ATOMIC_RELAXED);
    while (i < hb_limit && !__atomic_compare_exchange_n(&used, &i, i + 1, true, __ATOMIC_RELAXED, __ATOMIC_RELAXED))
        ;
    return i < hb_limit ? i : 0;
}

static void entry_give(u32 i)
{
    u64 head = __atomic_load_n(&free_list, __ATOMIC_RELAXED), next;
    do {
        __atomic_store_n(&hb_entries[i].next, (u32)head, __ATOMIC_RELAXED);
        next = ((head >> 32) + 1) << 32 | i;
    } while (!__atomic_compare_exchange_n(&free_list, &head, next, true, __ATOMIC_RELEASE, __ATOMIC_RELAXED));
}

static u32 *line_of(u64 addr)
{
    return &lines[hash_mix64(addr >> LINE_SHIFT) & (LINES - 1)];
}

static void entry_count(u64 key, u32 change)
{
    if (key >> 60 != HB_ADDRESS)
        return;
    __atomic_fetch_add(line_of(key), change, __ATOMIC_RELAXED);
    __atomic_fetch_add(hb_page(key), change, __ATOMIC_RELAXED);
}

struct hb_entry *hb_entry_make(struct hb_bucket *b, u64 key)
{
    struct hb_entry *e = hb_entry_find(b, key);
    u32 i = e ? 0 : entry_take();
    if (!i)
        return e;
    entry_count(key, 1);
    hb_entries[i] = (struct hb_entry){.key = key, .next = b->first};
    b->first = i;
    return &hb_entries[i];
}

struct accesses *hb_listening(struct thread *t, u64 key)
{
    struct accesses *a = hb_watched(t);
    return a && snarl_unlikely(a->ignored_order) && (key & ~HB_WIDE) < HB_READERS ? NULL : a;
}

/* ---- by key ---- */

SNARL_COLD void hb_leave_spilled(struct accesses *a)
{
    run_lost(LOSS_releases_joined);
    hb_bucket_take(&spill.bucket);
    clock_release_join(&a->clock, &spill.clock);
    __atomic_store_n(&hb_spilled, true, __ATOMIC_SEQ_CST);
    hb_bucket_leave(&spill.bucket);
}

SNARL_COLD void hb_acquire_spilled(struct accesses *a)
{
    hb_bucket_take(&spill.bucket);
    if (clock_acquire(&a->clock, &spill.clock))
        accesses_learned(a);
    if (a->weak)
        weak_learn_strong(a, &spill.clock);
    hb_bucket_leave(&spill.bucket);
}

void hb_leave(struct accesses *a, u64 key, bool replace)
{
    key = hb_widen(key);
    if (hb_is_wide(key)) {
        wide_leave(a, key, replace);
        return;
    }
    struct hb_bucket *b = hb_bucket_enter(key);
    struct hb_entry *e = hb_entry_make(b, key);
    if (e && replace)
        hb_replace_left(a, &e->clock, &e->weak);
    else if (e)
        hb_join_left(a, e);
    hb_bucket_leave(b);
    if (snarl_unlikely(!e))
        hb_leave_spilled(a);
}

void hb_release(struct thread *t, u64 key)
{
    struct accesses *a = hb_listening(t, key);
    if (a)
        hb_leave_and_tick(a, key, false);
}

void hb_release_store(struct thread *t, u64 key)
{
    struct accesses *a = hb_listening(t, key);
    if (a)
        hb_leave_and_tick(a, key, true);
}

bool hb_take(struct accesses *a, u64 key)
{
    key = hb_widen(key);
    if (hb_is_wide(key))
        return wide_take(a, key);
    if (hb_has_nothing(key))
        return false;
    struct hb_bucket *b = hb_bucket_enter(key);
    const struct hb_entry *e = hb_entry_find(b, key);
    bool learned = e && hb_take_left(a, e);
    hb_bucket_leave(b);
    return learned;
}

void hb_acquire(struct thread *t, u64 key)
{
    struct accesses *a = hb_listening(t, key);
    if (!a)
        return;
    if (snarl_unlikely(__atomic_load_n(&hb_spilled, __ATOMIC_RELAXED)))
        hb_acquire_spilled(a);
    if (hb_take(a, key) && (key >> 60 == HB_PIPE || key >> 60 == HB_DESCRIPTOR))
        atomicity_new_task(t); /* input */
}

/* All keys in [lo, hi), which share a bucket. */
static void forget(struct accesses *a, u64 lo, u64 hi)
{
    if (hb_has_nothing(lo))
        return;
    struct hb_bucket *b = hb_bucket_enter(lo);
    for (u32 *at = &b->first; *at;) {
        u32 i = *at;
        u64 key = hb_entries[i].key;
        if (key < lo || key >= hi) {
            at = &hb_entries[i].next;
            continue;
        }
        *at = hb_entries[i].next;
        sync_clock_clear(&a->clock, &hb_entries[i].clock);
        sync_clock_clear(&a->clock, &hb_entries[i].weak);
        entry_give(i);
        entry_count(key, ~0u);
    }
    hb_bucket_leave(b);
}

void hb_forget(struct thread *t, u64 key)
{
    struct accesses *a = hb_watched(t);
    key = hb_widen(key);
    if (a && hb_is_wide(key))
        wide_forget(a, key);
    else if (a)
        forget(a, key, key + 1);
}

/* ---- the end of memory ---- */

static void page_ends(struct accesses *a, u64 lo, u64 hi)
{
    for (u64 at = lo, next; at < hi; at = next) {
        u32 shift = __atomic_load_n(line_of(at), __ATOMIC_RELAXED) ? HB_NEAR_SHIFT : LINE_SHIFT;
        next = ((at >> shift) + 1) << shift;
        if (shift == HB_NEAR_SHIFT)
            forget(a, hb_key(HB_ADDRESS, at), hb_key(HB_ADDRESS, next < hi ? next : hi));
    }
}

/* Of so much memory that it is quicker to look at what there is. */
static void much_ends(struct accesses *a, u64 lo, u64 hi)
{
    for (u32 i = 1, n = __atomic_load_n(&used, __ATOMIC_RELAXED); i < n; i++) {
        u64 key = __atomic_load_n(&hb_entries[i].key, __ATOMIC_RELAXED); /* not guarded: forget looks again */
        if (key >= lo && key < hi)
            forget(a, key, key + 1);
    }
}

void hb_memory_gone_slow(struct accesses *a, u64 addr, u64 size)
{
    u64 end = addr + size;
    if (((end - 1) >> HB_PAGE_SHIFT) - (addr >> HB_PAGE_SHIFT) >= MANY_PAGES) {
        much_ends(a, addr, end);
        return;
    }
    for (u64 at = addr, next; at < end; at = next) {
        next = ((at >> HB_PAGE_SHIFT) + 1) << HB_PAGE_SHIFT;
        if (snarl_unlikely(__atomic_load_n(hb_page(at), __ATOMIC_RELAXED)))
            page_ends(a, at, next < end ? next : end);
    }
}

/* ---- fences ---- */

void hb_fence_release(struct thread *t)
{
    struct accesses *a = hb_listening(t, 0);
    if (!a)
        return;
    hb_replace_left(a, &a->fence, a->weak ? &a->weak->fence : NULL);
    a->frames.fenced = true;
    hb_tick(a);
}

/* What the fence has seen; what another thread left there before is kept, by leaving somewhat more. */
void hb_relaxed_write(struct thread *t, u64 key)
{
    struct accesses *a = hb_listening(t, key);
    if (!a || !a->fence.time)
        return;
    if (hb_is_wide(hb_widen(key))) {
        hb_leave_and_tick(a, key, false);
        return;
    }
    struct hb_bucket *b = hb_bucket_enter(key);
    struct hb_entry *e = hb_entry_make(b, key);
    bool fresh = e && !e->clock.time;
    if (fresh)
        hb_copy_fence(a, e);
    hb_bucket_leave(b);
    if (!fresh)
        hb_leave_and_tick(a, key, false);
}

void hb_note_read(struct accesses *a, u64 key)
{
    u32 i = (u32)(key * 0x9e3779b97f4a7c15ULL >> 58) % RELAXED_READS;
    if (a->reads[i].key == key && a->reads[i].n < a->nread && a->read[a->reads[i].n % RELAXED_READS] == key)
        return;
    a->reads[i].key = key;
    a->reads[i].n = a->nread;
    a->read[a->nread++ % RELAXED_READS] = key;
}

void hb_relaxed_read(struct thread *t, u64 key)
{
    struct accesses *a = hb_listening(t, key);
    key = hb_widen(key);
    if (a && (hb_is_wide(key) || !hb_has_nothing(key)))
        hb_note_read(a, key);
}

/* What was there when those reads were made, or more. */
void hb_fence_acquire(struct thread *t)
{
    struct accesses *a = hb_listening(t, 0);
    if (!a)
        return;
    for (u32 i = 0; i < a->nread && i < RELAXED_READS; i++)
        hb_acquire(t, a->read[i]);
    a->nread = 0;
}
