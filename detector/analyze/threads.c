/* Threads: birth, end, join. Called by thread interceptors and the start code.
 * Takes RANK_THREADS for records, RANK_GRAPH for segments. Allocates arena records and private mappings. */
#include "analyze/internal.h"

#define THREADS_KEPT 20000u

/* Private states of ended threads, to be used again. Guarded by the run's threads lock. */
static struct thread *free_private;

/* Threads lock held. */
static ref_t record_new(void)
{
    struct run_state *rs = run();
    struct process_rec *p = process();
    ref_t r = p->free_threads;
    if (r) {
        struct thread_rec *old = THREAD_AT(r);
        p->free_threads = old->link;
        ref_t next = old->next_in_process;
        u32 seq = old->wait.seq;
        __builtin_memset(old, 0, sizeof *old);
        old->next_in_process = next;
        old->wait.seq = seq;
    } else {
        r = arena_alloc(POOL_THREAD, sizeof(struct thread_rec));
        if (!r) {
            run_lost(LOSS_arena_full);
            return 0;
        }
        THREAD_AT(r)->next_in_process = p->threads;
        __atomic_store_n(&p->threads, r, __ATOMIC_RELEASE);
    }
    struct thread_rec *t = THREAD_AT(r);
    t->number = ++rs->next_thread;
    t->process = engine_process_ref;
    t->held_cap = HELD_INLINE;
    t->held = arena_ref(t->own_held);
    t->state = THREAD_NEW;
    __atomic_fetch_add(&p->nthreads_live, 1, __ATOMIC_SEQ_CST);
    p->nthreads_ever++;
    return r;
}

static struct thread *private_new(void)
{
    struct thread *t = free_private;
    if (t)
        free_private = t->next_private;
    else
        t = sys_map(sizeof *t);
    if (t)
        t->perturbed = run()->options.perturb != 0;
    return t;
}

/* Ready for its next owner: whatever a cache could still answer must be gone. */
static void private_clear(struct thread *t)
{
    struct unwind_memo *memo = t->memo;
    void *notes = t->alloc_notes;
    struct accesses *accesses = t->accesses;
    struct measures *measures = t->measures;
    order_cache_drop(t);
    __builtin_memset(t, 0, sizeof *t);
    t->memo = memo;
    t->alloc_notes = notes;
    t->accesses = accesses;
    t->measures = measures;
    measure_thread_new(measures);
}

static struct thread *thread_new(ref_t creator, ref_t stack)
{
    struct run_state *rs = run();
    u64 mask = ilock_acquire(&rs->threads_lock);
    struct thread *t = private_new();
    ref_t r = t ? record_new() : 0;
    if (t && !r) {
        t->next_private = free_private;
        free_private = t;
        t = NULL;
    }
    ilock_release(&rs->threads_lock, mask);
    if (!t)
        return NULL;
    private_clear(t);
    t->ref = r;
    t->rec = THREAD_AT(r);
    t->held = t->rec->own_held;
    t->order_epoch = rs->order_epoch;
    t->rec->creator = creator;
    t->rec->create_stack = stack;
    pin_thread(creator);
    return t;
}

struct thread *engine_thread_adopt(u32 tid, bool is_main)
{
    struct thread *t = engine_process_ref ? thread_new(0, 0) : NULL;
    if (!t)
        return NULL;
    t->rec->tid = tid;
    t->rec->is_main = is_main;
    t->rec->segment = segment_new(t->ref, 0, process()->end_segment);
    __atomic_store_n(&t->rec->state, THREAD_RUNNING, __ATOMIC_SEQ_CST);
    return t;
}

struct thread *engine_thread_create(struct thread *creator, u64 start_pc, const u64 *fp)
{
    struct run_state *rs = run();
    struct thread *t = thread_new(creator->ref, capture(creator, fp));
    if (!t)
        return NULL;
    u64 mask = ilock_acquire(&rs->graph_lock);
    t->rec->segment = segment_new(t->ref, 0, creator->rec->segment);
    creator->rec->segment = segment_new(creator->ref, creator->rec->segment, 0);
    ilock_release(&rs->graph_lock, mask);
    t->rec->start_pc = start_pc;
    creator->rec->operations++;
    hb_thread_created(creator, t);
    return t;
}

