/* The wait-for graph: who waits for whom, now. Called when a thread is about to block. Takes no lock: waits are
 * published in thread records with a sequence number, owners in lock records; a cycle is reported only when a second
 * walk finds the same owners and the same sequence numbers. The last thread to close a cycle always sees it: it
 * publishes its own wait, fences, then reads the others' (store, fence, load on both sides). May allocate arena blobs
 * for a finding. */
#include "analyze/internal.h"

#include <errno.h>

#include "base/hash.h"

#define MAX_BLOCKERS 64u
#define MAX_WALK 512u

void wait_publish(struct thread *t, enum wait_kind kind, ref_t object, ref_t mutex, u32 mode, bool timed, ref_t stack)
{
    struct wait_rec *w = &t->rec->wait;
    if (w->seq & 1)
        /* of the blocked call that a signal handler has interrupted, perhaps for good; that one is not seen any more */
        engine_wait_end(t);
    w->object = object;
    w->mutex = mutex;
    w->stack = stack;
    w->mode = (u8)mode;
    w->timed = timed;
    w->kind = (u8)kind;
    w->round = 0;
    w->since_ns = 0;
    __atomic_fetch_add(&process()->waiting, 1, __ATOMIC_RELAXED);
    __atomic_store_n(&w->seq, w->seq + 1, __ATOMIC_SEQ_CST); /* odd: waiting */
    __atomic_thread_fence(__ATOMIC_SEQ_CST);
}

void wait_withdraw(struct thread *t)
{
    struct wait_rec *w = &t->rec->wait;
    if (!(w->seq & 1))
        return;
    __atomic_store_n(&w->seq, w->seq + 1, __ATOMIC_SEQ_CST);
    __atomic_fetch_sub(&process()->waiting, 1, __ATOMIC_RELAXED);
}

static bool is_waiting(const struct thread_rec *r)
{
    return __atomic_load_n(&r->wait.seq, __ATOMIC_SEQ_CST) & 1;
}

/* The owner as a blocker: a thread that ended, or one of another process that owns a private lock here (left behind by
 * fork), never lets go. */
static ref_t owner_blocker(const struct lock_rec *l, ref_t owner)
{
    const struct thread_rec *o = THREAD_AT(owner);
    if (l->head.attrs & ATTR_PROCESS_OWNED)
        /* the kernel releases what a dead process held */
        return PROCESS_AT(o->process)->state == PROCESS_RUNNING ? owner : 0;
    if (l->head.process && o->process != l->head.process)
        return BLOCKER_GONE;
    if (o->state >= THREAD_ENDED || PROCESS_AT(o->process)->state != PROCESS_RUNNING)
        return l->head.attrs & ATTR_ROBUST ? 0 : BLOCKER_GONE;
    return owner;
}

/* May what `holder` holds keep `r` from l? */
static bool apart(const struct thread_rec *r, const struct lock_rec *l, const struct thread_rec *holder)
{
    return !(l->head.attrs & ATTR_RECORD) || r->process != holder->process;
}

static bool shares(const struct thread_rec *r, ref_t lock)
{
    u32 n = __atomic_load_n(&r->nheld, __ATOMIC_ACQUIRE);
    const struct held_entry *h = arena_at(__atomic_load_n(&r->held, __ATOMIC_ACQUIRE));
    for (u32 i = 0; i < n && i < r->held_cap; i++)
        if (h[i].lock == lock && !(h[i].how & HOW_PHANTOM))
            return true;
    return false;
}

/* Threads that keep `r` from taking a lock nobody holds exclusively: the readers for a writer, the waiting writers for
 * a reader of a lock that prefers them. */
static u32 shared_blockers(const struct thread_rec *r, const struct lock_rec *l, u32 mode, ref_t *out, u32 max)
{
    u32 n = 0;
    ref_t lock = arena_ref(l);
    if (mode == MODE_SHARED && !(l->head.attrs & ATTR_WRITER_NONRECURSIVE))
        return 0;
    for (ref_t p = l->head.process ? l->head.process : run()->processes; p;
         p = l->head.process ? 0 : PROCESS_AT(p)->next_process) {
        if (PROCESS_AT(p)->state != PROCESS_RUNNING)
            continue;
        for (ref_t x = PROCESS_AT(p)->threads; x && n < max; x = THREAD_AT(x)->next_in_process) {
            const struct thread_rec *o = THREAD_AT(x);
            bool blocks = mode == MODE_EXCLUSIVE ? shares(o, lock)
                                                 : o != r && is_waiting(o) && o->wait.kind == WAIT_LOCK &&
                                                       o->wait.object == lock && o->wait.mode == MODE_EXCLUSIVE;
            if (o == r && l->head.kind == OBJ_FCNTL)
                continue; /* it converts its own */
            if (o->state == THREAD_RUNNING && blocks && apart(r, l, o))
                out[n++] = x;
        }
    }
    return n;
}

