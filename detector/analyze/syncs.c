/* What threads wait on without owning: conditions, barriers, semaphores. Called by their interceptors.
 * Takes RANK_GRAPH for barriers' must order. */
#include "analyze/atomicity.h"
#include "analyze/internal.h"

#include <errno.h>

#include "base/hash.h"

#define SYNC_USE (ACCESS_READ | ACCESS_ATOMIC | ACCESS_USE)
#define SYNC_BEGIN (ACCESS_WRITE | ACCESS_BEGIN)
#define SYNC_END (ACCESS_WRITE | ACCESS_END)

/* ---- conditions ---- */

/* The thread that waits for c with this mutex, 0 if it has gone on meanwhile. */
static ref_t waiter_with(const struct sync_rec *c, ref_t mutex)
{
    for (ref_t x = process()->threads; x; x = THREAD_AT(x)->next_in_process) {
        const struct wait_rec *w = &THREAD_AT(x)->wait;
        if ((w->seq & 1) && w->kind == WAIT_COND && w->object == arena_ref(c) && w->mutex == mutex)
            return x;
    }
    return 0;
}

/* Both waiters, each with its mutex. */
static void report_two_mutexes(struct thread *t, const struct sync_rec *c, ref_t first, ref_t second, ref_t stack)
{
    ref_t waiter = waiter_with(c, first);
    ref_t r =
        waiter && detects(DETECT_MISUSE) ? finding_begin(hash_combine(hash_combine(first, second), stack), 2, 2) : 0;
    if (!r)
        return;
    struct finding_rec *f = arena_at(r);
    const struct thread_rec *w = THREAD_AT(waiter);
    f->kind = FINDING_LOCK_MISUSE;
    f->rule = RULE_WAIT_TWO_MUTEXES;
    f->verdict = VERDICT_OBSERVED;
    if (f->locks) {
        ((ref_t *)arena_at(f->locks))[0] = first;
        ((ref_t *)arena_at(f->locks))[1] = second;
    }
    finding_event_fill(&f->events[0], w, EVENT_WAIT, first, LOCK_AT(first)->head.kind, w->wait.stack);
    finding_event_fill(&f->events[1], t->rec, EVENT_WAIT, second, LOCK_AT(second)->head.kind, stack);
    f->events[1].held = held_snapshot(t->rec, &f->events[1].nheld);
    finding_publish(r, false);
}

static void check_wait_mutexes(struct thread *t, struct sync_rec *c, struct lock_rec *m, bool refused, ref_t stack)
{
    ref_t mutex = arena_ref(m), other = __atomic_load_n(&c->mutex, __ATOMIC_RELAXED);
    if (held_find(t, mutex) < 0 && (m->acquisitions || (m->head.attrs & ATTR_INITIALISED) || !m->owner))
        misuse_report(t, RULE_WAIT_WITHOUT_LOCK, VERDICT_OBSERVED, &m->head, refused ? FINDING_UNLOCK_FAILED : 0,
                      m->owner, stack, EVENT_WAIT);
    if (c->waiters && other && other != mutex && LOCK_AT(other)->head.uid)
        report_two_mutexes(t, c, other, mutex, stack);
}

/* A wait for the interpreter's lock, in slices: it ends only when its holder lets go. */
static void wait_for_interpreter(struct thread *t, u64 cond, const u64 *fp)
{
    ref_t l = interpreter.is_lock_wait && interpreter.is_lock_wait(cond) ? interpreter_lock() : 0;
    if (!l)
        return;
    wait_publish(t, WAIT_LOCK, l, 0, MODE_EXCLUSIVE, false, capture(t, fp));
    wait_check(t);
}

