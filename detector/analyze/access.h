/* The engine's second door in: accesses to memory, what orders them, and the life of the memory itself. Called by the
 * sensors of accesses (compiler hooks, rewritten code) and by interceptors of functions that touch memory.
 *
 * Thread safety, `t` and `fp` as in engine.h. None of these functions fails. All are cheap no-ops while accesses are not
 * watched (access_on is false). The usual path of a single access is inline in analyze/access_hot.h. */
#ifndef SNARL_ANALYZE_ACCESS_H
#define SNARL_ANALYZE_ACCESS_H

#include "base/types.h"
#include "model/thread.h"

/* Bits. */
enum access_kind {
    ACCESS_READ = 0,
    ACCESS_WRITE = 1,
    ACCESS_ATOMIC = 2,   /* races with no other atomic access */
    ACCESS_FREE = 4,     /* with ACCESS_WRITE: the end of a heap block */
    ACCESS_READ_TOO = 8, /* with ACCESS_WRITE: the bytes have been read just before */
    /* Of a thing that stands behind the bytes, a lock or a descriptor: */
    ACCESS_BEGIN = 16, /* with ACCESS_WRITE: its initialisation */
    ACCESS_END = 32,   /* with ACCESS_WRITE: its end */
    ACCESS_USE = 64,   /* with ACCESS_READ */
};
/* What a site remembers of an access (site.h). */
#define ACCESS_FLAGS (ACCESS_FREE | ACCESS_BEGIN | ACCESS_END | ACCESS_USE)

extern bool access_on __attribute__((visibility("hidden")));

/* Watches accesses of this process from now on; later calls do nothing. 0, or -errno when there is no room for the
 * shadow (address space limits): then the program runs on with its locks watched. */
int access_turn_on(struct thread *t);

/* `size` bytes at addr are read or written by the program (any size, any alignment). */
void access_range(struct thread *t, u64 addr, u64 size, u32 kind, const u64 *fp);

/* The same by a function that was called by code which tells of its entries (access_hot.h). */
void access_range_by_call(struct thread *t, u64 addr, u64 size, u32 kind, const u64 *fp);

/* ---- the life of memory ---- */
/* A new heap block: no earlier access counts any more; as if its allocator had written it. stack: the call's, if it is
 * known. */
void access_block_new(struct thread *t, u64 addr, u64 size, ref_t stack, const u64 *fp);
/* Before the real free: counts as a write of the block, for accesses before and after it. call: as for
 * access_range_by_call. */
void access_block_gone(struct thread *t, u64 addr, u64 size, bool call, const u64 *fp);
/* The stack of a call made by code that tells of its entries (access_hot.h); 0: it is not known. */
ref_t access_call_stack(struct thread *t, const u64 *fp);
/* Memory that comes fresh from the system or goes back to it (stacks of threads): nothing that happened there before
 * counts. */
void access_forget(struct thread *t, u64 addr, u64 size);
/* The same of whole pages, before their mapping goes or after another one has come in its place. */
void access_mapping_gone(struct thread *t, u64 addr, u64 size);
/* After that: the new mapping is shared, with whoever has the same thing mapped. */
void access_mapping_shared(struct thread *t, u64 addr, u64 size, bool writes);
/* Are there such mappings? Then accesses of the only thread count as soon as there is another process. */
bool access_has_shared(void);
/* The thread has been told that some process has ended, without its number: the end of what comes through a pipe, a
 * signal. It comes after all that have. */
void access_others_ended(struct thread *t);
/* Another process is about to be made, other than by a fork (engine_fork_prepare). */
void access_relatives(struct thread *t);

/* ---- what the program knows better ---- */
/* Until taken back (nests), the thread's own reads or writes are not looked at; its atomics and annotations order
 * nothing. */
enum { ACCESS_IGNORE_READS = 1, ACCESS_IGNORE_WRITES = 2, ACCESS_IGNORE_ORDER = 4 };
void access_ignore(struct thread *t, u32 what, bool begin);
/* The calling thread's accesses are not looked at until access_resume(what access_pause returned). At any time: in the
 * middle of the engine's own work, too. access_resume_new: that work was left for good. */
u32 access_pause(void);
void access_resume(u32 before);
void access_resume_new(u32 before);
/* Races on these bytes are intended. `what`: for reports of how many were left out; a string that stays. */
void access_intended(u64 addr, u64 size, const char *what);
/* The calling thread's state is `t` from now on (fibers); it was another one's before. NULL: it is not watched. */
void access_thread_switched(struct thread *t);

