/* Happens-before edges of what the engine itself knows: locks, threads, barriers, semaphores (hb.c). All do nothing while
 * accesses are not watched. Nothing outside detector/analyze includes this. */
#ifndef SNARL_ANALYZE_HB_H
#define SNARL_ANALYZE_HB_H

#include "analyze/access.h"
#include "model/object.h"
#include "model/thread.h"

void accesses_forked(struct thread *t);
int hb_start(void);
void hb_forked(void);
extern u32 hb_limit __attribute__((visibility("hidden"))); /* keys at one time; tests lower it */
struct accesses;
/* All keys that are addresses in there are forgotten. */
void hb_memory_gone(struct accesses *a, u64 addr, u64 size);

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

void hb_barrier_arrive(struct thread *t, const struct sync_rec *b); /* before the round may change */
void hb_barrier_leave(struct thread *t);
void hb_thread_created(struct thread *creator, struct thread *child);
void hb_thread_not_started(struct thread *child);
void hb_thread_end(struct thread *t);
void hb_forked_parent(struct thread *t); /* what it does from here on is not before the child's beginning */
void hb_process_end(struct thread *t);   /* t: the thread that ends the process */
void hb_joined(struct thread *t, const struct thread_rec *ended);
void hb_semaphore_post(struct thread *t, const struct lock_rec *s);
void hb_semaphore_taken(struct thread *t, const struct lock_rec *s);

#endif
