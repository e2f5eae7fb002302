/* What the watched program synchronises with: locks, and the things that threads wait on without owning them.
 *
 * An object's identity is its record, not its address: when the memory is destroyed, freed, unmapped or initialised
 * again the record dies (uid becomes 0) and the next use of the address makes a new one. Where it was born is kept for
 * naming its class, which happens outside the program (detector/symbol). Process-shared objects have one record for all
 * processes of the run. */
#ifndef SNARL_MODEL_OBJECT_H
#define SNARL_MODEL_OBJECT_H

#include "base/types.h"
#include "model/clock.h"

/* X(enumerator, name in results) */
#define OBJECT_KINDS(X)                                                                                                \
    X(NONE, "none")                                                                                                    \
    X(MUTEX, "mutex")                                                                                                  \
    X(RWLOCK, "rwlock")                                                                                                \
    X(SPIN, "spin")                                                                                                    \
    X(SEM, "sem")                                                                                                      \
    X(FLOCK, "flock")                                                                                                  \
    X(FCNTL, "fcntl")                                                                                                  \
    X(CUSTOM, "custom") /* once, static guards, FILE locks, the interpreter lock, annotated locks */                   \
    X(COND, "condition")                                                                                               \
    X(BARRIER, "barrier")                                                                                              \
    /* waited for outside of locks: seen by the kernel's eyes only (detector/hang) */                                  \
    X(PIPE, "pipe")                                                                                                    \
    X(SOCKET, "socket")                                                                                                \
    X(EVENTS, "events")                                                                                                \
    X(CHILD, "child")                                                                                                  \
    X(WORD, "futex")                                                                                                   \
    X(THREAD, "thread") /* only as what a join waits for */
enum object_kind {
#define X(e, s) OBJ_##e,
    OBJECT_KINDS(X)
#undef X
        OBJ_KIND_COUNT
};

enum lock_mode { MODE_EXCLUSIVE = 0, MODE_SHARED = 1 };

/* Attributes given when an object is first seen or initialised. */
enum object_attr {
    ATTR_SHARED = 1u << 0, /* process-shared */
    ATTR_RECURSIVE = 1u << 1,
    ATTR_ERRORCHECK = 1u << 2, /* relock and foreign unlock return errors: no self-deadlock */
    ATTR_ROBUST = 1u << 3,
    ATTR_WRITER_NONRECURSIVE = 1u << 4, /* rwlock: readers queue behind waiting writers */
    ATTR_LOCKLIKE = 1u << 5,            /* semaphore that started at 1 and was only ever posted by its last taker */
    ATTR_ONCE = 1u << 6,                /* pthread_once, call_once, __cxa_guard: held while the initialiser runs */
    ATTR_FILE = 1u << 7,                /* stdio FILE lock (recursive) */
    ATTR_INTERPRETER = 1u << 8,         /* an interpreter's global lock: modelled, hidden from orders */
    ATTR_NAMED = 1u << 9,               /* `name` says where it comes from (sem_open name, file path, label) */
    ATTR_INITIALISED = 1u << 10,        /* an init call was seen; otherwise static or unseen */
    ATTR_INIT_UNKNOWN_VALUE = 1u << 11, /* semaphore whose initial value was not seen */
    ATTR_PROCESS_OWNED = 1u << 12,      /* the process owns it, any thread may release (fcntl record locks, flock) */
    ATTR_PYTHON = 1u << 13,             /* a CPython threading lock */
    ATTR_WRITE_LOCKED_EVER = 1u << 14,
    ATTR_CLOCKED = 1u << 19,  /* accesses are watched: it orders them */
    ATTR_INHERIT = 1u << 18,  /* priority inheritance: the kernel knows the owner */
    ATTR_MEASURED = 1u << 21, /* contention is measured: it takes the slow paths */
    ATTR_TOLD = 1u << 20,     /* an annotation speaks of it, before its first use: of which kind it is shows then */
    /* taken at a thread's start and given back at its end: taking it is joining that thread (CPython) */
    ATTR_THREAD_END = 1u << 17,
    ATTR_UNTRACKED = 1u << 15, /* the stand-in when the arena is full: nothing is recorded of it */
    ATTR_RECORD =
        1u << 16, /* POSIX record lock: threads of one process never keep each other from it, and the kernel answers
                                      EDEADLK to the wait that closes a cycle of such waits */
};

/* Mutexes that know their owner: an unlock or a condition wait of somebody else is refused and changes nothing. */
#define ATTRS_OWNER_CHECKED (ATTR_RECURSIVE | ATTR_ERRORCHECK | ATTR_ROBUST | ATTR_INHERIT)

enum object_state { OBJECT_FREE = 0, OBJECT_LIVE, OBJECT_DEAD /* destroyed or freed, kept for what refers to it */ };

enum object_region {
    REGION_UNKNOWN = 0,
    REGION_GLOBAL,
    REGION_HEAP,
    REGION_STACK,
    REGION_SHARED,
    REGION_FILE,
    REGION_TLS,
    REGION_DESCRIPTOR /* no memory of the program's: what stands for a file descriptor */
};

