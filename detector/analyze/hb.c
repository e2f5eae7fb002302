/* Happens-before: what releases leave for later acquires. Called by the engine for locks, threads, barriers and
 * semaphores, and by sensors for everything else (hb_*, access.h). Takes no internal lock; an entry's guard is held for a
 * few loads and stores. All does nothing while accesses are not watched.
 *
 * A lock's own clock lies in its record and is protected by the lock itself. Everything else has an entry here, found by
 * its key; readers of a read-write lock, too, as several of them release at a time. */
#include <errno.h>
#include <sys/mman.h>

#include "analyze/atomicity.h"
#include "analyze/weak.h"
#include "base/hash.h"
#include "base/reserve.h"

#define BUCKETS (1u << 20)
#define ENTRIES (1u << 26)
#define SPINS 100
#define LINE_SHIFT 6
#define LINES (1u << 20)
#define PAGE_SHIFT 12
#define PAGES (1u << 16)
#define MANY_PAGES 4096u
/* Beside the spaces of enum hb_space. */
#define KEY_READERS (8ULL << 60)
#define KEY_BARRIER (9ULL << 60)
#define KEY_THREAD (10ULL << 60)
#define KEY_SEMAPHORE (11ULL << 60)

struct hb_entry {
    u64 key;
    struct sync_clock clock, weak; /* in both orders (weak.h) */
    u32 next;
    u32 reserved;
};

struct hb_bucket {
    u32 guard;
    u32 first;
};

u32 hb_limit = ENTRIES;
static struct hb_bucket *buckets;
static struct hb_entry *entries;
static u32 used = 1;
/* How many entries there are of addresses in a line, and in a page, of memory, by hash: what ends with the memory. */
static u32 *lines, *pages;
/* What is left when there are no more entries: nothing less than was, so no race is invented. */
static struct {
    struct hb_bucket bucket;
    struct sync_clock clock;
    bool used;
} spill;
static u64 free_list; /* number, and above it a count against ABA; linked through `next` */

int hb_start(void)
{
    if (!buckets)
        buckets = reserve_map(BUCKETS * sizeof *buckets);
    if (!entries)
        entries = reserve_map((u64)ENTRIES * sizeof *entries);
    if (!lines)
        lines = reserve_map(LINES * sizeof *lines);
    if (!pages)
        pages = reserve_map(PAGES * sizeof *pages);
    return buckets && entries && lines && pages ? 0 : -ENOMEM;
}

/* What was left here was for threads of the parent, whose accesses the child's shadow does not have. The counted parts
 * are the parent's to give back. */
void hb_forked(void)
{
    if (!buckets || !entries)
        return;
    sys_call3(SYS_madvise, buckets, BUCKETS * sizeof *buckets, MADV_DONTNEED);
    sys_call3(SYS_madvise, entries, (u64)used * sizeof *entries, MADV_DONTNEED);
    sys_call3(SYS_madvise, lines, LINES * sizeof *lines, MADV_DONTNEED);
    sys_call3(SYS_madvise, pages, PAGES * sizeof *pages, MADV_DONTNEED);
    __builtin_memset(&spill, 0, sizeof spill);
    used = 1;
    free_list = 0;
}

static void bucket_guard(struct hb_bucket *b)
{
    for (u32 i = 0; __atomic_exchange_n(&b->guard, 1, __ATOMIC_ACQUIRE); i++) {
        if (i < SPINS)
            __builtin_ia32_pause();
        else
            sys_call3(SYS_sched_yield, 0, 0, 0);
    }
}

static struct hb_bucket *bucket_enter(u64 key)
{
    struct hb_bucket *b = &buckets[hash_mix64(key) & (BUCKETS - 1)];
    bucket_guard(b);
    return b;
}

static void bucket_leave(struct hb_bucket *b)
{
    __atomic_store_n(&b->guard, 0, __ATOMIC_RELEASE);
}

static struct hb_entry *entry_find(const struct hb_bucket *b, u64 key)
{
    for (u32 i = b->first; i; i = entries[i].next)
        if (entries[i].key == key)
            return &entries[i];
    return NULL;
}

