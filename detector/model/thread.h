/* Threads and processes: the part that everybody in the run may read (in the arena), and the private part with the
 * caches.
 *
 * A thread writes its own record without locks; others read it racily and check again (analyze/waitgraph.c). */
#ifndef SNARL_MODEL_THREAD_H
#define SNARL_MODEL_THREAD_H

#include "base/types.h"
#include "model/clock.h"
#include "model/coverage.h"
#include "object.h"

enum thread_state { THREAD_FREE = 0, THREAD_NEW, THREAD_RUNNING, THREAD_ENDED, THREAD_JOINED };

/* How a lock came to be held or is being asked for. Bits. */
enum acquire_how {
    HOW_BLOCK = 0,
    HOW_TRY = 1u << 0,   /* trylock: no incoming edge */
    HOW_TIMED = 1u << 1, /* gives up by itself */
    HOW_PYTRY = 1u << 2, /* CPython's uncontended take: a try that stands for a blocking acquire (verdict possible) */
    HOW_REACQUIRE = 1u << 3,  /* by returning from a condition wait */
    HOW_HANDLER = 1u << 4,    /* inside a signal handler */
    HOW_THREAD_END = 1u << 6, /* the lock stands for the life of the taking thread */
    /* the semaphore is known to be no lock: another thread will post it (only at its take, never in a hold) */
    HOW_SIGNAL = 1u << 8,
    HOW_PHANTOM = 1u << 5, /* --on-deadlock=break: never really taken; its release is swallowed */
    /* held since before the fork that made this process: fork handlers may initialise it again */
    HOW_INHERITED = 1u << 7,
    HOW_CLOCKED = 1u << 9,   /* only in a hold: accesses are watched, its release orders them */
    HOW_MEASURED = 1u << 10, /* only in a hold: contention is measured */
};

struct held_entry {
    ref_t lock;
    ref_t node;  /* order node of this hold, 0 while not needed */
    ref_t hold;  /* interned (outer hold, lock, stack), 0 while not needed */
    ref_t stack; /* captured at the acquire, 0 if it was not (then site_pc alone is known) */
    u32 depth;   /* recursion */
    u8 mode, reserved;
    u16 how;
    u64 site_pc; /* return address of the acquiring call */
};

enum wait_kind { WAIT_NONE = 0, WAIT_LOCK, WAIT_COND, WAIT_BARRIER, WAIT_JOIN, WAIT_SEM };

/* What a thread is blocked on. Published with `seq` odd, withdrawn by making it even. */
struct wait_rec {
    u32 seq;
    u8 kind, mode, timed, reserved;
    ref_t object; /* lock_rec, sync_rec or thread_rec */
    ref_t mutex;  /* condition wait: has to be taken again before it returns */
    ref_t stack;
    u32 round; /* barrier round it waits for */
    u64 since_ns;
};

#define HELD_INLINE 8

struct thread_rec {
    ref_t link;
    u32 number; /* 1, 2, … over the run, as shown to the user */
    u32 state;
    u32 tid; /* kernel thread id, for looking at /proc only */
    ref_t process;
    ref_t segment; /* current must-order segment */
    u32 nheld;
    u32 held_cap;
    ref_t held; /* struct held_entry[held_cap]; own_held at first */
    u8 pinned;  /* a witness or finding refers to it */
    u8 is_main, detached, in_handler;
    ref_t creator, create_stack;
    ref_t next_in_process;
    u32 cancelled; /* pthread_cancel was called for it: a wait at a cancellation point ends by itself */
    struct wait_rec wait;
    u64 operations; /* lock operations; plain increments by the owner */
    u64 stack_lo, stack_hi;
    char name[16];
    u64 start_pc; /* entry function (absolute address in its process), 0 for main */
    /* While accesses are watched (analyze/lives.c): what the thread's clock is, for those who outlive it. */
    u64 clock_now;                                        /* its own time */
    struct sync_clock clock_told[2];                      /* what it knows of others */
    u32 clock_which;                                      /* of the two */
    u32 clock_lane;                                       /* lane + 1; 0: it has none */
    _Alignas(16) struct held_entry own_held[HELD_INLINE]; /* a ref_t must reach it */
};

enum process_state { PROCESS_FREE = 0, PROCESS_RUNNING, PROCESS_ENDED, PROCESS_EXECED };

