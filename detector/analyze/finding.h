/* What the engine found, raw: references into the arena, no text. The only door out of the engine.
 * detector/report turns it into the result document. */
#ifndef SNARL_ANALYZE_FINDING_H
#define SNARL_ANALYZE_FINDING_H

#include "base/types.h"
#include "model/object.h"

/* X(enumerator, name in results, one line) */
#define FINDING_KINDS(X)                                                                                               \
    X(DEADLOCK, "deadlock", "threads or processes are waiting for each other now")                                     \
    X(LOCK_ORDER, "lock-order", "a cycle in the lock-order graph: a deadlock that another schedule reaches")           \
    X(LOCK_MISUSE, "lock-misuse", "a lock used against its rules")                                                     \
    X(STUCK, "stuck", "no thread can run again though no lock cycle exists")                                           \
    X(DATA_RACE, "data-race", "two accesses, one a write, not ordered by happens-before")                              \
    X(ATOMICITY, "atomicity", "an update that is lost between two critical sections")                                  \
    X(UNPROTECTED, "unprotected", "two accesses, one a write, that only the order of locks in this run kept apart")
enum finding_kind {
#define X(e, s, t) FINDING_##e,
    FINDING_KINDS(X)
#undef X
        FINDING_KIND_COUNT
};

#define FINDING_RULES(X)                                                                                               \
    X(NONE, "")                                                                                                        \
    X(UNLOCK_NOT_OWNER, "unlock-not-owner")                                                                            \
    X(UNLOCK_NOT_LOCKED, "unlock-not-locked")                                                                          \
    X(RELOCK, "relock")                                                                                                \
    X(DESTROY_LOCKED, "destroy-locked")                                                                                \
    X(USE_DESTROYED, "use-destroyed")                                                                                  \
    X(LOCK_LEFT_AT_THREAD_EXIT, "lock-left-at-thread-exit")                                                            \
    X(WAIT_WITHOUT_LOCK, "wait-without-lock")                                                                          \
    X(WAIT_TWO_MUTEXES, "wait-two-mutexes")                                                                            \
    X(FORK_WHILE_LOCKED, "fork-while-locked")                                                                          \
    X(RWLOCK_UPGRADE, "rwlock-upgrade")                                                                                \
    X(NOT_INITIALISED, "not-initialised")                                                                              \
    X(RETURNS_HOLDING, "returns-holding") /* of source code only */
enum finding_rule {
#define X(e, s) RULE_##e,
    FINDING_RULES(X)
#undef X
        RULE_COUNT
};

#define FINDING_VERDICTS(X)                                                                                            \
    X(OBSERVED, "observed") X(PREDICTED, "predicted") X(POSSIBLE, "possible") X(STATIC, "static")
enum finding_verdict {
#define X(e, s) VERDICT_##e,
    FINDING_VERDICTS(X)
#undef X
        VERDICT_COUNT
};

/* clang-format off */
/* X(enumerator, name in results) */
#define EVENT_ACTIONS(X)                                                                                               \
    X(ACQUIRE, "acquire") X(HOLD, "hold") X(WAIT, "wait") X(RELEASE, "release") X(DESTROY, "destroy")                  \
    X(INIT, "init") X(EXIT, "exit") X(FORK, "fork") X(SIGNAL, "signal") X(JOIN, "join") X(CREATE, "create")            \
    X(READ, "read") X(WRITE, "write") X(ATOMIC_READ, "atomic-read") X(ATOMIC_WRITE, "atomic-write") X(FREE, "free")            \
    X(USE, "use") X(CLOSE, "close")
/* clang-format on */
enum event_action {
#define X(e, s) EVENT_##e,
    EVENT_ACTIONS(X)
#undef X
        EVENT_ACTION_COUNT
};

struct held_snapshot {
    ref_t lock, stack;
    u64 site_pc;
    u8 mode, how;
    u16 reserved;
    u32 reserved2;
};

/* For accesses: no object, but the bytes touched. A finding about memory has two: first the access that found it, then
 * the earlier one; a lost update has three: the read, another thread's write, the write that it is lost to. A block that was freed: action FREE, any size but 0. */
