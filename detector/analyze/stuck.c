/* Can any thread of this process ever run again? Called when a thread blocks or ends and every other one is blocked
 * already. Takes no lock. A semaphore, condition or barrier can be woken by many; so nothing is said unless every
 * possible waker is itself blocked for good: all threads wait, untimed, for things of this process, no wake-up is on
 * its way, and nothing outside (handler, timer, unseen thread, another process) can send one. */
#include "analyze/internal.h"

#include "base/hash.h"

/* Every thread is the last to block at some time; a wake-up already sent must have shown by then. */
#define SECOND_LOOK_NS 20000000ULL

static bool sem_may_wake(const struct lock_rec *s)
{
    if ((s->head.attrs & (ATTR_SHARED | ATTR_INIT_UNKNOWN_VALUE)) || process()->handlers)
        return true;
    u32 posts = __atomic_load_n(&s->sem_posts, __ATOMIC_SEQ_CST),
        takes = __atomic_load_n(&s->sem_takes, __ATOMIC_SEQ_CST);
    if ((int)(s->sem_initial + posts - takes) > 0)
        return true;
    return engine_hooks.sem_value && engine_hooks.sem_value(s->head.addr) > 0;
}

/* May this wait end without any thread of the process acting? */
static bool may_wake(const struct thread_rec *r)
{
    const struct wait_rec *w = &r->wait;
    if (w->timed || (r->cancelled && w->kind != WAIT_LOCK))
        return true;
    ref_t blockers[4];
    switch (w->kind) {
    case WAIT_LOCK: {
        const struct lock_rec *l = LOCK_AT(w->object);
        if (!l->head.process)
            return true;
        return wait_blockers(r, blockers, ARRAY_LEN(blockers)) == 0;
    }
    case WAIT_JOIN:
        return THREAD_AT(w->object)->state >= THREAD_ENDED;
    case WAIT_SEM:
        return sem_may_wake(LOCK_AT(w->object));
    case WAIT_COND: {
        const struct sync_rec *c = SYNC_AT(w->object);
        if (c->head.attrs & ATTR_SHARED)
            return true;
        /* A signal that was sent, or the mutex not being free to be taken back: the latter is somebody's wait, not a
         * wake-up. */
        return __atomic_load_n(&c->tokens, __ATOMIC_SEQ_CST) > 0;
    }
    case WAIT_BARRIER: {
        const struct sync_rec *b = SYNC_AT(w->object);
        return (b->head.attrs & ATTR_SHARED) || __atomic_load_n(&b->round, __ATOMIC_SEQ_CST) != w->round;
    }
    default:
        return true;
    }
}

struct look {
    u64 sum; /* of all sequence numbers */
    u32 n;
    bool stuck;
};

static struct look look_at_all(void)
{
    struct look k = {0, 0, true};
    for (ref_t x = process()->threads; x; x = THREAD_AT(x)->next_in_process) {
        const struct thread_rec *r = THREAD_AT(x);
        u32 state = __atomic_load_n(&r->state, __ATOMIC_SEQ_CST);
        if (state >= THREAD_ENDED || state == THREAD_FREE)
            continue;
        u32 seq = __atomic_load_n(&r->wait.seq, __ATOMIC_SEQ_CST);
        if (state != THREAD_RUNNING || !(seq & 1) || may_wake(r)) {
            k.stuck = false;
            return k;
        }
        k.sum = hash_combine(k.sum, (u64)x << 32 | seq);
        k.n++;
    }
    k.stuck = k.n > 0;
    return k;
}

/* Who would have to let go for r: lock and join blockers, and the last taker of a semaphore that is used as a lock. */
static ref_t chief_blocker(const struct thread_rec *r)
{
    ref_t out[1];
    if (r->wait.kind == WAIT_SEM) {
        const struct lock_rec *s = LOCK_AT(r->wait.object);
        return s->head.attrs & ATTR_LOCKLIKE ? s->owner : 0;
    }
    if (wait_blockers(r, out, 1) && out[0] != BLOCKER_GONE)
        return out[0];
    return 0;
}

