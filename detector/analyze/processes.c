/* Processes of the run: start, fork, exec, end. Called by the start code and the process interceptors. Takes RANK_TABLE
 * and RANK_THREADS across the real fork (after all of the program's own prepare handlers), RANK_GRAPH for segments. */
#include "analyze/internal.h"
#include "analyze/shared.h"

/* Locks that threads other than the forking one held at the fork; the child keeps it. Grows by replacement, private
 * memory. */
struct left_lock {
    u64 addr, site_pc; /* where it was taken */
    ref_t owner, stack;
};
static struct {
    struct left_lock *item;
    u32 n, cap;
    struct held_entry *own; /* what the forking thread held: its record goes on with the parent */
    u32 nown, own_cap;
    u64 table_mask, threads_mask;
    ref_t parent, segment, stack;
    bool locked;
} at_fork;

static void left_add(u64 addr, ref_t owner, const struct held_entry *h)
{
    if (at_fork.n == at_fork.cap) {
        u32 cap = at_fork.cap ? at_fork.cap * 2 : 256;
        struct left_lock *more = sys_map(cap * sizeof *more);
        if (!more)
            return;
        if (at_fork.item) {
            __builtin_memcpy(more, at_fork.item, at_fork.n * sizeof *more);
            sys_unmap(at_fork.item, at_fork.cap * sizeof *more);
        }
        at_fork.item = more;
        at_fork.cap = cap;
    }
    at_fork.item[at_fork.n++] = (struct left_lock){addr, h->site_pc, owner, h->stack};
}

static void snapshot_held(const struct thread *forker)
{
    at_fork.n = 0;
    for (ref_t x = process()->threads; x; x = THREAD_AT(x)->next_in_process) {
        const struct thread_rec *r = THREAD_AT(x);
        if (r->state != THREAD_RUNNING || (forker && x == forker->ref))
            continue;
        u32 n = __atomic_load_n(&r->nheld, __ATOMIC_ACQUIRE);
        const struct held_entry *h = arena_at(__atomic_load_n(&r->held, __ATOMIC_ACQUIRE));
        for (u32 i = 0; i < n && i < r->held_cap; i++) {
            const struct lock_rec *l = LOCK_AT(h[i].lock);
            if (l->head.process && !(h[i].how & HOW_PHANTOM)) {
                left_add(l->head.addr, x, &h[i]);
                THREAD_AT(x)->pinned = 1;
            }
        }
    }
}

static void snapshot_own(const struct thread *forker)
{
    u32 n = forker ? forker->rec->nheld : 0;
    if (n > at_fork.own_cap) {
        struct held_entry *more = sys_map(2 * n * sizeof *more);
        sys_unmap(at_fork.own, at_fork.own_cap * sizeof *more);
        at_fork.own = more;
        at_fork.own_cap = more ? 2 * n : 0;
    }
    at_fork.nown = n < at_fork.own_cap ? n : at_fork.own_cap;
    for (u32 i = 0; i < at_fork.nown; i++)
        at_fork.own[i] = forker->held[i];
}

ref_t engine_fork_owner(u64 addr)
{
    for (u32 i = 0; i < at_fork.n; i++)
        if (at_fork.item[i].addr == addr)
            return at_fork.item[i].owner;
    return 0;
}

void fork_hold_fill(struct finding_event *e, u64 addr)
{
    for (u32 i = 0; i < at_fork.n; i++)
        if (at_fork.item[i].addr == addr) {
            e->stack = at_fork.item[i].stack;
            e->site_pc = at_fork.item[i].site_pc;
        }
}

void engine_lock_busy(struct thread *t, struct lock_rec *l, const u64 *fp)
{
    ref_t owner = l->owner;
    if (!owner || !l->head.process || THREAD_AT(owner)->process == l->head.process)
        return;
    misuse_report(t, RULE_FORK_WHILE_LOCKED, VERDICT_OBSERVED, &l->head, 0, owner, capture(t, fp), EVENT_ACQUIRE);
}

/* RANK_THREADS or single-threaded. */
static ref_t process_new(ref_t parent, const char *exe)
{
    struct run_state *rs = run();
    ref_t r = arena_alloc(POOL_PROCESS, sizeof(struct process_rec));
    if (!r)
        return 0;
    struct process_rec *p = PROCESS_AT(r);
    p->number = __atomic_add_fetch(&rs->next_process, 1, __ATOMIC_RELAXED);
    p->pid = sys_getpid();
    p->parent = parent;
    p->exe = exe ? string_intern(exe, (u32)__builtin_strlen(exe)) : parent ? PROCESS_AT(parent)->exe : 0;
    p->state = PROCESS_RUNNING;
    ref_t head = __atomic_load_n(&rs->processes, __ATOMIC_ACQUIRE);
    do {
        p->next_process = head;
    } while (!__atomic_compare_exchange_n(&rs->processes, &head, r, false, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST));
    return r;
}

