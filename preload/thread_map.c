/* pthread_t -> thread record: open addressing with linear probing, grown by doubling. Called by intercept/thread.c and
 * process.c. Takes RANK_PRELOAD; memory comes from sys_map. When that is refused, new threads stay unknown to join,
 * nothing else. */
#include "thread_map.h"

#include "base/hash.h"
#include "base/ilock.h"
#include "base/sys.h"

struct entry {
    u64 id; /* 0: free; no thread has it */
    ref_t thread;
    u32 reserved;
};

static struct ilock lock = ILOCK_INIT(RANK_PRELOAD);
static struct entry *table;
static u64 capacity, used; /* capacity is a power of two */

u64 thread_map_lock(void)
{
    return ilock_acquire(&lock);
}

void thread_map_unlock(u64 mask)
{
    ilock_release(&lock, mask);
}

/* The entry for id, or the free one where it would go. The table is never full. */
static struct entry *find(u64 id)
{
    u64 i = hash_mix64(id) & (capacity - 1);
    while (table[i].id && table[i].id != id)
        i = (i + 1) & (capacity - 1);
    return &table[i];
}

static bool grow(void)
{
    struct entry *old = table;
    u64 old_capacity = capacity, bigger = capacity ? 2 * capacity : 256;
    struct entry *fresh = sys_map(bigger * sizeof *fresh);
    if (!fresh)
        return false;
    table = fresh;
    capacity = bigger;
    for (u64 i = 0; i < old_capacity; i++) {
        if (old[i].id)
            *find(old[i].id) = old[i];
    }
    sys_unmap(old, old_capacity * sizeof *old);
    return true;
}

void thread_map_set_locked(pthread_t id, ref_t thread)
{
    if (2 * used >= capacity && !grow() && used + 1 >= capacity)
        return;
    struct entry *e = find((u64)id);
    used += !e->id;
    e->id = (u64)id;
    e->thread = thread;
}

void thread_map_set(pthread_t id, ref_t thread)
{
    u64 mask = thread_map_lock();
    thread_map_set_locked(id, thread);
    thread_map_unlock(mask);
}

ref_t thread_map_get(pthread_t id)
{
    u64 mask = thread_map_lock();
    ref_t thread = capacity ? find((u64)id)->thread : 0;
    thread_map_unlock(mask);
    return thread;
}

/* Moves later entries of the probe sequence into the gap, so that no search ends too early (Knuth, volume 3, 6.4,
 * algorithm R). */
static void close_gap(u64 gap)
{
    u64 mask = capacity - 1;
    for (u64 i = (gap + 1) & mask; table[i].id; i = (i + 1) & mask) {
        u64 home = hash_mix64(table[i].id) & mask;
        if (((i - home) & mask) >= ((i - gap) & mask)) {
            table[gap] = table[i];
            gap = i;
        }
    }
    table[gap] = (struct entry){0, 0, 0};
}

void thread_map_drop(pthread_t id, ref_t thread)
{
    u64 mask = thread_map_lock();
    struct entry *e = capacity ? find((u64)id) : NULL;
    if (e && e->id && e->thread == thread) {
        close_gap((u64)(e - table));
        used--;
    }
    thread_map_unlock(mask);
}
