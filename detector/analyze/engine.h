/* The engine's door in: what sensors call. One call per thing the watched program does; see each group for the order of
 * calls around the real one.
 *
 * Thread safety: `t` is always the calling thread (in unit tests: any thread that is not in use elsewhere); everything
 * else is shared. None of these functions fails: trouble is counted (run_lost). None touches errno. None is called
 * while t->inside is set by an outer frame; interceptors set it (ENGINE_ENTER / ENGINE_LEAVE in preload/interceptor.h).
 *
 * `fp` is the frame pointer of the intercepted function (its caller's frame: fp[0] = caller's rbp, fp[1] = return
 * address, fp + 2 = caller's stack pointer after return); NULL in replay and tests: then t->scratch[0] gives a stack
 * ref. */
#ifndef SNARL_ANALYZE_ENGINE_H
#define SNARL_ANALYZE_ENGINE_H

#include "analyze/finding.h"
#include "base/arena.h"
#include "base/types.h"
#include "model/object.h"
#include "model/run.h"
#include "model/thread.h"

/* What the engine asks of its surroundings; set once before engine_start. Every member may be NULL (tests). */
/* engine_hooks.instruction: a load or store of so many bytes; after it has read them; locked. */
enum { INSTRUCTION_SIZE = 15, INSTRUCTION_UPDATE = 16, INSTRUCTION_ATOMIC = 32 };

struct engine_hooks {
    /* Interned stack of the intercepted call; 0 if it cannot be had. Signals may be unblocked. */
    ref_t (*capture)(struct thread *t, const u64 *fp);
    /* Fills region, module, offset, alloc_* and frame of a birth whose init_stack is set. */
    void (*locate)(struct thread *t, u64 addr, const u64 *fp, struct object_birth *birth);
    /* The same for bytes that an access of that call touches: also in a frame that is gone. */
    void (*locate_access)(struct thread *t, u64 addr, const u64 *fp, struct object_birth *birth);
    /* (device, inode, offset) behind an address of a shared mapping; false when it is not shared. */
    bool (*shared_key)(u64 addr, u64 key[3]);
    /* The value of a semaphore now, or -1. */
    int (*sem_value)(u64 addr);
    /* A deadlock, stuck or blocking relock was reported and --on-deadlock=abort: end these processes (refs), the
     * caller's last. Does not return in a live run. */
    void (*end_processes)(const ref_t *processes, u32 n);
    /* Does the call whose frame is fp count as an access of its caller's? fp NULL: of code at pc. */
    bool (*watches)(u64 pc, const u64 *fp);
    /* A race for this byte does no harm, and cannot be mended by who writes the program. */
    bool (*harmless)(u64 addr);
    /* What machine code that is watched as it is does at this frame; 0: the frame is other code's, or does more than this
     * can tell. take: it is an atomic operation from now on. */
    u32 (*instruction)(u64 frame, bool take);
    /* A finding is complete. Called by the thread that made it, with internal locks held; need not return. */
    void (*found)(ref_t finding);
    /* True when threads exist in this process that the engine does not know. */
    bool (*unknown_threads)(void);
};

/* Creates the run's tables in a fresh arena (first process, or the CLI), with these options. 0 or -errno. */
int engine_create_run(const struct run_options *options);
/* Joins the run in the mapped arena: makes the process record. Call once per process, before any thread. */
int engine_start(const struct engine_hooks *hooks, ref_t parent_process, const char *exe);
ref_t engine_process(void);                /* this process's record, 0 before engine_start */
void engine_process_end(struct thread *t); /* t: the thread that ends it, or NULL */

/* ---- threads ---- */
/* Record and private state for the calling thread of a process that starts or forks (creator 0), or for a thread
 * somebody else made. */