/* The joined last segments of all threads of p. Graph lock held. */
static ref_t all_segments(const struct process_rec *p)
{
    ref_t seg = 0;
    for (ref_t x = p->threads; x; x = THREAD_AT(x)->next_in_process)
        if (THREAD_AT(x)->segment)
            seg = seg ? segment_new(0, seg, THREAD_AT(x)->segment) : THREAD_AT(x)->segment;
    return seg;
}

int engine_start(const struct engine_hooks *hooks, ref_t parent_process, const char *exe)
{
    struct run_state *rs = run();
    u32 pid = sys_getpid(), ppid = (u32)sys_call3(SYS_getppid, 0, 0, 0);
    ref_t parent = parent_process, before = 0;
    if (hooks)
        engine_hooks = *hooks;
    for (ref_t p = rs->processes; p; p = PROCESS_AT(p)->next_process) {
        if (PROCESS_AT(p)->pid == pid && !before)
            before = p; /* this process, before its exec */
        if (PROCESS_AT(p)->pid == ppid && PROCESS_AT(p)->state == PROCESS_RUNNING && !parent)
            parent = p;
    }
    if (before && !parent)
        parent = PROCESS_AT(before)->parent;
    ref_t r = process_new(parent, exe);
    if (!r)
        return -12; /* ENOMEM */
    if (before) {
        PROCESS_AT(before)->state = PROCESS_EXECED;
        PROCESS_AT(r)->flags |= PROCESS_AT(before)->flags & PROCESS_ALARM;
        u64 mask = ilock_acquire(&rs->graph_lock);
        PROCESS_AT(r)->end_segment = all_segments(PROCESS_AT(before));
        ilock_release(&rs->graph_lock, mask);
    }
    engine_process_ref = objects_process = r;
    measure_start();
    lives_on = PROCESS_AT(r)->next_process != 0;
    return 0;
}

void engine_process_end(struct thread *t)
{
    if (t)
        hb_process_end(t);
    if (engine_process_ref && process()->nthreads_live <= 1)
        shared_process_end();
    if (engine_process_ref)
        process()->state = PROCESS_ENDED;
}

void engine_fork_prepare(struct thread *t, const u64 *fp)
{
    struct run_state *rs = run();
    ref_t stack = t ? capture(t, fp) : 0;
    u64 mask;
    lives_on = true;
    shared_fork_prepare(t);
    objects_lock_for_fork(&mask); /* also keeps other forking threads out */
    at_fork.table_mask = mask;
    at_fork.threads_mask = ilock_acquire(&rs->threads_lock);
    at_fork.stack = stack;
    snapshot_held(t);
    snapshot_own(t);
    at_fork.parent = engine_process_ref;
    at_fork.segment = t ? t->rec->segment : 0;
    at_fork.locked = true;
    if (t) /* what the parent does from here on is not ordered before the child */
        t->rec->segment = segment_new(t->ref, t->rec->segment, 0);
}

void engine_fork_parent(struct thread *t, u32 child_pid)
{
    (void)child_pid;
    if (!at_fork.locked)
        return;
    at_fork.locked = false;
    u64 mask = at_fork.table_mask;
    ilock_release(&run()->threads_lock, at_fork.threads_mask);
    objects_unlock_after_fork(mask);
    shared_fork_parent(t);
    if (t)
        hb_forked_parent(t);
}

/* A lock of Python's that the fork call took itself, for its handlers in the child to make it new or release it: the stack
 * at its take ends like that of the fork. */
static bool taken_by_fork(const struct object_head *o, const struct held_entry *h)
{
    const struct stack_rec *fork = at_fork.stack ? arena_at(at_fork.stack) : NULL,
                           *take = h->stack ? arena_at(h->stack) : NULL;
    if (!(o->attrs & ATTR_PYTHON) || o->kind != OBJ_SEM || !fork || !take)
        return false;
    u32 first = 0;
    while (first < fork->n && !(fork->frame[first] & FRAME_PYTHON))
        first++;
    u32 n = fork->n - first;
    return n && n <= take->n && !__builtin_memcmp(fork->frame + first, take->frame + (take->n - n), n * sizeof(u64));
}