/* ---- order: what one thread did before a release happened before what follows an acquire of the same thing ---- */
/* The thing is an address (an atomic, an annotated object, a once control) or a number in one of these spaces. */
enum hb_space {
    HB_ADDRESS = 0,
    HB_PIPE,       /* also for other processes */
    HB_DESCRIPTOR, /* of this process only */
    HB_PROCESS
};
static inline u64 hb_key(enum hb_space space, u64 number)
{
    return (u64)space << 60 | (number & 0x0fffffffffffffffULL);
}
/* In a key: it means the same in all processes of the run. */
#define HB_WIDE (4ULL << 60)
void hb_release(struct thread *t, u64 key);       /* joins what earlier releases left */
void hb_release_store(struct thread *t, u64 key); /* replaces it */
void hb_acquire(struct thread *t, u64 key);
/* C11 fences: what a release fence has seen is left by later relaxed writes; what relaxed reads have found left is taken
 * over by a later acquire fence. */
void hb_relaxed_write(struct thread *t, u64 key);
void hb_relaxed_read(struct thread *t, u64 key);
void hb_fence_release(struct thread *t);
void hb_fence_acquire(struct thread *t);
/* A plain move that reads what is taken for an atomic variable: acquires, and once more with the next acquire fence. */
void move_read(struct thread *t, u64 key);
/* How often what has happened so far was excused (moves.c). Whoever sees a new number calls move_renew before its next
 * access. */
extern u32 move_excuses __attribute__((visibility("hidden")));
void move_renew(struct thread *t);
/* Of HB_PIPE: `other` is another name of `key`, for all processes of the run. hb_is_same: it has been said of it. */
void hb_same(u64 key, u64 other);
bool hb_is_same(u64 key);
void hb_forget(struct thread *t, u64 key); /* the thing is gone: a later one of that key is another */

/* ---- an atomic operation and what it does to the clock, in one step ----
 *
 * A release store replaces the clock that earlier releases have left. Between the clock and the store another thread's
 * operation must not come, or the value of one would stand beside the clock of the other, and an acquire that reads the
 * value would miss the edge: a false race. So such operations hold the guard of their key: take, tell, do the operation,
 * give.
 *
 * No guard is held for ever: a holder that left its operation (a fault, whose handler jumps away) is overruled after a
 * time; by then the guard is open, nothing but the operation is missing. Who overrules joins clocks instead of replacing
 * them, which at worst hides a race. */
struct hb_bucket {
    u32 word; /* HB_HELD, HB_OPEN, and above them a number that moves at each step of a holder */
    u32 first;
};
enum { HB_HELD = 1, HB_OPEN = 2, HB_STEP = 4 };
#define HB_BUCKETS (1u << 20)
extern struct hb_bucket *hb_buckets __attribute__((visibility("hidden")));
extern bool hb_spilled __attribute__((visibility("hidden")));
/* Addresses of eight bytes share one: their memory ends together. */
#define HB_NEAR_SHIFT 3
static inline struct hb_bucket *hb_bucket(u64 key)
{
    return &hb_buckets[(key >> HB_NEAR_SHIFT) * 0x9e3779b97f4a7c15ULL >> 44];
}
/* Nothing was left there: an acquire has nothing to learn, as long as nothing is spilled. */
static inline bool hb_has_nothing(u64 key)
{
    return !__atomic_load_n(&hb_bucket(key)->first, __ATOMIC_ACQUIRE);
}

struct hb_hold {
    struct accesses *state;
    struct hb_bucket *bucket; /* NULL: nothing is held */
    u64 key;
    u32 word;
    bool overruled; /* another one holds it, too */
};
void hb_hold_take(struct hb_hold *h, struct thread *t, u64 key);
/* HB_RELEASE joins, with HB_REPLACE it replaces; HB_READ, HB_WRITE: relaxed. */
enum { HB_ACQUIRE = 1, HB_RELEASE = 2, HB_REPLACE = 4, HB_READ = 8, HB_WRITE = 16 };
void hb_hold_tell(struct hb_hold *h, u32 what);
void hb_hold_give(struct hb_hold *h);
/* For loads, without the guard: hb_look, the load, hb_knew. True: nobody came between, and there was nothing to learn. */
static inline u32 hb_look(u64 key)
{
    return __atomic_load_n(&hb_bucket(key)->word, __ATOMIC_ACQUIRE);
}
bool hb_knew(struct thread *t, u64 key, u32 word);

#endif
