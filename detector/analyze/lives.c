/* What the arena knows of each thread's clock (lives.h). Called where clocks begin, learn, tick and end, and when the end of
 * a process has been seen. Takes RANK_THREADS for what ended threads leave to their process; allocates snapshots.
 *
 * A thread writes its own record only. Of what it knows of others it leaves a copy whenever it has learned something, in
 * one of two places by turns. */
#include "analyze/lives.h"

#include "analyze/weak.h"

bool lives_on;

static void told(struct accesses *a)
{
    struct thread_rec *r = a->owner->rec;
    u32 next = (r->clock_which & 1) ^ 1;
    clock_release(&a->clock, &r->clock_told[next]);
    __atomic_store_n(&r->clock_which, next, __ATOMIC_RELEASE);
}

void lives_told(struct accesses *a)
{
    if (a->owner->rec->clock_lane)
        told(a);
}

void lives_begin(struct accesses *a)
{
    struct thread_rec *r = a->owner->rec;
    r->clock_now = clock_now(&a->clock);
    __atomic_store_n(&r->clock_lane, a->clock.lane + 1, __ATOMIC_RELEASE);
    if (lives_on)
        told(a);
}

void lives_end(struct accesses *a)
{
    struct run_state *rs = run();
    struct thread_rec *r = a->owner->rec;
    if (!r->clock_lane)
        return;
    if (lives_on) {
        u64 mask = ilock_acquire(&rs->threads_lock);
        clock_release_join(&a->clock, &process()->ended);
        ilock_release(&rs->threads_lock, mask);
    }
    __atomic_store_n(&r->clock_lane, 0, __ATOMIC_RELEASE);
    sync_clock_clear(&a->clock, &r->clock_told[0]);
    sync_clock_clear(&a->clock, &r->clock_told[1]);
}

/* ---- learning ---- */

static void learn(struct accesses *a, const struct sync_clock *s)
{
    if (clock_acquire_slow(&a->clock, s))
        accesses_learned(a);
    if (a->weak)
        weak_learn_strong(a, s);
}

/* All that r's thread knew and did. As long as it goes on: what it has let others know; what it knew then comes from
 * those who did it. */
static void learn_thread(struct accesses *a, const struct thread_rec *r, bool ended)
{
    u32 lane = __atomic_load_n(&r->clock_lane, __ATOMIC_ACQUIRE);
    if (!lane || lane > CLOCK_LANES || lane - 1 == a->clock.lane)
        return;
    u64 now = __atomic_load_n(&r->clock_now, __ATOMIC_ACQUIRE);
    struct sync_clock s = {0};
    if (ended)
        s = r->clock_told[__atomic_load_n(&r->clock_which, __ATOMIC_ACQUIRE) & 1];
    s.lane = lane - 1;
    s.time = ended ? now : now - 1;
    if (s.time)
        learn(a, &s);
}

static void learn_process(struct accesses *a, struct process_rec *p, bool ended)
{
    struct run_state *rs = run();
    u64 mask = ilock_acquire(&rs->threads_lock);
    if (p->ended.time)
        learn(a, &p->ended);
    for (ref_t x = p->threads; x; x = THREAD_AT(x)->next_in_process)
        learn_thread(a, THREAD_AT(x), ended);
    ilock_release(&rs->threads_lock, mask);
}

/* No thread of it does anything any more. */
static bool has_ended(const struct process_rec *p)
{
    return p->state == PROCESS_EXECED || ilock_process_gone(p->pid);
}

void lives_learn(struct accesses *a, enum lives_who who)
{
    for (ref_t r = __atomic_load_n(&run()->processes, __ATOMIC_ACQUIRE); r; r = PROCESS_AT(r)->next_process) {
        if (r == engine_process_ref)
            continue;
        bool ended = has_ended(PROCESS_AT(r));
        if (ended || who == LIVES_ALL)
            learn_process(a, PROCESS_AT(r), ended);
    }
}

void lives_process_ended(struct accesses *a, struct process_rec *p)
{
    if (p != process())
        learn_process(a, p, true);
}

void lives_thread_ended(struct accesses *a, ref_t thread)
{
    learn_thread(a, THREAD_AT(thread), true);
}

void lives_each(void (*f)(const struct thread_rec *r, void *arg), void *arg)
{
    for (ref_t r = __atomic_load_n(&run()->processes, __ATOMIC_ACQUIRE); r; r = PROCESS_AT(r)->next_process)
        for (ref_t x = PROCESS_AT(r)->threads; x; x = THREAD_AT(x)->next_in_process)
            f(THREAD_AT(x), arg);
}