u32 wait_blockers(const struct thread_rec *r, ref_t *out, u32 max)
{
    const struct wait_rec *w = &r->wait;
    const struct lock_rec *l = NULL;
    if (w->kind == WAIT_LOCK)
        l = LOCK_AT(w->object);
    else if (w->kind == WAIT_COND && w->mutex)
        l = LOCK_AT(w->mutex); /* whatever wakes it, it needs its mutex back */
    if (l && (l->head.attrs & ATTR_INTERPRETER)) {
        out[0] = interpreter.owner ? interpreter.owner() : 0;
        return out[0] != 0;
    }
    if (l) {
        ref_t owner = __atomic_load_n(&l->owner, __ATOMIC_SEQ_CST);
        if (owner == arena_ref(r) && w->kind == WAIT_COND)
            return 0;
        if (owner) {
            out[0] = apart(r, l, THREAD_AT(owner)) ? owner_blocker(l, owner) : 0;
            return out[0] != 0;
        }
        return object_has_readers(&l->head) ? shared_blockers(r, l, w->mode, out, max) : 0;
    }
    if (w->kind == WAIT_JOIN) {
        if (THREAD_AT(w->object)->state >= THREAD_ENDED || r->cancelled)
            return 0;
        out[0] = w->object;
        return 1;
    }
    return 0;
}

/* One thread of a walked cycle, with what must still be so on the second look. */
struct link {
    ref_t thread;
    u32 seq;
};

struct walk {
    ref_t start;
    struct link path[MAX_WALK];
    u32 n;
    u32 steps;
    bool gone;
};

/* Depth-first along blockers until the start comes up again (or an owner that is gone). Timed waits end by themselves,
 * except that a timed condition wait still has to take its mutex. */
static bool walk_from(struct walk *k, ref_t ref)
{
    const struct thread_rec *r = THREAD_AT(ref);
    u32 seq = __atomic_load_n(&r->wait.seq, __ATOMIC_SEQ_CST);
    if (!(seq & 1) || (r->wait.timed && r->wait.kind != WAIT_COND) || k->n >= MAX_WALK || ++k->steps > 4 * MAX_WALK)
        return false;
    for (u32 i = 0; i < k->n; i++)
        if (k->path[i].thread == ref)
            return false;
    k->path[k->n++] = (struct link){ref, seq};
    ref_t out[MAX_BLOCKERS];
    u32 n = wait_blockers(r, out, MAX_BLOCKERS);
    if (__atomic_load_n(&r->wait.seq, __ATOMIC_SEQ_CST) == seq)
        for (u32 i = 0; i < n; i++) {
            if (out[i] == BLOCKER_GONE) {
                k->gone = true;
                return true;
            }
            if (out[i] == k->start || walk_from(k, out[i]))
                return true;
        }
    k->n--;
    return false;
}

static bool same_walk(const struct walk *a, const struct walk *b)
{
    if (a->n != b->n || a->gone != b->gone)
        return false;
    for (u32 i = 0; i < a->n; i++)
        if (a->path[i].thread != b->path[i].thread || a->path[i].seq != b->path[i].seq)
            return false;
    return true;
}

/* The lock (or thread) that path[i] waits for, as an object of the finding. */
static ref_t waited_object(const struct thread_rec *r, u32 *kind)
{
    if (r->wait.kind == WAIT_JOIN) {
        *kind = OBJ_THREAD;
        return r->wait.object;
    }
    ref_t o = r->wait.kind == WAIT_COND ? r->wait.mutex : r->wait.object;
    *kind = ((struct object_head *)arena_at(o))->kind;
    return o;
}

/* The event "holds lock since": from the thread's held set. */
static void hold_event(struct finding_event *e, const struct thread_rec *r, ref_t lock)
{
    u32 n = __atomic_load_n(&r->nheld, __ATOMIC_ACQUIRE);
    const struct held_entry *h = arena_at(r->held);
    finding_event_fill(e, r, EVENT_HOLD, lock, LOCK_AT(lock)->head.kind, 0);
    for (u32 i = 0; i < n && i < r->held_cap; i++)
        if (h[i].lock == lock) {
            e->stack = h[i].stack;
            e->site_pc = h[i].site_pc;
            e->mode = h[i].mode;
            e->how = h[i].how;
        }
}