/* The forking thread keeps its private locks: each gets a record of the child's own. */
static void inherit_holds(struct thread *t)
{
    const struct held_entry *h = at_fork.own;
    for (u32 i = 0; i < at_fork.nown; i++) {
        struct object_head *was = arena_at(h[i].lock), *now;
        bool fresh;
        if ((h[i].how & HOW_PHANTOM) || !was->process || !was->uid)
            continue; /* shared ones stay the parent's */
        now = objects_make(was->addr, was->kind, was->attrs, object_birth(was), NULL, &fresh);
        if (!now)
            continue;
        if (taken_by_fork(was, &h[i])) {
            ((struct lock_rec *)now)->owner = t->ref; /* not held: it may never be released (sem_post knows) */
            continue;
        }
        struct held_entry *e =
            held_push(t, arena_ref(now), h[i].mode, (h[i].how & ~(u32)HOW_MEASURED) | HOW_INHERITED, h[i].stack, NULL);
        if (!e)
            continue;
        e->depth = h[i].depth;
        e->site_pc = h[i].site_pc;
        if (e->mode == MODE_EXCLUSIVE)
            ((struct lock_rec *)now)->owner = t->ref;
    }
}

void engine_fork_child(struct thread *t, u32 tid)
{
    struct run_state *rs = run();
    if (!at_fork.locked)
        return;
    at_fork.locked = false;
    /* The run's threads lock is the parent's to release; our private table lock is a copy that nobody else holds. */
    ilock_forked();
    ilock_disown(&rs->threads_lock);
    objects_after_fork();
    objects_unlock_after_fork(at_fork.table_mask);
    shared_fork_child();
    threads_after_fork();
    ref_t r = process_new(at_fork.parent, NULL);
    if (!r) {
        run_lost(LOSS_process_unwatched);
        return;
    }
    struct process_rec *parent = PROCESS_AT(at_fork.parent), *p = PROCESS_AT(r);
    p->handlers = parent->handlers;
    p->python = parent->python;
    engine_process_ref = objects_process = r;
    shared_fork_uses();
    if (!t)
        return;
    const struct thread_rec *old = t->rec;
    struct thread *fresh = engine_thread_adopt(tid, true);
    if (!fresh)
        return;
    /* The caller goes on with its own private state: take over the new record, give the new private state back. */
    t->ref = fresh->ref;
    t->rec = fresh->rec;
    t->held = t->rec->own_held;
    t->node = 0;
    __builtin_memset(t->lock_cache, 0, sizeof t->lock_cache);
    order_cache_drop(t);
    t->rec->stack_lo = old->stack_lo;
    t->rec->stack_hi = old->stack_hi;
    __builtin_memcpy(t->rec->name, old->name, sizeof old->name);
    t->rec->creator = arena_ref(old);
    t->rec->create_stack = at_fork.stack;
    pin_thread(arena_ref(old));
    u64 mask = ilock_acquire(&rs->graph_lock);
    t->rec->segment = segment_new(t->ref, 0, at_fork.segment);
    ilock_release(&rs->graph_lock, mask);
    sys_unmap(fresh, sizeof *fresh);
    accesses_forked(t);
    measure_forked(t);
    shared_fork_watch(t);
    inherit_holds(t);
}

void engine_child_waited(struct thread *t, u32 pid, bool by_luck)
{
    struct run_state *rs = run();
    for (ref_t r = rs->processes; r; r = PROCESS_AT(r)->next_process) {
        struct process_rec *p = PROCESS_AT(r);
        if (p->pid != pid || p->end_segment == ~0u)
            continue;
        if (p->state == PROCESS_RUNNING)
            p->state = PROCESS_ENDED;
        u64 mask = ilock_acquire(&rs->graph_lock);
        ref_t seg = all_segments(p);
        if (t && seg && !(by_luck && !__atomic_load_n(&process()->handlers, __ATOMIC_RELAXED)))
            t->rec->segment = segment_new(t->ref, t->rec->segment, seg);
        ilock_release(&rs->graph_lock, mask);
        break;
    }
    for (ref_t r = t ? rs->processes : 0; r; r = PROCESS_AT(r)->next_process)
        if (PROCESS_AT(r)->pid == pid) /* what it was before an exec, too */
            hb_child_ended(t, PROCESS_AT(r));
}

void engine_exec(struct thread *t)
{
    (void)t;
    process()->state = PROCESS_EXECED;
}

void engine_exec_failed(struct thread *t)
{
    (void)t;
    process()->state = PROCESS_RUNNING;
}
