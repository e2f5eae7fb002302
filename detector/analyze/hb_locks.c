/* Happens-before of what the engine itself knows (hb.h): locks, threads, barriers, semaphores. Called by the engine. Takes
 * no internal lock.
 *
 * A lock's own clock lies in its record and is protected by the lock itself. Everything else goes by key (hb.c); readers
 * of a read-write lock, too, as several of them release at a time. */
#include "analyze/atomicity.h"
#include "analyze/hb_table.h"
#include "analyze/lives.h"

/* ---- locks ---- */

static u64 readers_key(const struct lock_rec *l)
{
    return hb_object_key(HB_READERS, &l->head, arena_ref(l));
}

/* Its last holder was killed with it. The kernel hands on robust ones before it lets go of the process's memory. */
static SNARL_COLD void left_by_dead(struct thread *t, struct accesses *a, const struct lock_rec *l)
{
    ref_t owner = l->owner;
    if (owner && owner != t->ref &&
        ((l->head.attrs & ATTR_ROBUST) || ilock_process_gone(PROCESS_AT(THREAD_AT(owner)->process)->pid)))
        lives_thread_ended(a, owner);
}

void hb_lock_acquired_slow(struct thread *t, struct lock_rec *l, enum lock_mode mode)
{
    struct accesses *a = hb_watched(t);
    if (!a)
        return;
    if (a->weak)
        weak_prefetch(l);
    atomicity_acquired(t, a, l, mode);
    if (snarl_unlikely(!l->head.process))
        left_by_dead(t, a, l);
    if (clock_acquire(&a->clock, &l->clock))
        accesses_learned(a);
    if (mode == MODE_EXCLUSIVE && object_has_readers(&l->head))
        hb_acquire(t, readers_key(l));
    if (a->weak)
        weak_acquired(a, l, mode);
    accesses_new_epoch(a, false);
}

void hb_lock_release_slow(struct thread *t, struct lock_rec *l, enum lock_mode mode)
{
    struct accesses *a = hb_watched(t);
    if (!a)
        return;
    atomicity_release(t, a);
    if (a->weak)
        weak_release(t, a, l, mode);
    if (mode == MODE_SHARED) {
        hb_leave_and_tick(a, readers_key(l), false);
        return;
    }
    clock_release_again(&a->clock, &l->clock);
    hb_tick(a);
}

/* Somebody has woken it, from whom it may learn what to do: as if the lock were for that. */
void hb_condition_left_slow(struct thread *t, const struct lock_rec *l)
{
    struct accesses *a = hb_watched(t);
    if (a && a->weak)
        weak_learn_strong(a, &l->clock);
}

/* An acquire that learns nothing finds everything known. Who ends a lock comes after its users in both orders: else the
 * end itself would be told of. */
bool hb_lock_unknown(struct thread *t, struct lock_rec *l)
{
    struct accesses *a = hb_watched(t);
    bool learned = a && clock_acquire(&a->clock, &l->clock);
    if (learned)
        accesses_learned(a);
    if (a && a->weak)
        weak_learn_strong(a, &l->clock);
    return (a && object_has_readers(&l->head) && hb_take(a, readers_key(l))) || learned;
}

void hb_lock_gone(struct thread *t, struct lock_rec *l)
{
    struct accesses *a = hb_watched(t);
    if (!a)
        return;
    sync_clock_clear(&a->clock, &l->clock);
    weak_lock_gone(a, l);
    if (object_has_readers(&l->head))
        hb_forget(t, readers_key(l));
}

/* ---- barriers ---- */

void hb_barrier_arrive(struct thread *t, const struct sync_rec *b)
{
    struct accesses *a = hb_watched(t);
    if (!a)
        return;
    /* Two hb_entries in turn: nobody can arrive for the next round but one before all have left this one. */
    a->barrier = hb_object_key(HB_BARRIER, &b->head, (u64)arena_ref(b) << 1 | (b->round & 1));
    hb_leave_and_tick(a, a->barrier, false);
}

void hb_barrier_leave(struct thread *t)
{
    struct accesses *a = hb_watched(t);
    if (a && a->barrier)
        hb_acquire(t, a->barrier);
}

/* ---- threads ---- */

void hb_thread_created(struct thread *creator, struct thread *child)
{
    struct accesses *a = hb_watched(creator);
    if (!a)
        return;
    struct accesses *made = accesses_start(child, a);
    if (made && made->weak && a->weak)
        weak_created(a, made);
    access_now = ACCESS_NO_EPOCH; /* from the second thread on */
    hb_tick(a);
}

void hb_thread_end(struct thread *t)
{
    struct accesses *a = t->accesses;
    access_now = 0;
    if (!access_on || !a || !a->number)
        return;
    accesses_flush(t, a);
    if (!t->rec->detached)
        hb_leave(a, HB_THREAD | t->rec->number, true); /* no tick: who joins it knows its end */
    accesses_end(a);
}

void hb_forked_parent(struct thread *t)
{
    struct accesses *a = hb_watched(t);
    if (!a)
        return;
    lives_told(a);
    hb_tick(a);
}

void hb_child_ended(struct thread *t, struct process_rec *p)
{
    struct accesses *a = hb_watched(t);
    if (a)
        lives_process_ended(a, p);
}

void access_others_ended(struct thread *t)
{
    struct accesses *a = lives_on ? hb_watched(t) : NULL;
    if (a)
        lives_learn(a, LIVES_ENDED);
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
    hb_acquire(t, HB_THREAD | ended->number);
    hb_forget(t, HB_THREAD | ended->number);
}

/* ---- semaphores ---- */

void hb_semaphore_post(struct thread *t, const struct lock_rec *s)
{
    hb_release(t, hb_object_key(HB_SEMAPHORE, &s->head, arena_ref(s)));
}

void hb_semaphore_taken(struct thread *t, const struct lock_rec *s)
{
    hb_acquire(t, hb_object_key(HB_SEMAPHORE, &s->head, arena_ref(s)));
}
