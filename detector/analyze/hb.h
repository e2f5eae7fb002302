/* Happens-before edges of what the engine itself knows: locks, threads, barriers, semaphores (hb.c). All do nothing while
 * accesses are not watched. Nothing outside detector/analyze includes this. */
#ifndef SNARL_ANALYZE_HB_H
#define SNARL_ANALYZE_HB_H

#include "analyze/access.h"
#include "analyze/finding.h"
#include "model/object.h"
#include "model/thread.h"

void accesses_forked(struct thread *t);
int hb_start(void);
void hb_forked(void);
extern u32 hb_limit __attribute__((visibility("hidden"))); /* keys at one time; tests lower it */
struct accesses;
/* All keys that are addresses in there are forgotten. hb_pages: how many keys there are of addresses in a page of memory,
 * by hash. */
#define HB_PAGE_SHIFT 12
#define HB_PAGE_BITS 16
extern u32 *hb_pages __attribute__((visibility("hidden")));
static inline u32 *hb_page(u64 addr)
{
    return &hb_pages[(addr >> HB_PAGE_SHIFT) * 0x9e3779b97f4a7c15ULL >> (64 - HB_PAGE_BITS)];
}
void hb_memory_gone_slow(struct accesses *a, u64 addr, u64 size);
static inline void hb_memory_gone(struct accesses *a, u64 addr, u64 size)
{
    if (snarl_unlikely((addr ^ (addr + size - 1)) >> HB_PAGE_SHIFT || __atomic_load_n(hb_page(addr), __ATOMIC_RELAXED)))
        hb_memory_gone_slow(a, addr, size);
}

void hb_lock_acquired_slow(struct thread *t, struct lock_rec *l, enum lock_mode mode);
void hb_lock_release_slow(struct thread *t, struct lock_rec *l, enum lock_mode mode);
/* Around the real calls: after the acquire, before the release. */
static inline void hb_lock_acquired(struct thread *t, struct lock_rec *l, enum lock_mode mode)
{
    if (access_on)
        hb_lock_acquired_slow(t, l, mode);
}
static inline void hb_lock_release(struct thread *t, struct lock_rec *l, enum lock_mode mode)
{
    if (access_on)
        hb_lock_release_slow(t, l, mode);
}
/* After the acquire by which the thread returns from a condition wait. */
void hb_condition_left_slow(struct thread *t, const struct lock_rec *l);
static inline void hb_condition_left(struct thread *t, const struct lock_rec *l)
{
    if (access_on)
        hb_condition_left_slow(t, l);
}
void hb_lock_gone(struct thread *t, struct lock_rec *l);
/* Has t not known all that was done before the lock was let go? It does afterwards. */
bool hb_lock_unknown(struct thread *t, struct lock_rec *l);

/* ---- locks as data (lock_life.c) ---- */
void lock_begins(struct thread *t, struct lock_rec *l, const u64 *fp);
void lock_used_slow(struct thread *t, struct lock_rec *l, const u64 *fp);
/* Before its clock is told of the acquire. */
static inline void lock_used(struct thread *t, struct lock_rec *l, const u64 *fp)
{
    if (snarl_unlikely(l->begun_time))
        lock_used_slow(t, l, fp);
}
static inline void lock_left(const struct thread *t, struct lock_rec *l, const struct held_entry *h)
{
    if (!access_on)
        return;
    __atomic_store_n(&l->user, t->ref, __ATOMIC_RELAXED); /* of readers any */
    __atomic_store_n(&l->user_number, t->rec->number, __ATOMIC_RELAXED);
    __atomic_store_n(&l->user_stack, h->stack, __ATOMIC_RELAXED);
    __atomic_store_n(&l->user_pc, h->site_pc, __ATOMIC_RELAXED);
}
/* how: destroyed, initialised again, freed. */
void lock_ends(struct thread *t, struct lock_rec *l, enum event_action how, const u64 *fp);
void sync_access_slow(struct thread *t, u64 addr, u32 kind, const u64 *fp);
static inline void sync_access(struct thread *t, u64 addr, u32 kind, const u64 *fp)
{
    if (access_on)
        sync_access_slow(t, addr, kind, fp);
}

void hb_barrier_arrive(struct thread *t, const struct sync_rec *b); /* before the round may change */
void hb_barrier_leave(struct thread *t);
void hb_thread_created(struct thread *creator, struct thread *child);
void hb_thread_not_started(struct thread *child);
void hb_thread_end(struct thread *t);
void hb_forked_parent(struct thread *t); /* what it does from here on is not before the child's beginning */
void hb_child_ended(struct thread *t, struct process_rec *p); /* t has waited for it */
void hb_process_end(struct thread *t);                        /* t: the thread that ends the process */
void hb_joined(struct thread *t, const struct thread_rec *ended);
void hb_semaphore_post(struct thread *t, const struct lock_rec *s);
void hb_semaphore_taken(struct thread *t, const struct lock_rec *s);

#endif