/* All wait for POSIX record locks: the kernel sees that cycle, too, and refuses the call that would close it. */
static bool kernel_refuses(const struct walk *k)
{
    for (u32 i = 0; i < k->n; i++) {
        const struct wait_rec *w = &THREAD_AT(k->path[i].thread)->wait;
        if (w->kind != WAIT_LOCK || !(LOCK_AT(w->object)->head.attrs & ATTR_RECORD))
            return false;
    }
    return !k->gone;
}

/* False when another thread has reported this cycle: it is then also the one that reacts. */
static bool report_cycle(struct walk *k)
{
    u64 signature = k->gone;
    for (u32 i = 0; i < k->n; i++)
        signature += hash_combine(k->path[i].thread, k->path[i].seq);
    ref_t fr = finding_begin(signature, k->n, 2 * k->n);
    if (!fr)
        return false;
    struct finding_rec *f = arena_at(fr);
    f->kind = FINDING_DEADLOCK;
    f->verdict = VERDICT_OBSERVED;
    f->flags = k->gone ? FINDING_OWNER_GONE : 0;
    for (u32 i = 0; i < k->n; i++) {
        const struct thread_rec *r = THREAD_AT(k->path[i].thread);
        /* What it holds that the one before it waits for. */
        const struct thread_rec *before = THREAD_AT(k->path[i ? i - 1 : k->n - 1].thread);
        u32 kind, held_kind;
        ref_t wanted = waited_object(before, &held_kind), object = waited_object(r, &kind);
        struct finding_event *e = &f->events[2 * i];
        if (held_kind != OBJ_THREAD && (i || !k->gone))
            hold_event(e, r, wanted);
        else if (i || !k->gone)
            finding_event_fill(e, r, EVENT_JOIN, wanted, OBJ_THREAD, 0); /* is itself what the other joins */
        e++;
        finding_event_fill(e, r, EVENT_WAIT, object, kind, r->wait.stack);
        e->mode = r->wait.mode;
        e->held = held_snapshot(r, &e->nheld);
        if (f->locks)
            ((ref_t *)arena_at(f->locks))[i] = object;
        f->flags |= r->wait.kind == WAIT_COND ? FINDING_CONDITION_RELOCK : 0;
        f->flags |= r->process != THREAD_AT(k->path[0].thread)->process ? FINDING_CROSS_PROCESS : 0;
    }
    f->flags |= kernel_refuses(k)                                 ? 0
                : run()->options.on_deadlock == ON_DEADLOCK_ABORT ? FINDING_ENDED_PROGRAM
                : run()->options.on_deadlock == ON_DEADLOCK_BREAK ? FINDING_BROKEN
                                                                  : 0;
    finding_publish(fr, true);
    return true;
}

bool wait_check(struct thread *t)
{
    struct walk first = {.start = t->ref}, second = {.start = t->ref};
    if (!detects(DETECT_DEADLOCK) || !walk_from(&first, t->ref) || !walk_from(&second, t->ref) ||
        !same_walk(&first, &second))
        return false;
    if (!report_cycle(&first))
        return false;
    ref_t threads[MAX_WALK];
    for (u32 i = 0; i < first.n; i++)
        threads[i] = first.path[i].thread;
    if (!kernel_refuses(&first))
        engine_react(threads, first.n);
    return true;
}

bool never_ends(struct thread *t)
{
    return wait_check(t) || stuck_check();
}

/* The lock is already held by the caller itself in a way that makes this acquire wait for ever. */
static bool blocks_itself(const struct thread *t, const struct lock_rec *l, enum lock_mode mode,
                          enum finding_rule *rule)
{
    if (l->head.attrs & (ATTR_RECURSIVE | ATTR_ERRORCHECK) || l->head.kind == OBJ_FCNTL)
        return false;
    int i = held_find(t, arena_ref(l));
    if (i < 0 || (t->held[i].how & HOW_PHANTOM))
        return false;
    bool shared = t->held[i].mode == MODE_SHARED;
    if (!shared && l->owner != t->ref)
        return false;
    if (shared && mode == MODE_SHARED)
        return false; /* waits for a writer, not for itself: the walk sees that */
    if (!shared && l->head.kind == OBJ_RWLOCK)
        return false; /* glibc answers EDEADLK to the writer itself */
    *rule = shared ? RULE_RWLOCK_UPGRADE : RULE_RELOCK;
    return true;
}

