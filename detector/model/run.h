/* The run: options, run-wide counters and the heads of all tables, at arena_header()->run. */
#ifndef SNARL_MODEL_RUN_H
#define SNARL_MODEL_RUN_H

#include "base/arena.h"
#include "base/ilock.h"
#include "base/types.h"
#include "model/clock.h"
#include "model/patterns.h"

enum on_deadlock { ON_DEADLOCK_ABORT = 0, ON_DEADLOCK_REPORT, ON_DEADLOCK_BREAK };
/* How memory accesses are seen. In the options: what was asked for; in the run: what has come of it. */
enum access_source { ACCESSES_AUTO = 0, ACCESSES_COMPILED, ACCESSES_NONE, ACCESSES_REWRITE };
enum detect_bit {
    DETECT_DEADLOCK = 1u << 0,
    DETECT_MISUSE = 1u << 1,
    DETECT_RACE = 1u << 2,
    DETECT_ATOMICITY = 1u << 3,
    DETECT_CONTENTION = 1u << 4
};

/* What the user asked for; the same for every process of the run. */
struct run_options {
    u32 on_deadlock;
    u32 detect;
    u32 follow;
    u32 perturb;
    u64 perturb_seed;
    u32 stack_depth; /* frames kept of a stack, 1..STACK_MAX_FRAMES */
    u32 exit_code;
    u32 accesses; /* enum access_source */
    u32 halt;     /* end the run at the first finding that counts */
    char modules
        [PATTERNS_BYTES]; /* whose accesses are watched; "": the program and what does not come with the system */
};

/* Things given up; every one shows in the report's coverage line. X(name, text for "N …") */
#define RUN_LOSSES(X)                                                                                                  \
    X(arena_full, "records not kept: the run's memory is full")                                                        \
    X(orders_forgotten, "lock orders forgotten to save memory")                                                        \
    X(search_cut, "cycle searches cut short")                                                                          \
    X(witness_dropped, "older contexts of a lock order dropped")                                                       \
    X(handler_events, "lock operations inside signal handlers not seen")                                               \
    X(stack_cut, "stacks cut at the depth limit")                                                                      \
    X(stack_incomplete, "stacks that could not be unwound to their end")                                               \
    X(process_unwatched, "child processes that could not be watched")                                                  \
    X(deep_context, "contexts with too many locks held, shortened")                                                    \
    X(lanes_forced, "threads taken to begin after ended ones: too many to tell apart")                                 \
    X(intended_full, "intended races not noted: too many")                                                             \
    X(sites_full, "accesses whose stack could not be kept")                                                            \
    X(epochs_reused, "accesses forgotten: too many at the same time")                                                  \
    X(releases_joined, "releases taken for those of other objects, too: too many of them")                             \
    X(shadow_forgotten, "parts of memory (16 MiB each) whose accesses were forgotten to save memory")                  \
    X(shadow_uncovered, "accesses outside of the watched address space")                                               \
    X(threads_unwatched, "threads whose accesses were not watched")                                                    \
    X(python_unknown, "Python frames not read: unknown interpreter layout")                                            \
    X(accesses_unwatched, "processes without room to watch memory accesses")                                           \
    X(shared_unwatched, "shared mappings whose accesses were not compared between processes")                          \
    X(shared_forgotten, "accesses to shared memory forgotten: too many of the same bytes")                             \
    X(modules_unwatched, "modules whose code could not be rewritten: their accesses were not watched")                 \
    X(machines_unwatched,                                                                                              \
      "virtual machines left alone: the code that they make is not seen; --modules=NAME watches the rest of one")      \
    X(contention_full, "locks whose contention was not measured: too many kinds of them")                              \
    X(heap_blocks, "heap blocks not noted: where they were allocated is not known")                                    \
    X(slots_closed, "calls that could not be intercepted: their module is closed to changes")

enum run_loss {
#define X(n, t) LOSS_##n,
    RUN_LOSSES(X)
#undef X
        LOSS_COUNT
};

struct run_state {
    struct ilock threads_lock, graph_lock, stacks_lock, findings_lock;
    struct run_options options;
    u64 start_ns, end_ns;
    u32 next_uid; /* objects */
    u32 next_thread, next_process, next_module;
    u32 next_segment, next_search;
    u32 ranks_before, ranks_behind; /* of the topological order of locks (analyze/reach.c) */
    u32 witness_changes;            /* bumped when a witness is added or moves to a new segment */
    /* the must order is incomplete from here on: what cannot be proved unordered counts as ordered */
    u32 segments_full;
    u32 waiting; /* threads with a published wait, atomic */
    ref_t findings, findings_tail;
    u32 nfindings;
    u32 news;   /* futex word: bumped when a finding is complete; the CLI waits on it */
    u32 urgent; /* findings that the user must hear of at once (observed deadlocks) */
    /* --halt: whether a finding counts is asked of `snarl run`, process `judge`, 0: there is none. It bumps `judged`, a
     * futex word, whenever it has looked. halted: a finding because of which the run ends. */
    u32 judge, judged;
    ref_t halted;
    u32 order_epoch;
    u32 accesses;    /* ACCESSES_COMPILED or _REWRITE once a process watches them, 0 before */
    u32 modules_met; /* words of options.modules that some module was meant by; RUN_MODULES_ASKED: it was looked for */
    /* A process is rewriting code since then, 0: none is; bytes of code, and how many are done. Atomic; the CLI looks. */
    u64 rewriting_since, rewriting_bytes, rewriting_done;
    u32 rewriting_pid;
    u64 rewritten_bytes, rewritten_cached, rewritten_cpu_ns; /* of all processes; from the cache */
    ref_t module_ids;                                        /* list of first module_rec per id */
    ref_t stack_table, string_table, node_table, hold_table, shared_table;
    u32 stack_table_size, string_table_size, node_table_size, hold_table_size, shared_table_size;
    u32 nstacks, nstrings, nnodes, nholds, nshared;
    u32 zombies;          /* dead locks kept because orders refer to them */
    ref_t nobody;         /* lock_rec that stands in when the arena is full */
    ref_t processes;      /* list through next_process */
    u64 objects_seen[16]; /* per enum object_kind */
    /* Lanes (model/lanes.c), guarded by threads_lock. Lists: lane + 1 of the first, 0 when empty. */
    u32 next_lane, ended_lanes, passed_lanes, lanes_reserved;
    ref_t shared; /* struct shared_run (analyze/shared.h), made when processes first share something */
    ref_t lane_pages[CLOCK_LANES / LANE_PAGE];
    /* Contention (analyze/measure.c). tick_rate: see base/ticks.h */
    u64 tick_rate;
    ref_t measure_table;
    u32 nmeasured;
    u64 lost[LOSS_COUNT];
};

#define RUN_MODULES_ASKED (1u << 31)

static inline struct run_state *run(void)
{
    return arena_at(arena_header()->run);
}
static inline void run_lost(enum run_loss what)
{
    __atomic_fetch_add(&run()->lost[what], 1, __ATOMIC_RELAXED);
}

#endif