u32 engine_cond_wait_begin(struct thread *t, u64 cond, struct lock_rec *m, bool timed, u32 attrs, const u64 *fp)
{
    if (interpreter_hides(cond)) {
        wait_for_interpreter(t, cond, fp);
        if (m->head.attrs & ATTR_INTERPRETER)
            hb_lock_release(t, m, MODE_EXCLUSIVE);
        return 0;
    }
    struct sync_rec *c = m->head.attrs & ATTR_UNTRACKED ? NULL : sync_find(t, cond, OBJ_COND, attrs, fp);
    if (!c)
        return 0;
    ref_t stack = capture(t, fp), mutex = arena_ref(m);
    int i = held_find(t, mutex);
    if (i >= 0 && (t->held[i].how & HOW_PHANTOM))
        return ENGINE_COND_SWALLOW;
    /* These kinds check their owner: the call comes back with an error at once. */
    bool refused = i < 0 && (m->head.attrs & ATTRS_OWNER_CHECKED);
    check_wait_mutexes(t, c, m, refused, stack);
    u32 depth = 0;
    sync_access(t, cond, SYNC_USE, fp);
    __atomic_store_n(&c->mutex, mutex, __ATOMIC_RELAXED);
    __atomic_fetch_add(&c->waiters, 1, __ATOMIC_SEQ_CST);
    /* The wait is published before the mutex is let go, so a signal sent as soon as it is free finds a waiter. */
    wait_publish(t, WAIT_COND, arena_ref(c), mutex, MODE_EXCLUSIVE, timed || refused, stack);
    if (i < 0 && !refused)
        __atomic_store_n(&m->owner, 0, __ATOMIC_SEQ_CST); /* glibc unlocks it all the same, whoever had it */
    atomicity_new_task(t);
    if (i >= 0) {
        depth = t->held[i].depth;
        if (t->held[i].how & HOW_MEASURED)
            measure_released(t, m, &t->held[i], measure_moment(), fp);
        lock_left(t, m, &t->held[i]);
        hb_lock_release(t, m, MODE_EXCLUSIVE);
        __atomic_store_n(&m->owner, 0, __ATOMIC_SEQ_CST);
        held_remove(t, (u32)i);
    }
    never_ends(t);
    return depth ? depth : 1; /* on return it is held, even if it was not before */
}

void engine_cond_wait_end(struct thread *t, u64 cond, struct lock_rec *m, u32 depth, const u64 *fp)
{
    struct object_head *o = objects_get(cond);
    if (o && o->kind == OBJ_COND) {
        struct sync_rec *c = (struct sync_rec *)o;
        u32 waiters = __atomic_load_n(&c->waiters, __ATOMIC_SEQ_CST);
        while (waiters && !__atomic_compare_exchange_n(&c->waiters, &waiters, waiters - 1, false, __ATOMIC_SEQ_CST,
                                                       __ATOMIC_SEQ_CST))
            ;
        /* This return may have been a wake-up sent, a time-out or spurious: take one wake-up off, and never leave more
         * than waiters. */
        u32 tokens = __atomic_load_n(&c->tokens, __ATOMIC_SEQ_CST), less;
        do {
            less = tokens ? tokens - 1 : 0;
        } while (tokens &&
                 !__atomic_compare_exchange_n(&c->tokens, &tokens, less, false, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST));
    }
    wait_withdraw(t);
    if (m->head.attrs & ATTR_INTERPRETER)
        hb_lock_acquired(t, m, MODE_EXCLUSIVE);
    if (!depth || (m->head.attrs & ATTR_UNTRACKED))
        return;
    engine_acquired_slow(t, m, MODE_EXCLUSIVE, HOW_REACQUIRE, fp);
    hb_condition_left(t, m);
    int i = held_find(t, arena_ref(m));
    if (i >= 0)
        t->held[i].depth = depth;
}

void engine_cond_init(struct thread *t, u64 cond, u32 attrs, const u64 *fp)
{
    if (interpreter_hides(cond))
        return;
    struct object_head *o = objects_get(cond);
    if (o)
        objects_kill(o, false, false);
    object_find(t, cond, OBJ_COND, attrs | ATTR_INITIALISED, fp);
    sync_access(t, cond, SYNC_BEGIN, fp);
}

void engine_cond_signal(struct thread *t, u64 cond, bool all, const u64 *fp)
{
    if (!interpreter_hides(cond))
        sync_access(t, cond, SYNC_USE, fp);
    struct object_head *o = objects_get(cond);
    if (!o || o->kind != OBJ_COND || o->state != OBJECT_LIVE) {
        if (o && o->kind == OBJ_COND && o->state == OBJECT_DEAD)
            object_find(t, cond, OBJ_COND, 0, fp);
        return; /* nobody has waited yet */
    }
    struct sync_rec *c = (struct sync_rec *)o;
    t->rec->operations++;
    u32 waiters = __atomic_load_n(&c->waiters, __ATOMIC_SEQ_CST);
    u32 tokens = __atomic_load_n(&c->tokens, __ATOMIC_SEQ_CST), more;
    c->last_signaller = t->ref;
    do {
        more = all || tokens >= waiters ? waiters : tokens + 1;
    } while (more != tokens &&
             !__atomic_compare_exchange_n(&c->tokens, &tokens, more, false, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST));
}