/* What is waited for at a thing that is no lock. X(enumerator, name in results) */
#define FINDING_AWAITS(X)                                                                                              \
    X(NOTHING, "")                                                                                                     \
    X(DATA, "data")                                                                                                    \
    X(ROOM, "room") X(EVENT, "event") X(WAKE, "wake-up") X(END, "end") /* of process `address`, 0: any */
enum finding_awaits {
#define X(e, s) AWAITS_##e,
    FINDING_AWAITS(X)
#undef X
        AWAITS_COUNT
};

struct finding_event {
    ref_t thread;
    ref_t object; /* lock_rec, sync_rec, or thread_rec for a join; see object_kind */
    ref_t stack;
    ref_t held; /* struct held_snapshot[nheld] */
    u32 nheld;
    u8 action, mode, how, object_kind;
    u64 site_pc; /* when stack is 0 */
    u64 address;
    u32 size;   /* 0: not an access */
    u32 awaits; /* enum finding_awaits: of the thing that is no lock */
};

enum finding_flag {
    FINDING_TIMED = 1u << 0,         /* one step gives up by itself: a stall, not for ever */
    FINDING_OWNER_GONE = 1u << 1,    /* the owner has ended or was lost in a fork */
    FINDING_ENDED_PROGRAM = 1u << 2, /* snarl ended the program for it */
    FINDING_BROKEN = 1u << 3,        /* --on-deadlock=break made an acquisition fail */
    FINDING_READERS_QUEUE = 1u << 4, /* readers block readers behind a waiting writer */
    FINDING_UNLOCK_FAILED = 1u << 5, /* the call returned an error (error-checking lock) */
    FINDING_RELOCK_CONVERSION = 1u << 6,
    FINDING_CROSS_PROCESS = 1u << 7,
    FINDING_CONDITION_RELOCK = 1u << 8, /* one step is the relock inside a condition wait */
    FINDING_PY_TRY = 1u << 9,           /* a CPython take that was uncontended */
    FINDING_LEVEL = 1u << 10,           /* lock-order: no cycle, but against the levels that the program gave */
    FINDING_ACROSS_CALLS = 1u << 11,    /* atomicity: what read has returned when the value is written back */
    FINDING_MOVES = 1u << 12,           /* data-race: by plain moves, which atomic operations are compiled to as well */
};

enum finding_judgement { JUDGEMENT_NONE, JUDGEMENT_GOES_ON, JUDGEMENT_ENDS };

/* A blob in the arena; list through `next`. Events of one side stay together: for each step of a cycle first HOLD
 * (where the held lock was taken), then ACQUIRE or WAIT (where the next one is asked for). */
struct finding_rec {
    ref_t next;
    u8 kind, rule, verdict;
    u8 complete; /* readers pass over a record that is still being filled */
    u32 flags;
    u32 count;     /* times seen; atomic */
    u64 signature; /* equal within the run for the same instances and sites */
    u64 when_ns;   /* since the run's start */
    ref_t process;
    u64 mem_address; /* what it is about, when that is memory: the bytes that all its accesses touch */
    u32 mem_size;    /* 0: it is about locks */
    u32 judgement;   /* enum finding_judgement, of --halt; atomic */
    /* Where those bytes live, as for a lock in them. heap: alloc_stack and thread are those of the allocation (0 where
     * unknown). stack: frame is one of alloc_stack, else init_stack, else of the first event's stack. */
    struct object_birth memory;
    u32 nlocks, nevents;
    ref_t locks; /* ref_t[nlocks]: the objects it is about, in cycle order */
    struct finding_event events[];
};

/* Begins a finding unless one with this signature exists or is being filled (then counts it and returns 0): of two
 * threads that see the same thing at once, one reports it. Fill the record, then finding_publish. Takes
 * RANK_FINDINGS. */
ref_t finding_begin(u64 signature, u32 nlocks, u32 nevents);
void finding_publish(ref_t f, bool urgent);

#endif