/* Threads lock held: the record may serve another thread when nothing refers to it. */
static void record_retire(ref_t r)
{
    struct thread_rec *t = THREAD_AT(r);
    /* Where accesses are watched, the shadow speaks of threads long after their end: the first many keep their records. */
    if (t->pinned || t->state == THREAD_FREE || (access_on && process()->nthreads_ever < THREADS_KEPT))
        return;
    t->state = THREAD_FREE;
    t->link = process()->free_threads;
    process()->free_threads = r;
}

void engine_thread_create_failed(struct thread *child)
{
    struct run_state *rs = run();
    hb_thread_not_started(child);
    u64 mask = ilock_acquire(&rs->threads_lock);
    child->rec->state = THREAD_JOINED;
    __atomic_fetch_sub(&process()->nthreads_live, 1, __ATOMIC_SEQ_CST);
    record_retire(child->ref);
    child->next_private = free_private;
    free_private = child;
    ilock_release(&rs->threads_lock, mask);
}

void engine_thread_start(struct thread *t, u32 tid, u64 stack_lo, u64 stack_hi)
{
    t->rec->tid = tid;
    t->rec->stack_lo = stack_lo;
    t->rec->stack_hi = stack_hi;
    access_thread_switched(t);
    __atomic_store_n(&t->rec->state, THREAD_RUNNING, __ATOMIC_SEQ_CST);
}

/* Locks that a thread must not leave behind: those only it can release. */
static bool must_release(ref_t owner, const struct held_entry *h)
{
    const struct lock_rec *l = LOCK_AT(h->lock);
    if (h->mode == MODE_EXCLUSIVE && l->owner != owner)
        return false; /* somebody else has unlocked it */
    return !(h->how & HOW_PHANTOM) && l->head.uid && l->head.kind != OBJ_SEM &&
           !(l->head.attrs & (ATTR_ROBUST | ATTR_ONCE | ATTR_PROCESS_OWNED));
}

static void report_left(struct thread *t)
{
    for (u32 i = 0; i < t->rec->nheld; i++) {
        const struct held_entry *h = &t->held[i];
        if (!must_release(t->ref, h))
            continue;
        t->rec->pinned = 1; /* the lock goes on naming it as owner */
        misuse_report(t, RULE_LOCK_LEFT_AT_THREAD_EXIT, VERDICT_OBSERVED, &LOCK_AT(h->lock)->head, 0, t->ref, h->stack,
                      EVENT_EXIT);
    }
}

void engine_thread_end(struct thread *t)
{
    struct run_state *rs = run();
    report_left(t);
    hb_thread_end(t);
    struct process_rec *p = process();
    u64 mask = ilock_acquire(&rs->threads_lock);
    p->operations += t->rec->operations;
    __atomic_store_n(&t->rec->state, THREAD_ENDED, __ATOMIC_SEQ_CST);
    __atomic_fetch_sub(&p->nthreads_live, 1, __ATOMIC_SEQ_CST);
    if (t->rec->detached)
        record_retire(t->ref);
    ilock_release(&rs->threads_lock, mask);
    /* The last one that could run has gone: are the others left waiting for ever? */
    stuck_check();
    mask = ilock_acquire(&rs->threads_lock);
    t->next_private = free_private;
    free_private = t;
    ilock_release(&rs->threads_lock, mask);
}

void engine_joined(struct thread *t, ref_t target)
{
    struct run_state *rs = run();
    if (!target)
        return;
    hb_joined(t, THREAD_AT(target));
    u64 mask = ilock_acquire(&rs->graph_lock);
    t->rec->segment = segment_new(t->ref, t->rec->segment, THREAD_AT(target)->segment);
    ilock_release(&rs->graph_lock, mask);
    mask = ilock_acquire(&rs->threads_lock);
    THREAD_AT(target)->state = THREAD_JOINED;
    record_retire(target);
    ilock_release(&rs->threads_lock, mask);
}

bool engine_detached(ref_t target)
{
    struct run_state *rs = run();
    u64 mask = ilock_acquire(&rs->threads_lock);
    bool ended = THREAD_AT(target)->state == THREAD_ENDED;
    THREAD_AT(target)->detached = 1;
    if (ended)
        record_retire(target);
    ilock_release(&rs->threads_lock, mask);
    return ended;
}

void engine_cancelled(ref_t target, bool cancelled)
{
    __atomic_store_n(&THREAD_AT(target)->cancelled, cancelled, __ATOMIC_SEQ_CST);
}

void threads_after_fork(void)
{
    free_private = NULL; /* they may have been in use by threads that do not exist here */
}