void engine_cond_destroy(struct thread *t, u64 cond, const u64 *fp)
{
    struct object_head *o = objects_get(cond);
    if (!interpreter_hides(cond))
        sync_access(t, cond, SYNC_END, fp);
    if (o && o->kind == OBJ_COND && o->state == OBJECT_LIVE)
        objects_kill(o, true, ((struct sync_rec *)o)->waiters != 0);
}

/* ---- barriers ---- */

void engine_barrier_init(struct thread *t, u64 barrier, u32 needed, u32 attrs, const u64 *fp)
{
    struct object_head *o = objects_get(barrier);
    if (o)
        objects_kill(o, false, false);
    struct sync_rec *b = sync_find(t, barrier, OBJ_BARRIER, attrs | ATTR_INITIALISED, fp);
    if (b)
        b->needed = needed;
    sync_access(t, barrier, SYNC_BEGIN, fp);
}

/* The round's parties are ordered before everything after it. Nothing to record when no order was noted since the last
 * round: then the last round's segments already separate all there is. */
void engine_barrier_arrive(struct thread *t, u64 barrier, const u64 *fp)
{
    struct run_state *rs = run();
    struct sync_rec *b = sync_find(t, barrier, OBJ_BARRIER, 0, fp);
    sync_access(t, barrier, SYNC_USE, fp);
    if (!b || !b->needed)
        return;
    ref_t stack = capture(t, fp);
    t->rec->operations++;
    hb_barrier_arrive(t, b);
    u64 mask = ilock_acquire(&rs->graph_lock);
    if (b->witness_changes != rs->witness_changes || b->segment)
        b->segment = b->segment ? segment_new(0, b->segment, t->rec->segment) : t->rec->segment;
    bool last = ++b->arrived >= b->needed;
    if (last) {
        b->segment_done = b->segment;
        b->segment = 0;
        b->arrived = 0;
        b->witness_changes = rs->witness_changes;
        __atomic_store_n(&b->round, b->round + 1, __ATOMIC_SEQ_CST);
    } else {
        wait_publish(t, WAIT_BARRIER, arena_ref(b), 0, 0, false, stack);
        t->rec->wait.round = b->round;
    }
    ilock_release(&rs->graph_lock, mask);
    if (!last)
        stuck_check();
}

void engine_barrier_leave(struct thread *t, u64 barrier, const u64 *fp)
{
    struct run_state *rs = run();
    struct object_head *o = objects_get(barrier);
    wait_withdraw(t);
    hb_barrier_leave(t);
    sync_access(t, barrier, SYNC_USE, fp); /* it is in use until all have left it */
    if (!o || o->kind != OBJ_BARRIER)
        return;
    struct sync_rec *b = (struct sync_rec *)o;
    u64 mask = ilock_acquire(&rs->graph_lock);
    if (b->segment_done && b->segment_done != t->rec->segment)
        t->rec->segment = segment_new(t->ref, t->rec->segment, b->segment_done);
    ilock_release(&rs->graph_lock, mask);
}

void engine_barrier_destroy(struct thread *t, u64 barrier, const u64 *fp)
{
    struct object_head *o = objects_get(barrier);
    sync_access(t, barrier, SYNC_END, fp);
    if (o && o->kind == OBJ_BARRIER && o->state == OBJECT_LIVE)
        objects_kill(o, false, false);
}

/* ---- semaphores ---- */

/* Used as a lock, and taken at the fork by a thread that does not exist in this child. */
static bool left_by_fork(const struct lock_rec *s)
{
    ref_t owner = s->owner;
    return (s->head.attrs & (ATTR_LOCKLIKE | ATTR_THREAD_END)) == ATTR_LOCKLIKE && owner && s->head.process &&
           THREAD_AT(owner)->process != s->head.process;
}

/* Anybody may post a semaphore: only where there is nobody else, it is as if the owner had to. */
static bool nobody_else(void)
{
    const struct process_rec *p = process();
    return __atomic_load_n(&p->nthreads_live, __ATOMIC_SEQ_CST) == 1 && !p->handlers && !p->unseen_wakers;
}