struct thread *engine_thread_adopt(u32 tid, bool is_main);
/* Before pthread_create: the child's state, ordered after everything the creator did. NULL when out of memory. */
struct thread *engine_thread_create(struct thread *creator, u64 start_pc, const u64 *fp);
void engine_thread_create_failed(struct thread *child);
/* First thing in the child. */
void engine_thread_start(struct thread *t, u32 tid, u64 stack_lo, u64 stack_hi);
/* Last thing, after all TLS destructors; reports lock-left-at-thread-exit; t's memory is recycled afterwards. */
void engine_thread_end(struct thread *t);
/* pthread_join: begin before the real call (only when it would block), end after it; joined when it succeeded. */
int engine_join_begin(struct thread *t, ref_t target, bool timed, const u64 *fp);
void engine_wait_end(struct thread *t);
void engine_joined(struct thread *t, ref_t target);
/* After a successful detach. True when the thread has ended already. */
bool engine_detached(ref_t target);
/* Before pthread_cancel, with true; with false when that has failed. */
void engine_cancelled(ref_t target, bool cancelled);

/* ---- processes ---- */
void engine_fork_prepare(struct thread *t, const u64 *fp); /* registered first, so it runs last before the fork */
void engine_fork_parent(struct thread *t, u32 child_pid);
/* In the child: new process and thread records; the caller's thread keeps what it held. */
void engine_fork_child(struct thread *t, u32 tid);
/* The parent has seen the end of this child (wait family). */
/* The thread of the parent that held the lock at addr when this process was forked, 0 if none. */
ref_t engine_fork_owner(u64 addr);
/* A try on l has failed (or a blocking acquire is about to wait): in a forked child, was it left behind by the fork?
 * Reports fork-while-locked. */
void engine_lock_busy(struct thread *t, struct lock_rec *l, const u64 *fp);
/* by_luck: it was asked for without waiting, and could as well not have ended yet. That is no order that must be. */
void engine_child_waited(struct thread *t, u32 pid, bool by_luck);
void engine_exec(struct thread *t); /* process record becomes EXECED (undone by engine_exec_failed) */
void engine_exec_failed(struct thread *t);

/* ---- locks ---- */
/* The record of the object at addr, made at first sight. Hot path inline in analyze/hot.h: engine_lock(). */
struct lock_rec *engine_lock_find(struct thread *t, u64 addr, enum object_kind kind, u32 attrs, const u64 *fp);
struct lock_rec *engine_lock_peek(u64 addr); /* NULL when unknown; makes nothing */
void engine_lock_init(struct thread *t, u64 addr, enum object_kind kind, u32 attrs, u32 sem_value, const u64 *fp);
/* Before the real destroy. */
void engine_lock_destroy(struct thread *t, u64 addr, enum object_kind kind, const u64 *fp);
/* The real destroy found it in use and left it as it was. */
void engine_lock_destroy_refused(struct thread *t, struct lock_rec *l, const u64 *fp);
/* Names a lock (sem_open name, file path, FILE, annotation). */
void engine_lock_name(struct lock_rec *l, const char *name);
/* The lock at addr, of whatever kind, for a name or level from the program: known already, or kept until its first use
 * or initialisation shows what it is. NULL when something else than a lock lives there. */
struct lock_rec *engine_lock_told(struct thread *t, u64 addr, const u64 *fp);
/* It may only be waited for while all locks held that have a level have lower ones. 0: none. */
void engine_lock_level(struct lock_rec *l, u32 level);

/* A try has failed and the thread is about to block. Publishes the wait and looks for a deadlock.
 * 0: go on and block, then call engine_wait_end, then engine_acquired if it was taken.
 * EDEADLK: --on-deadlock=break: return that to the program; nothing is published any more. */
int engine_lock_wait(struct thread *t, struct lock_rec *l, enum lock_mode mode, u32 how, const u64 *fp);
/* Only for measuring contention (measure.c): after engine_wait_end, when the lock was not taken; when it is not known
 * whether there was anything to wait for; when the thread spins and has not told engine_lock_wait. */