/* Where an object was born; everything that detector/symbol needs to name its class. */
/* The size may be 8 bytes too large, and alloc_stack is of a use: nobody has seen the allocation. */
#define HEAP_ROUNDED 1u
#define HEAP_UNKNOWN (~0ull) /* its size: a whole number of pages */

struct object_birth {
    ref_t init_stack; /* stack of the init call, or of the first use seen */
    /* heap: stack (or the one call site known) of the allocation. descriptor: of what made it. stack: when the frame is not in init_stack, the one
     * it is in */
    ref_t alloc_stack;
    u8 region; /* enum object_region */
    u8 init_seen;
    /* stack variable: which frame of init_stack holds it (0 = innermost). heap: HEAP_ROUNDED: as the allocator has it */
    u16 frame;
    ref_t module; /* global, tls: its module. shared: of a pointer that leads there, 0: none is known */
    /* global: link-time address in the module. heap: offset in the block. stack: address - CFA of `frame`, signed. tls:
     * in the module's TLS segment. shared: behind what the pointer leads to; without one, in what is mapped. */
    u64 offset;
    /* heap: size as asked for. stack: the return address in that frame, 0 if unknown. descriptor: its number. shared: the
     * pointer's link-time address */
    u64 alloc_size;
    ref_t name;   /* arena string, with ATTR_NAMED */
    ref_t thread; /* thread that was there */
};

/* Common head of lock_rec and sync_rec. 32 bytes. */
struct object_head {
    ref_t link; /* reserved for the free list; 0 while live */
    u32 uid;    /* unique in the run; 0 when the object is dead. Caches hold (ref, uid). */
    u64 addr;   /* in the process that saw it first */
    u8 kind, state;
    u8 pinned; /* enum object_pin: something refers to it, the record stays */
    u8 framed; /* in a function's frame: it lives no longer than that (hot.h) */
    u32 attrs;
    ref_t process; /* 0 for objects shared between processes */
    u32 mark;      /* of the last graph search that visited it (graph lock) */
};

enum object_pin { PIN_GRAPH = 1, PIN_FINDING = 2, PIN_TABLE = 4, PIN_BUSY = 8 };

struct lock_rec {
    struct object_head head;
    /* hot: written by the owner only, next to what it has just locked */
    /* thread that holds it exclusively, 0 if none. Cleared before the real unlock, set after the acquire. */
    ref_t owner;
    ref_t edges_in;   /* reachability: edges that end here (graph lock) */
    u32 acquisitions; /* wraps; statistics */
    u32 contended;
    ref_t nodes;     /* order nodes for this lock (graph lock) */
    u32 rank;        /* position in the incremental topological order, 0 = not in it (graph lock) */
    ref_t tangle;    /* union-find parent: locks of one strongly connected component (graph lock) */
    ref_t edges_out; /* reachability: edges that start here (graph lock) */
    /* semaphores */
    union {
        struct {
            u32 sem_initial, sem_posts, sem_takes;
        };
        struct {
            /* Not a semaphore: its maker's count of operations and of held locks when it was made, for telling whether
             * anybody else can know it yet (order.c). born 0: not known. */
            u32 born, born_operations, born_held;
        };
    };
    ref_t sem_last_taker;
    u32 waiters;       /* threads blocked on it, atomic */
    ref_t end_segment; /* ATTR_THREAD_END: the last must-order segment of the thread that has ended */
    u32 level;         /* given by the program: taken only while all others held have lower ones; 0: none */
    u32 measured;      /* number of its class for measuring contention (analyze/measure.c); 0: not known yet */
    struct object_birth birth;
    struct sync_clock clock; /* left by its last exclusive holder; protected by the lock itself */
    u32 section;             /* exclusive acquires since accesses are watched; protected by the lock itself */
    /* While accesses are watched (lock_life.c): */
    u32 begun_lane; /* its initialisation, as a time of that lane; */
    u64 begun_time; /* 0: not seen */
    ref_t user;     /* the last to let it go, and where it was taken */
    ref_t user_stack;
    u64 user_pc;
    u32 user_number; /* of that thread */
    u32 weak;        /* what its process knows of it in the weak order (weak.c); 0: nothing */
};

/* Condition variable or barrier. */
struct sync_rec {
    struct object_head head;
    u32 waiters;        /* threads inside wait */
    u32 tokens;         /* wake-ups sent and not yet consumed (condition) */
    ref_t mutex;        /* mutex of the current waiters (condition) */
    u32 needed;         /* barrier: parties */
    u32 arrived;        /* barrier: in this round */
    u32 round;          /* barrier: rounds completed */
    ref_t segment;      /* barrier: must-order join of this round's parties so far */
    ref_t segment_done; /* barrier: the join of the round just completed */
    ref_t last_signaller;
    u32 witness_changes; /* barrier: run's count when the last round ended */
    struct object_birth birth;
};

#endif