int engine_sem_wait(struct thread *t, struct lock_rec *s, u32 how, const u64 *fp)
{
    if (s->head.attrs & ATTR_UNTRACKED)
        return 0;
    bool left = left_by_fork(s);
    if (measure_on && (s->head.attrs & ATTR_LOCKLIKE))
        measure_wait_begin(t, s, MODE_EXCLUSIVE, fp);
    enum wait_kind kind = left && nobody_else() ? WAIT_LOCK : WAIT_SEM;
    __atomic_fetch_add(&s->waiters, 1, __ATOMIC_RELAXED);
    s->contended++;
    if (left)
        engine_lock_busy(t, s, fp);
    wait_publish(t, kind, arena_ref(s), 0, MODE_EXCLUSIVE, (how & HOW_TIMED) != 0, capture(t, fp));
    if (!(how & HOW_TIMED) && (kind == WAIT_LOCK ? wait_check(t) : stuck_check()) && breaks()) {
        wait_withdraw(t);
        engine_wait_failed(t);
        __atomic_fetch_sub(&s->waiters, 1, __ATOMIC_RELAXED);
        if (s->head.attrs & ATTR_LOCKLIKE)
            held_push(t, arena_ref(s), MODE_EXCLUSIVE, HOW_PHANTOM, 0, fp);
        return EDEADLK;
    }
    return 0;
}

/* It is no lock after all: its orders leave the graph with its identity. Holders drop it when they meet it. */
static void sem_unlocklike(struct lock_rec *s)
{
    __atomic_fetch_and(&s->head.attrs, ~(u32)ATTR_LOCKLIKE, __ATOMIC_RELAXED);
    __atomic_store_n(&s->owner, 0, __ATOMIC_RELEASE);
}

/* It was taken for a lock once, and the hold of that time has ended with somebody else's post. */
static void drop_old_hold(struct thread *t, const struct lock_rec *s)
{
    int i = t->rec->nheld ? held_find(t, arena_ref(s)) : -1;
    if (i >= 0 && !(t->held[i].how & HOW_PHANTOM))
        held_remove(t, (u32)i);
}

void engine_sem_taken(struct thread *t, struct lock_rec *s, u32 how, const u64 *fp)
{
    if (s->head.attrs & ATTR_UNTRACKED)
        return;
    __atomic_fetch_add(&s->sem_takes, 1, __ATOMIC_SEQ_CST);
    s->sem_last_taker = t->ref;
    hb_semaphore_taken(t, s);
    if (snarl_unlikely(how & HOW_THREAD_END)) {
        how &= ~(u32)HOW_THREAD_END;
        __atomic_fetch_or(&s->head.attrs, ATTR_THREAD_END, __ATOMIC_RELAXED);
        engine_lock_name(s, "thread's end");
    } else if (snarl_unlikely(s->end_segment)) {
        t->rec->segment = segment_new(t->ref, t->rec->segment, s->end_segment);
        s->end_segment = 0;
    }
    if (snarl_unlikely(how & HOW_SIGNAL))
        sem_unlocklike(s);
    if (s->head.attrs & ATTR_LOCKLIKE) {
        engine_acquired(t, s, MODE_EXCLUSIVE, how, fp);
        return;
    }
    t->rec->operations++;
    drop_old_hold(t, s);
}

int engine_sem_post(struct thread *t, struct lock_rec *s, const u64 *fp)
{
    if (s->head.attrs & ATTR_UNTRACKED)
        return 0;
    if (snarl_unlikely(s->head.attrs & ATTR_THREAD_END) && s->sem_last_taker == t->ref && !s->end_segment)
        s->end_segment = t->rec->segment;
    if (s->head.attrs & ATTR_LOCKLIKE) {
        int i = held_find(t, arena_ref(s));
        if (i >= 0 && (t->held[i].how & HOW_PHANTOM)) {
            held_remove(t, (u32)i);
            return 1;
        }
        if (i >= 0 && s->sem_last_taker == t->ref)
            engine_release(t, s, fp);
        else if (i < 0 && s->owner == t->ref && s->head.process) /* taken by the fork call (processes.c) */
            __atomic_store_n(&s->owner, 0, __ATOMIC_RELEASE);
        else
            sem_unlocklike(s);
    }
    if (!(s->head.attrs & ATTR_LOCKLIKE))
        drop_old_hold(t, s);
    t->rec->operations++;
    hb_semaphore_post(t, s);
    __atomic_fetch_add(&s->sem_posts, 1, __ATOMIC_SEQ_CST);
    return 0;
}