/* Threads on a cycle of chief blockers, if there is one. */
static u32 find_ring(ref_t *ring, u32 max)
{
    for (ref_t x = process()->threads; x; x = THREAD_AT(x)->next_in_process) {
        if (THREAD_AT(x)->state != THREAD_RUNNING)
            continue;
        u32 n = 0;
        ref_t at = x;
        do {
            if (n == max)
                break;
            ring[n++] = at;
            at = chief_blocker(THREAD_AT(at));
        } while (at && at != x && THREAD_AT(at)->state == THREAD_RUNNING);
        if (at == x)
            return n;
    }
    return 0;
}

static void hold_fill(struct finding_event *e, const struct thread_rec *r, ref_t object)
{
    finding_event_fill(e, r, EVENT_HOLD, object, ((struct object_head *)arena_at(object))->kind, 0);
    const struct held_entry *h = arena_at(r->held);
    for (u32 i = 0; i < r->nheld && i < r->held_cap; i++)
        if (h[i].lock == object) {
            e->stack = h[i].stack;
            e->site_pc = h[i].site_pc;
            e->mode = h[i].mode;
        }
}

static ref_t waits_for(const struct thread_rec *r, u32 *kind)
{
    *kind = r->wait.kind == WAIT_JOIN ? (u32)OBJ_THREAD : ((struct object_head *)arena_at(r->wait.object))->kind;
    return r->wait.object;
}

#define MAX_RING 64u

static bool report(const ref_t *threads, u32 n, bool ring)
{
    u64 signature = 0;
    for (u32 i = 0; i < n; i++)
        signature += hash_combine(threads[i], THREAD_AT(threads[i])->wait.seq);
    ref_t fr = finding_begin(signature, n, ring ? 2 * n : n);
    if (!fr)
        return false;
    struct finding_rec *f = arena_at(fr);
    f->kind = ring ? FINDING_DEADLOCK : FINDING_STUCK;
    f->verdict = VERDICT_OBSERVED;
    f->flags = run()->options.on_deadlock == ON_DEADLOCK_ABORT ? FINDING_ENDED_PROGRAM : 0;
    struct finding_event *e = f->events;
    for (u32 i = 0; i < n; i++) {
        const struct thread_rec *r = THREAD_AT(threads[i]);
        u32 kind;
        ref_t object = waits_for(r, &kind);
        if (ring) {
            u32 held_kind;
            ref_t held = waits_for(THREAD_AT(threads[i ? i - 1 : n - 1]), &held_kind);
            if (held_kind == OBJ_THREAD)
                finding_event_fill(e++, r, EVENT_JOIN, held, OBJ_THREAD, 0);
            else
                hold_fill(e++, r, held);
        }
        finding_event_fill(e, r, EVENT_WAIT, object, kind, r->wait.stack);
        e->held = held_snapshot(r, &e->nheld);
        e++;
        if (f->locks)
            ((ref_t *)arena_at(f->locks))[i] = object;
    }
    finding_publish(fr, true);
    return true;
}

bool stuck_check(void)
{
    struct process_rec *p = process();
    if (__atomic_load_n(&p->waiting, __ATOMIC_SEQ_CST) < __atomic_load_n(&p->nthreads_live, __ATOMIC_SEQ_CST) ||
        p->unseen_wakers || !detects(DETECT_DEADLOCK))
        return false;
    struct look first = look_at_all();
    if (!first.stuck || (engine_hooks.unknown_threads && engine_hooks.unknown_threads()))
        return false;
    sys_sleep_ns(SECOND_LOOK_NS); /* nothing is lost: if we are right nobody can run */
    struct look second = look_at_all();
    if (!second.stuck || second.sum != first.sum)
        return false;
    ref_t threads[MAX_RING];
    u32 n = find_ring(threads, MAX_RING);
    bool ring = n != 0;
    if (!ring)
        for (ref_t x = p->threads; x && n < MAX_RING; x = THREAD_AT(x)->next_in_process)
            if (THREAD_AT(x)->state == THREAD_RUNNING)
                threads[n++] = x;
    if (!report(threads, n, ring))
        return false;
    engine_react(threads, n);
    return true;
}
