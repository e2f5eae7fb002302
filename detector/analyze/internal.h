/* What the parts of the engine share among themselves. Nothing outside detector/analyze includes this. */
#ifndef SNARL_ANALYZE_INTERNAL_H
#define SNARL_ANALYZE_INTERNAL_H

#include "analyze/engine.h"
#include "analyze/hb.h"
#include "analyze/hot.h"
#include "analyze/measure.h"
#include "base/arena.h"
#include "base/ilock.h"
#include "base/sys.h"
#include "model/object.h"
#include "model/objects.h"
#include "model/order.h"
#include "model/run.h"
#include "model/segment.h"
#include "model/stack.h"
#include "model/thread.h"

#define LOCK_AT(r) ((struct lock_rec *)arena_at(r))
#define SYNC_AT(r) ((struct sync_rec *)arena_at(r))
#define THREAD_AT(r) ((struct thread_rec *)arena_at(r))
#define PROCESS_AT(r) ((struct process_rec *)arena_at(r))
#define NODE_AT(r) ((struct order_node *)arena_at(r))
#define WITNESS_AT(r) ((struct order_witness *)arena_at(r))
#define HOLD_AT(r) ((struct hold_rec *)arena_at(r))
#define EDGE_AT(r) ((struct order_edge *)arena_at(r))

#define ENGINE_MAX_HELD_SHOWN 32u

/* A lock that can still be taken: alive, and not a semaphore that turned out to be none. */
static inline bool lock_is_lock(ref_t lock)
{
    const struct lock_rec *l = LOCK_AT(lock);
    return l->head.uid && (l->head.kind != OBJ_SEM || (l->head.attrs & ATTR_LOCKLIKE));
}

static inline bool detects(u32 bit)
{
    return (run()->options.detect & bit) != 0;
}

/* The stack of the intercepted call (a hook), or what a test put into t->scratch[0]. */
static inline ref_t capture(struct thread *t, const u64 *fp)
{
    if (!fp)
        return (ref_t)t->scratch[0];
    return engine_hooks.capture ? engine_hooks.capture(t, fp) : 0;
}
static inline u64 site_of(const u64 *fp)
{
    return fp ? fp[1] : 0;
}

/* ---- holds.c ---- */
/* Index of the entry for lock in t's held set, or -1. */
int held_find(const struct thread *t, ref_t lock);
void held_remove(struct thread *t, u32 index);
struct held_entry *held_push(struct thread *t, ref_t lock, enum lock_mode mode, u32 how, ref_t stack, const u64 *fp);
/* Any thread of the run that holds lock (either mode), other than `except`; 0 if none. Racy. */
ref_t holder_of(ref_t lock, ref_t except);
/* Copies r's held set into a blob for a finding; *n becomes its length. */
ref_t held_snapshot(const struct thread_rec *r, u32 *n);
u32 how_class(u32 how);

/* ---- order.c: all with RANK_GRAPH held, or taking it as said ---- */
/* A new order for this thread: records node, witness and edges, looks for cycles. Returns the node. Takes
 * RANK_GRAPH. */
ref_t order_acquired(struct thread *t, ref_t lock, enum lock_mode mode, u32 how, ref_t stack, const u64 *fp);
/* The interned hold of e with `outer` held outside of it, 0 when the arena is full. Takes RANK_GRAPH. */
ref_t order_hold(ref_t outer, const struct held_entry *e);
/* Forgets what the thread knows of orders. */
void order_cache_drop(struct thread *t);
/* Adds the edges of a node to the reachability graph; true when one of them lies on a cycle. */
bool order_edges_add(struct order_node *n);

/* ---- forget.c ---- */
/* A lock that has orders died. Takes RANK_GRAPH when there are so many that the oldest are forgotten. */
void order_lock_died(void);

/* ---- reach.c: incremental reachability over locks; RANK_GRAPH held ---- */
void reach_add_edge(ref_t from, ref_t to);
/* Both lie on one cycle of the lock-level graph. */
bool reach_tangled(ref_t a, ref_t b);
/* Empties the graph; every node's edges are then added again. */
void reach_reset(void);

/* ---- cycles.c; RANK_GRAPH held ---- */
void cycles_search(ref_t witness);

/* ---- levels.c; RANK_GRAPH held ---- */
/* t asks for a lock that has a level, in this way, while it holds what it holds. */
void levels_check(struct thread *t, const struct held_entry *asked);

/* ---- waits.c ---- */
void wait_publish(struct thread *t, enum wait_kind kind, ref_t object, ref_t mutex, u32 mode, bool timed, ref_t stack);
void wait_withdraw(struct thread *t);
/* Looks for a cycle through t's published wait; reports it and reacts. True when one was found. */
bool wait_check(struct thread *t);
/* wait_check, else stuck_check. */
bool never_ends(struct thread *t);
/* Is the user's wish that a closing acquisition fails? */
static inline bool breaks(void)
{
    return run()->options.on_deadlock == ON_DEADLOCK_BREAK;
}
/* Threads that must act before r's wait can end (AND blockers), into out. */
u32 wait_blockers(const struct thread_rec *r, ref_t *out, u32 max);
#define BLOCKER_GONE 0xffffffffu /* the owner has ended or was left behind by a fork */

/* ---- interpreter.c ---- */
extern struct engine_interpreter interpreter; /* size 0: none in this process */
static inline bool interpreter_hides(u64 addr)
{
    return addr - interpreter.lo < interpreter.size;
}
/* The record of its lock in this process, 0 if there is none. */
ref_t interpreter_lock(void);
/* Of a mutex that it hides: only accesses are ordered by it. NULL: it means nothing, or there is no memory. */
struct lock_rec *interpreter_mutex(u64 addr);

/* ---- stuck.c ---- */
/* Are all threads of this process blocked for good? Reports deadlock or stuck and reacts. */
bool stuck_check(void);

/* ---- processes.c ---- */
/* Where the lock at this address was taken by the thread that held it at the fork. */
void fork_hold_fill(struct finding_event *e, u64 addr);

/* ---- misuse.c ---- */
void misuse_report(struct thread *t, enum finding_rule rule, enum finding_verdict verdict, struct object_head *o,
                   u32 flags, ref_t other, ref_t stack, enum event_action action);
/* Runs --on-deadlock=abort for the processes of these threads. Returns when the mode is another. */
void engine_react(const ref_t *threads, u32 n);

/* ---- finding.c ---- */
void finding_event_fill(struct finding_event *e, const struct thread_rec *r, enum event_action action, ref_t object,
                        u32 object_kind, ref_t stack);
void pin_thread(ref_t t);
void pin_object(ref_t o);

/* ---- locks.c ---- */
struct sync_rec *sync_find(struct thread *t, u64 addr, enum object_kind kind, u32 attrs, const u64 *fp);
struct object_head *object_find(struct thread *t, u64 addr, enum object_kind kind, u32 attrs, const u64 *fp);

/* ---- threads.c ---- */
void threads_after_fork(void);

extern ref_t engine_process_ref;
static inline struct process_rec *process(void)
{
    return PROCESS_AT(engine_process_ref);
}

#endif