static u32 entry_take(void)
{
    u64 head = __atomic_load_n(&free_list, __ATOMIC_ACQUIRE);
    while ((u32)head) {
        u64 next = ((head >> 32) + 1) << 32 | __atomic_load_n(&entries[(u32)head].next, __ATOMIC_RELAXED);
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
        __atomic_store_n(&entries[i].next, (u32)head, __ATOMIC_RELAXED);
        next = ((head >> 32) + 1) << 32 | i;
    } while (!__atomic_compare_exchange_n(&free_list, &head, next, true, __ATOMIC_RELEASE, __ATOMIC_RELAXED));
}

static u32 *line_of(u64 addr)
{
    return &lines[hash_mix64(addr >> LINE_SHIFT) & (LINES - 1)];
}
static u32 *page_of(u64 addr)
{
    return &pages[hash_mix64(addr >> PAGE_SHIFT) & (PAGES - 1)];
}

static void entry_count(u64 key, u32 change)
{
    if (key >> 60 != HB_ADDRESS)
        return;
    __atomic_fetch_add(line_of(key), change, __ATOMIC_RELAXED);
    __atomic_fetch_add(page_of(key), change, __ATOMIC_RELAXED);
}

static struct hb_entry *entry_make(struct hb_bucket *b, u64 key)
{
    struct hb_entry *e = entry_find(b, key);
    u32 i = e ? 0 : entry_take();
    if (!i)
        return e;
    entry_count(key, 1);
    entries[i] = (struct hb_entry){.key = key, .next = b->first};
    b->first = i;
    return &entries[i];
}

/* The state of a thread whose accesses are watched, ready for its clock to change; else NULL. */
static struct accesses *watched(struct thread *t)
{
    struct accesses *a = access_on ? accesses_of(t) : NULL;
    if (a)
        accesses_flush(t, a);
    return a;
}

/* The same; but what sensors tell may be ignored now (access_ignore). The engine's own keys never are. */
static struct accesses *listening(struct thread *t, u64 key)
{
    struct accesses *a = watched(t);
    return a && snarl_unlikely(a->ignored_order) && key < KEY_READERS ? NULL : a;
}

/* ---- in both orders ---- */

static void tick(struct accesses *a)
{
    clock_tick(&a->clock);
    if (a->weak)
        clock_tick(&a->weak->clock);
    accesses_new_epoch(a, true);
}

static void join_left(struct accesses *a, struct hb_entry *e)
{
    clock_release_join(&a->clock, &e->clock);
    if (a->weak)
        clock_release_join(weak_clock(a), &e->weak);
}

static void replace_left(struct accesses *a, struct sync_clock *s, struct sync_clock *weak)
{
    clock_release(&a->clock, s);
    if (a->weak)
        weak_leave(a, weak);
}

static bool take_left(struct accesses *a, const struct hb_entry *e)
{
    if (a->weak)
        weak_learn(a, &e->weak);
    if (!clock_acquire(&a->clock, &e->clock))
        return false;
    accesses_learned(a);
    return true;
}

/* ---- by key ---- */

static SNARL_COLD void leave_spilled(struct accesses *a)
{
    run_lost(LOSS_releases_joined);
    bucket_guard(&spill.bucket);
    clock_release_join(&a->clock, &spill.clock);
    __atomic_store_n(&spill.used, true, __ATOMIC_SEQ_CST);
    bucket_leave(&spill.bucket);
}

static SNARL_COLD void acquire_spilled(struct accesses *a)
{
    bucket_guard(&spill.bucket);
    if (clock_acquire(&a->clock, &spill.clock))
        accesses_learned(a);
    if (a->weak)
        weak_learn_strong(a, &spill.clock);
    bucket_leave(&spill.bucket);
}

static void leave(struct accesses *a, u64 key, bool replace)
{
    struct hb_bucket *b = bucket_enter(key);
    struct hb_entry *e = entry_make(b, key);
    if (e && replace)
        replace_left(a, &e->clock, &e->weak);
    else if (e)
        join_left(a, e);
    bucket_leave(b);
    if (snarl_unlikely(!e))
        leave_spilled(a);
}

static void release(struct accesses *a, u64 key, bool replace)
{
    leave(a, key, replace);
    tick(a);
}

void hb_release(struct thread *t, u64 key)
{
    struct accesses *a = listening(t, key);
    if (a)
        release(a, key, false);
}

void hb_release_store(struct thread *t, u64 key)
{
    struct accesses *a = listening(t, key);
    if (a)
        release(a, key, true);
}

