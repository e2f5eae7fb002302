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

/* ---- the life of memory ---- */
/* A new heap block: no earlier access counts any more; as if its allocator had written it. */
void access_block_new(struct thread *t, u64 addr, u64 size, const u64 *fp);
/* Before the real free: counts as a write of the block, for accesses before and after it. */
void access_block_gone(struct thread *t, u64 addr, u64 size, const u64 *fp);
/* Memory that comes fresh from the system or goes back to it (mmap, munmap, stacks of threads): nothing that happened
 * there before counts. */
void access_forget(struct thread *t, u64 addr, u64 size);

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
enum hb_space { HB_ADDRESS = 0, HB_PIPE, HB_FILE, HB_PROCESS };
static inline u64 hb_key(enum hb_space space, u64 number)
{
    return (u64)space << 60 | (number & 0x0fffffffffffffffULL);
}
void hb_release(struct thread *t, u64 key);       /* joins what earlier releases left */
void hb_release_store(struct thread *t, u64 key); /* replaces it */
void hb_acquire(struct thread *t, u64 key);
/* C11 fences: what a release fence has seen is left by later relaxed writes; what relaxed reads have found left is taken
 * over by a later acquire fence. */
void hb_relaxed_write(struct thread *t, u64 key);
void hb_relaxed_read(struct thread *t, u64 key);
void hb_fence_release(struct thread *t);
void hb_fence_acquire(struct thread *t);
void hb_forget(struct thread *t, u64 key); /* the thing is gone: a later one of that key is another */

#endif
