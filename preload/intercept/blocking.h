/* What interceptors of calls that may block have in common: the record of a lock without a call when it is known, and
 * being unwound out of the blocked call.
 *
 * Shape of a blocking acquire: perturb_point, enter, the real try. Taken: engine_acquired, leave. Busy:
 * engine_lock_wait, leave, the real blocking call, interceptor_again, engine_wait_end, and engine_acquired when it
 * was taken. */
#ifndef SNARL_INTERCEPT_BLOCKING_H
#define SNARL_INTERCEPT_BLOCKING_H

#include <errno.h>
#include <time.h>
#include <unwind.h>

#include "interceptor.h"

/* Which form of a blocking call the program used. */
enum call_form { CALL_PLAIN, CALL_TIMED, CALL_CLOCK };

/* `how`, marked when a signal handler of the program makes the call. The fast forms never run in one. */
static SNARL_HOT u32 how_here(const struct thread *t, u32 how)
{
    return snarl_unlikely(t->handler_depth) ? how | HOW_HANDLER : how;
}
static SNARL_HOT u32 call_how(const struct thread *t, enum call_form form)
{
    return how_here(t, form == CALL_PLAIN ? HOW_BLOCK : HOW_TIMED);
}

/* The record of the lock at addr if this thread has used it lately, else NULL: then the caller reads the lock's type
 * and asks engine_lock_find. */
static SNARL_HOT struct lock_rec *lock_cached(struct thread *t, u64 addr, enum object_kind kind)
{
    return engine_lock_again(t, addr, kind);
}

/* The calling thread if nothing is unusual about it, else NULL.
 *
 * The hot interceptors have two forms. The fast one begins with this, enters by interceptor_again, and makes no call
 * but the real one; so it saves hardly any registers. Whatever is not plain it leaves to the general form, or to a
 * function for the rest of the work, as the last thing it does. They get the fast form's frame pointer. When the
 * compiler makes such a call a jump, the frame is gone, but the two words that fp is used for (caller's rbp, return
 * address) are still in place: the callee's own prologue puts the same there. */
static SNARL_HOT struct thread *interceptor_usual(void)
{
    struct thread *t = snarl_thread;
    return snarl_likely((uintptr_t)t > 1) && snarl_likely(!(t->inside | t->unusual)) ? t : NULL;
}
static SNARL_HOT const u64 *fp_not_null(const u64 *fp)
{
    if (!fp)
        __builtin_unreachable();
    return fp;
}
#define FAST_FP() fp_not_null(INTERCEPTOR_FP())

/* Enters once more: back from a real call that was made outside, or in a fast form. */
static SNARL_HOT void interceptor_again(struct thread *t, const u64 *fp)
{
    t->inside = (u64)fp;
    __atomic_signal_fence(__ATOMIC_SEQ_CST);
}

/* glibc's own test of a deadline, where a call makes it before anything else. */
static SNARL_HOT bool deadline_valid(const struct timespec *deadline)
{
    return !deadline || (u64)deadline->tv_nsec < 1000000000u;
}
static SNARL_HOT bool clock_valid(clockid_t clock)
{
    return clock == CLOCK_REALTIME || clock == CLOCK_MONOTONIC;
}

/* A deadline that has always passed: turns a timed call into a try that also says EDEADLK. Before 1970: glibc then
 * gives up without asking the kernel (which refuses such a time: not for mutexes with priority inheritance). */
extern const struct timespec long_ago __attribute__((visibility("hidden")));

/* From here to its end, the function is left by cancellation, pthread_exit or a C++ exception through `routine`,
 * which the unwinder calls as the frame's personality. That needs no landing pad and so no library of the compiler's,
 * which a C program may not have loaded. Use it in a function that is not inlined, before the real call; routine is a
 * hidden function in this library. */
#define UNWOUND_THROUGH(routine) __asm__ volatile(".cfi_personality 0x1b, " #routine)

#define UNWIND_PARAMETERS                                                                                              \
    int version, _Unwind_Action actions, _Unwind_Exception_Class class, struct _Unwind_Exception *exception,           \
        struct _Unwind_Context *context
/* True when the frame is being left (not merely searched for a handler). */
static inline bool unwind_leaves(int version, _Unwind_Action actions)
{
    return version == 1 && (actions & _UA_CLEANUP_PHASE) != 0;
}

/* Withdraws the thread's published wait. blocking.c */
_Unwind_Reason_Code blocked_unwound(UNWIND_PARAMETERS) __attribute__((visibility("hidden")));

#endif
