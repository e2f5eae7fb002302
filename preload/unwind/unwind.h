/* Stacks of the watched program, captured while it runs.
 *
 * Called by the engine's hooks for acquires whose order is news or may become it, so it must cost little: a stack that
 * the thread has captured before at the same place is proven equal by comparing the few words that its unwinding had
 * read (memo.c); another one is walked by recipes kept per return address (walk.c, recipe.c); what recipes cannot
 * express is stepped register by register (full.c). All three follow the unwind tables only; nothing is guessed.
 *
 * No function here takes the loader's lock, the program's locks or malloc. Memory outside of known stacks is asked for
 * before it is read. At most about 3 KiB of the program's stack are used. */
#ifndef SNARL_PRELOAD_UNWIND_UNWIND_H
#define SNARL_PRELOAD_UNWIND_UNWIND_H

#include "base/types.h"
#include "model/thread.h"

/* After modules_start. */
void unwind_start(void) __attribute__((visibility("hidden")));
/* In a forked child, after modules_after_fork. */
void unwind_after_fork(void) __attribute__((visibility("hidden")));

/* The engine's capture hook: the interned stack of the program's call of the function whose frame fp is
 * (analyze/engine.h), from that call outwards, at most --stack-depth frames. 0 when the arena is full. */
ref_t unwind_capture(struct thread *t, const u64 *fp) __attribute__((visibility("hidden")));

/* The same if the thread remembers it at once, else 0. Touches general registers only. */
ref_t unwind_remembered(const struct thread *t, const u64 *fp) __attribute__((visibility("hidden")));

/* While it is set, the calling thread's stacks are captured without the interpreter's adapter: it is at an instruction of
 * the interpreter, which may be in the midst of changing what the adapter reads. */
extern __thread bool unwind_native __attribute__((tls_model("initial-exec"), visibility("hidden")));

struct unwind_frame {
    u64 pc;  /* return address (interrupted instruction behind a signal frame) */
    u64 cfa; /* end of its stack frame: what it was called with as stack pointer, + 8; 0 not known */
};
/* The same frames, not interned. Their number. */
u32 unwind_frames(const u64 *fp, struct unwind_frame *out, u32 max) __attribute__((visibility("hidden")));

/* An interpreter adapter: may replace or insert frames (model/stack.h) in frames[0..n), which stand for the code
 * addresses pcs[0..n); returns their new number, at most max. NULL: no interpreter in this process. */
extern u32 (*unwind_interpreter)(struct thread *t, u64 *frames, const u64 *pcs, u32 n, u32 max)
    __attribute__((visibility("hidden")));

#endif