static int give_up(struct thread *t, struct lock_rec *l, enum lock_mode mode, const u64 *fp)
{
    wait_withdraw(t);
    engine_wait_failed(t);
    __atomic_fetch_sub(&l->waiters, 1, __ATOMIC_RELAXED);
    held_push(t, arena_ref(l), mode, HOW_PHANTOM, 0, fp); /* also above a real hold: each unlock takes one off */
    return EDEADLK;
}

int engine_lock_wait(struct thread *t, struct lock_rec *l, enum lock_mode mode, u32 how, const u64 *fp)
{
    if (l->head.attrs & (ATTR_UNTRACKED | ATTR_INTERPRETER))
        return 0;
    if (measure_on)
        measure_wait_begin(t, l, mode, fp);
    ref_t stack = capture(t, fp);
    __atomic_fetch_add(&l->waiters, 1, __ATOMIC_RELAXED);
    l->contended++;
    engine_lock_busy(t, l, fp);
    wait_publish(t, WAIT_LOCK, arena_ref(l), 0, mode, (how & HOW_TIMED) != 0, stack);
    if ((how & HOW_TIMED) && t->rec->nheld &&
        !(t->node && order_cached(t, t->node, arena_ref(l), order_way(mode, how))))
        /* the order exists even if the attempt runs into its limit */
        order_acquired(t, arena_ref(l), mode, how, stack, fp);
    enum finding_rule rule;
    if (!(how & HOW_TIMED) && detects(DETECT_MISUSE) && blocks_itself(t, l, mode, &rule)) {
        misuse_report(t, rule, VERDICT_OBSERVED, &l->head, 0, t->ref, stack, EVENT_ACQUIRE);
        engine_react(&t->ref, 1);
        return breaks() ? give_up(t, l, mode, fp) : 0;
    }
    if (l->owner == t->ref && !(l->head.attrs & ATTR_PROCESS_OWNED))
        return 0; /* the real call answers with an error */
    if (__atomic_load_n(&process()->nthreads_live, __ATOMIC_RELAXED) > 1 || !l->head.process || l->owner)
        if (never_ends(t) && breaks())
            return give_up(t, l, mode, fp);
    return 0;
}

void engine_wait_end(struct thread *t)
{
    const struct wait_rec *w = &t->rec->wait;
    if (measure_on)
        measure_wait_end(t);
    if ((w->seq & 1) && (w->kind == WAIT_LOCK || w->kind == WAIT_SEM) && w->object)
        __atomic_fetch_sub(&LOCK_AT(w->object)->waiters, 1, __ATOMIC_RELAXED);
    wait_withdraw(t);
}

/* A thread that joins itself, or one that is joining it: glibc answers EDEADLK at once, so nobody waits. Joining
 * oneself is a bug all the same. */
static bool joins_back(struct thread *t, ref_t target, const u64 *fp)
{
    const struct thread_rec *other = THREAD_AT(target);
    if (target == t->ref) {
        ref_t stack = capture(t, fp),
              r = detects(DETECT_DEADLOCK) ? finding_begin(hash_combine(t->ref, stack), 1, 1) : 0;
        struct finding_rec *f = r ? arena_at(r) : NULL;
        if (f) {
            f->kind = FINDING_STUCK;
            f->verdict = VERDICT_OBSERVED;
            f->flags = FINDING_UNLOCK_FAILED; /* the call returns an error */
            if (f->locks)
                *(ref_t *)arena_at(f->locks) = target;
            finding_event_fill(f->events, t->rec, EVENT_WAIT, target, OBJ_THREAD, stack);
            f->events[0].held = held_snapshot(t->rec, &f->events[0].nheld);
            finding_publish(r, false);
        }
        return true;
    }
    return is_waiting(other) && other->wait.kind == WAIT_JOIN && other->wait.object == t->ref;
}

int engine_join_begin(struct thread *t, ref_t target, bool timed, const u64 *fp)
{
    if (!target)
        return 0;
    if (joins_back(t, target, fp))
        return 0;
    wait_publish(t, WAIT_JOIN, target, 0, 0, timed, capture(t, fp));
    if (!timed && never_ends(t) && breaks()) {
        wait_withdraw(t);
        return EDEADLK;
    }
    return 0;
}