extern bool measure_on __attribute__((visibility("hidden")));
void engine_wait_failed_measured(struct thread *t);
void engine_wait_unknown_measured(struct thread *t);
void engine_spins_measured(struct thread *t, const struct lock_rec *l, const u64 *fp);
static inline void engine_wait_failed(struct thread *t)
{
    if (snarl_unlikely(measure_on))
        engine_wait_failed_measured(t);
}
static inline void engine_wait_unknown(struct thread *t)
{
    if (snarl_unlikely(measure_on))
        engine_wait_unknown_measured(t);
}
static inline void engine_spins(struct thread *t, const struct lock_rec *l, const u64 *fp)
{
    if (snarl_unlikely(measure_on))
        engine_spins_measured(t, l, fp);
}
/* After a successful acquire (robust ones with EOWNERDEAD too). Hot path inline: engine_acquired(). */
void engine_acquired_slow(struct thread *t, struct lock_rec *l, enum lock_mode mode, u32 how, const u64 *fp);
/* Before the real unlock. Returns 0 to go on, 1 to swallow the call (phantom hold: return success). Inline:
 * engine_release(). */
int engine_release_slow(struct thread *t, struct lock_rec *l, const u64 *fp);
/* The real call said the lock is not usable (ENOTRECOVERABLE) or the unlock failed: takes back what engine_release
 * did. */
void engine_release_failed(struct thread *t, struct lock_rec *l, enum lock_mode mode, const u64 *fp);

/* ---- semaphores (kind OBJ_SEM; lock-like ones are also held and ordered) ---- */
int engine_sem_wait(struct thread *t, struct lock_rec *s, u32 how, const u64 *fp); /* as engine_lock_wait */
void engine_sem_taken(struct thread *t, struct lock_rec *s, u32 how, const u64 *fp);
/* Before the real post; 1 = swallow it (phantom hold), as engine_release. */
int engine_sem_post(struct thread *t, struct lock_rec *s, const u64 *fp);

/* ---- conditions ---- */
/* Around the real wait: begin (checks wait-without-lock and wait-two-mutexes, releases m, publishes), end (withdraws,
 * takes m again: also on cancellation, from the clean-up handler). depth: what begin returned. ENGINE_COND_SWALLOW: the
 * mutex is a phantom hold; do not call the real wait (it would unlock somebody else's mutex), return 0 like a spurious
 * wake-up, and do not call end. */
#define ENGINE_COND_SWALLOW 0xffffffffu
u32 engine_cond_wait_begin(struct thread *t, u64 cond, struct lock_rec *m, bool timed, u32 attrs, const u64 *fp);
void engine_cond_wait_end(struct thread *t, u64 cond, struct lock_rec *m, u32 depth, const u64 *fp);
void engine_cond_init(struct thread *t, u64 cond, u32 attrs, const u64 *fp);
void engine_cond_signal(struct thread *t, u64 cond, bool all, const u64 *fp); /* before the real one */
void engine_cond_destroy(struct thread *t, u64 cond, const u64 *fp);

/* ---- barriers ---- */
void engine_barrier_init(struct thread *t, u64 barrier, u32 needed, u32 attrs, const u64 *fp);
void engine_barrier_arrive(struct thread *t, u64 barrier, const u64 *fp); /* before the real wait */
void engine_barrier_leave(struct thread *t, u64 barrier, const u64 *fp);
void engine_barrier_destroy(struct thread *t, u64 barrier, const u64 *fp);

/* ---- memory ---- */
/* True when some object may live on a page of [addr, addr + size): cheap filter for free(). Inline in hot.h:
 * engine_memory_has_objects(). */
/* free, munmap, end of a thread's stack: all objects inside die. */
void engine_memory_gone(struct thread *t, u64 addr, u64 size, const u64 *fp);

/* ---- an interpreter's global lock: modelled for the wait-for graph, hidden from orders ---- */
struct engine_interpreter {
    /* the interpreter's own state: mutexes and conditions in it are not the program's */
    u64 lo, size;
    ref_t (*owner)(void);           /* thread that holds the lock now, 0 if none or not known */
    bool (*is_lock_wait)(u64 cond); /* does a wait for this condition (within the state) mean waiting for the lock? */
};
void engine_interpreter(const struct engine_interpreter *interpreter);

/* ---- misuse found by a sensor itself (a call's own error code, or state only it sees) ---- */
void engine_misuse(struct thread *t, enum finding_rule rule, struct lock_rec *l, u32 flags, const u64 *fp);

#endif