void hb_acquire(struct thread *t, u64 key)
{
    struct accesses *a = listening(t, key);
    if (a && snarl_unlikely(__atomic_load_n(&spill.used, __ATOMIC_RELAXED)))
        acquire_spilled(a);
    if (!a || !__atomic_load_n(&buckets[hash_mix64(key) & (BUCKETS - 1)].first, __ATOMIC_ACQUIRE))
        return;
    struct hb_bucket *b = bucket_enter(key);
    const struct hb_entry *e = entry_find(b, key);
    if (e && take_left(a, e) && (key >> 60 == HB_PIPE || key >> 60 == HB_FILE))
        atomicity_new_task(t); /* input */
    bucket_leave(b);
}

static void forget(struct accesses *a, u64 key)
{
    if (!__atomic_load_n(&buckets[hash_mix64(key) & (BUCKETS - 1)].first, __ATOMIC_ACQUIRE))
        return;
    struct hb_bucket *b = bucket_enter(key);
    for (u32 *at = &b->first; *at; at = &entries[*at].next) {
        if (entries[*at].key != key)
            continue;
        u32 i = *at;
        *at = entries[i].next;
        sync_clock_clear(&a->clock, &entries[i].clock);
        sync_clock_clear(&a->clock, &entries[i].weak);
        entry_give(i);
        entry_count(key, ~0u);
        break;
    }
    bucket_leave(b);
}

void hb_forget(struct thread *t, u64 key)
{
    struct accesses *a = watched(t);
    if (a)
        forget(a, key);
}

/* ---- the end of memory ---- */

static void page_ends(struct accesses *a, u64 lo, u64 hi)
{
    for (u64 at = lo; at < hi; at++) {
        if (__atomic_load_n(line_of(at), __ATOMIC_RELAXED))
            forget(a, hb_key(HB_ADDRESS, at));
        else
            at |= (1u << LINE_SHIFT) - 1;
    }
}

/* Of so much memory that it is quicker to look at what there is. */
static void much_ends(struct accesses *a, u64 lo, u64 hi)
{
    for (u32 i = 1, n = __atomic_load_n(&used, __ATOMIC_RELAXED); i < n; i++) {
        u64 key = __atomic_load_n(&entries[i].key, __ATOMIC_RELAXED); /* not guarded: forget looks again */
        if (key >= lo && key < hi)
            forget(a, key);
    }
}

void hb_memory_gone(struct accesses *a, u64 addr, u64 size)
{
    u64 end = addr + size;
    if (((end - 1) >> PAGE_SHIFT) - (addr >> PAGE_SHIFT) >= MANY_PAGES) {
        much_ends(a, addr, end);
        return;
    }
    for (u64 at = addr, next; at < end; at = next) {
        next = ((at >> PAGE_SHIFT) + 1) << PAGE_SHIFT;
        if (snarl_unlikely(__atomic_load_n(page_of(at), __ATOMIC_RELAXED)))
            page_ends(a, at, next < end ? next : end);
    }
}

/* ---- fences ---- */

void hb_fence_release(struct thread *t)
{
    struct accesses *a = listening(t, 0);
    if (!a)
        return;
    replace_left(a, &a->fence, a->weak ? &a->weak->fence : NULL);
    tick(a);
}

/* What the fence has seen; what another thread left there before is kept, by leaving somewhat more. */
void hb_relaxed_write(struct thread *t, u64 key)
{
    struct accesses *a = listening(t, key);
    if (!a || !a->fence.time)
        return;
    struct hb_bucket *b = bucket_enter(key);
    struct hb_entry *e = entry_make(b, key);
    bool fresh = e && !e->clock.time;
    if (fresh)
        sync_clock_copy(&a->clock, &e->clock, &a->fence);
    if (fresh && a->weak)
        sync_clock_copy(&a->clock, &e->weak, &a->weak->fence);
    bucket_leave(b);
    if (!fresh)
        release(a, key, false);
}

void hb_relaxed_read(struct thread *t, u64 key)
{
    struct accesses *a = listening(t, key);
    if (!a || !__atomic_load_n(&buckets[hash_mix64(key) & (BUCKETS - 1)].first, __ATOMIC_ACQUIRE))
        return;
    for (u32 i = 0; i < a->nread && i < RELAXED_READS; i++)
        if (a->read[i] == key)
            return;
    a->read[a->nread++ % RELAXED_READS] = key;
}