struct process_rec {
    ref_t link;
    u32 number; /* 1, 2, … */
    u32 state;
    u32 pid;
    u64 start_time; /* from /proc/PID/stat, tells a reused pid */
    ref_t parent;
    ref_t threads; /* list through next_in_process */
    u32 nthreads_live, nthreads_ever;
    ref_t modules;          /* list of module_rec of this process */
    ref_t exe;              /* arena string */
    u32 handlers;           /* signal handlers of the program installed (interpreter's own do not count) */
    u32 unseen_wakers;      /* timers with threads, raw clones: something we do not see may wake waiters */
    u32 flags;              /* enum process_flag */
    u32 python;             /* 0, or version as 0x030b */
    u64 operations;         /* summed from ended threads */
    u32 dropped_in_handler; /* events dropped because a handler interrupted our code */
    u32 waiting;            /* threads of this process with a published wait, atomic */
    ref_t next_process;
    ref_t free_threads; /* records of this process to be used again; they stay in its list */
    ref_t end_segment;  /* must order: joins the last segments of all its threads (set when its end was waited for) */
    u32 reserved;
    struct sync_clock ended; /* all that its ended threads knew; threads lock */
};

enum process_flag {
    PROCESS_FUTEX_UNSEEN = 1u << 0, /* waits on futexes through libraries we do not intercept */
    PROCESS_VFORKED = 1u << 1,
    PROCESS_ALARM = 1u << 2, /* a timer has been set that sends it a signal */
};

/* Module loaded in a process at some time. Absolute pc - bias = address in the ELF file. */
struct module_rec {
    ref_t link;
    ref_t next;   /* older module of the same process */
    ref_t path;   /* arena string: as the loader opened it, made absolute */
    ref_t soname; /* arena string or 0 */
    u64 lo, hi;   /* mapped range */
    u64 bias;
    u32 id; /* small number used in stack frames, run-wide: same path + build id + bias-free layout = same id */
    u8 is_main, is_system, gone, build_id_len;
    u8 build_id[32];
    u8 is_snarl, is_libc, is_python;
    u8 is_runtime; /* C++'s standard library: what it allocates, its caller does */
    struct coverage coverage;
};

#define LOCK_CACHE 256u
#define CREATOR_FRAMES 24u
#define ORDER_CACHE 512u

struct lock_slot {
    u64 addr;
    ref_t lock;
    u32 uid;
};

struct order_slot {
    ref_t parent, lock; /* key, with seg_mode */
    ref_t child;
    u32 seg_mode; /* segment << 4 ^ order_way() */
};

struct unwind_memo;
struct accesses;
struct measures;

/* Frames of an interpreter's program at the thread's last failed try of a semaphore, for the wait that follows: by then
 * they stand still but can no longer be read (preload/unwind/python.c). */
#define WAIT_FRAMES 64u
struct wait_frames {
    u64 sem;        /* 0: none */
    u64 operations; /* the thread's count of lock operations then */
    u32 n;
    bool waiting; /* the wait has begun */
    u64 frame[WAIT_FRAMES];
};

/* The calling thread's private state: own mapping, found through one initial-exec TLS pointer, outlives the TLS
 * destructors. */
struct thread {
    /* non-zero while snarl's own code runs: stack pointer there. Nested interceptor calls pass through. */
    u64 inside;
    struct thread_rec *rec;
    struct held_entry *held; /* rec->held resolved */
    ref_t ref;
    ref_t node; /* order node of the innermost hold, 0 = not resolved or nothing held */
    union {
        struct {
            u16 handler_depth;
            u8 signals_wait; /* a handler came while `inside`: whoever clears that delivers it (base/ilock.h) */
            u8 perturbed;    /* delays are asked for */
        };
        u32 unusual; /* all of them at once */
    };
    u32 order_epoch; /* run's epoch when the order cache was last valid */
    u64 perturb_state;
    u64 wait_start;
    struct unwind_memo *memo;
    struct thread *next_private; /* free list of private states */
    struct accesses *accesses;   /* NULL while accesses are not watched (analyze/accesses.h) */
    void *alloc_notes;           /* recent allocations (preload/intercept/alloc.c) */
    /* The creator's stack at the create: return addresses and CFAs, innermost first (preload/locate.c). */
    u32 ncreator;
    u64 creator_sp, creator_pc[CREATOR_FRAMES], creator_cfa[CREATOR_FRAMES];
    struct wait_frames wait_frames;
    u64 scratch[4];
    struct lock_slot lock_cache[LOCK_CACHE];
    struct order_slot order_cache[ORDER_CACHE];
    /* What does not fit there: open addressing, own memory, made and grown when needed (order.c). */
    struct order_slot *orders;
    u32 orders_mask, norders;
    struct measures *measures; /* NULL until contention is measured (analyze/measure.c) */
};

#endif