/* What was there when those reads were made, or more. */
void hb_fence_acquire(struct thread *t)
{
    struct accesses *a = listening(t, 0);
    if (!a)
        return;
    for (u32 i = 0; i < a->nread && i < RELAXED_READS; i++)
        hb_acquire(t, a->read[i]);
    a->nread = 0;
}

/* ---- locks, threads, barriers ---- */

void hb_lock_acquired_slow(struct thread *t, struct lock_rec *l, enum lock_mode mode)
{
    struct accesses *a = watched(t);
    if (!a)
        return;
    atomicity_acquired(t, a, l, mode);
    if (clock_acquire(&a->clock, &l->clock))
        accesses_learned(a);
    if (mode == MODE_EXCLUSIVE && object_has_readers(&l->head))
        hb_acquire(t, KEY_READERS | arena_ref(l));
    if (a->weak)
        weak_acquired(a, l, mode);
    accesses_new_epoch(a, false);
}

void hb_lock_release_slow(struct thread *t, struct lock_rec *l, enum lock_mode mode)
{
    struct accesses *a = watched(t);
    if (!a)
        return;
    atomicity_release(t, a);
    bool to_all = a->weak && weak_section_ends(t, a, l);
    if (mode == MODE_SHARED) {
        release(a, KEY_READERS | arena_ref(l), false);
        return;
    }
    clock_release(&a->clock, &l->clock);
    if (a->weak)
        weak_released(a, l, to_all);
    tick(a);
}

/* Somebody has woken it, from whom it may learn what to do: as if the lock were for that. */
void hb_condition_left_slow(struct thread *t, const struct lock_rec *l)
{
    struct accesses *a = watched(t);
    if (a && a->weak)
        weak_learn_strong(a, &l->clock);
}

void hb_lock_gone(struct thread *t, struct lock_rec *l)
{
    struct accesses *a = watched(t);
    if (!a)
        return;
    sync_clock_clear(&a->clock, &l->clock);
    weak_lock_gone(a, l);
    if (object_has_readers(&l->head))
        hb_forget(t, KEY_READERS | arena_ref(l));
}

void hb_barrier_arrive(struct thread *t, const struct sync_rec *b)
{
    struct accesses *a = watched(t);
    if (!a)
        return;
    /* Two entries in turn: nobody can arrive for the next round but one before all have left this one. */
    a->barrier = KEY_BARRIER | (u64)arena_ref(b) << 1 | (b->round & 1);
    release(a, a->barrier, false);
}

void hb_barrier_leave(struct thread *t)
{
    struct accesses *a = watched(t);
    if (a && a->barrier)
        hb_acquire(t, a->barrier);
}

void hb_thread_created(struct thread *creator, struct thread *child)
{
    struct accesses *a = watched(creator);
    if (!a)
        return;
    struct accesses *made = accesses_start(child, a);
    if (made && made->weak && a->weak)
        weak_created(a, made);
    access_now = ACCESS_NO_EPOCH; /* from the second thread on */
    tick(a);
}

void hb_thread_end(struct thread *t)
{
    struct accesses *a = t->accesses;
    access_now = 0;
    if (!access_on || !a || !a->number)
        return;
    accesses_flush(t, a);
    if (!t->rec->detached)
        leave(a, KEY_THREAD | t->rec->number, true); /* no tick: who joins it knows its end */
    accesses_end(a);
}

void hb_forked_parent(struct thread *t)
{
    struct accesses *a = watched(t);
    if (!a)
        return;
    tick(a);
}

/* The lane may serve another process; the others' stay theirs, they may still run. */
void hb_process_end(struct thread *t)
{
    struct accesses *a = t->accesses;
    access_now = 0;
    if (!access_on || !a || !a->number)
        return;
    accesses_end(a);
    a->over = true;
}

void hb_thread_not_started(struct thread *child)
{
    if (child->accesses && child->accesses->number)
        accesses_end(child->accesses);
}

void hb_joined(struct thread *t, const struct thread_rec *ended)
{
    hb_acquire(t, KEY_THREAD | ended->number);
    hb_forget(t, KEY_THREAD | ended->number);
}

void hb_semaphore_post(struct thread *t, const struct lock_rec *s)
{
    hb_release(t, KEY_SEMAPHORE | arena_ref(s));
}

void hb_semaphore_taken(struct thread *t, const struct lock_rec *s)
{
    hb_acquire(t, KEY_SEMAPHORE | arena_ref(s));
}
