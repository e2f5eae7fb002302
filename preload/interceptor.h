/* What every interceptor begins and ends with. Included by preload/ and preload/intercept/ only.
 *
 * An interceptor of a glibc function has this shape (files are compiled with -fno-omit-frame-pointer):
 *
 *     EXPORT int pthread_spin_unlock(pthread_spinlock_t *s)
 *     {
 *         const u64 *fp = INTERCEPTOR_FP();
 *         struct thread *t = interceptor_enter(fp);
 *         if (!t)
 *             return REAL(pthread_spin_unlock)(s);      // not started, ended, or called from snarl's own code
 *         ... engine calls ...
 *         interceptor_leave(t);
 *         return r;
 *     }
 *
 * Between enter and leave only snarl's code and try-like real functions run. Leave before a real call that may block,
 * run the program's code, be a cancellation point or not return; enter again after it. errno is left as the real
 * function set it. */
#ifndef SNARL_PRELOAD_INTERCEPTOR_H
#define SNARL_PRELOAD_INTERCEPTOR_H

#include "analyze/hot.h"
#include "real.h"

#define EXPORT __attribute__((visibility("default")))
/* A second exported name for the same function: EXPORT_ALIAS(__pthread_mutex_lock, pthread_mutex_lock); */
#if __has_attribute(__copy__)
#define COPY_ATTRIBUTES(target) __attribute__((__copy__(target)))
#else
#define COPY_ATTRIBUTES(target)
#endif
#define EXPORT_ALIAS(name, target)                                                                                     \
    extern __typeof__(target) name __attribute__((__alias__(#target), visibility("default"))) COPY_ATTRIBUTES(target)

#define INTERCEPTOR_FP() ((const u64 *)__builtin_frame_address(0))

/* NULL: not seen yet (adopted at the first call once snarl has started). SNARL_THREAD_ENDED: past its last TLS
 * destructor. */
#define SNARL_THREAD_ENDED ((struct thread *)1)
extern __thread struct thread *snarl_thread __attribute__((tls_model("initial-exec"), visibility("hidden")));

/* Adopts the calling thread when snarl runs in this process, else NULL. preload/start.c */
struct thread *interceptor_first_call(void) __attribute__((visibility("hidden")));
/* Something is unusual about the thread's state: the handler of a fault interrupted snarl's own code (counts the event,
 * returns NULL), a handler is running, or a longjmp has left one (mended here). intercept/signal.c */
struct thread *interceptor_unusual(struct thread *t, u64 fp) __attribute__((visibility("hidden")));

/* Afterwards t->handler_depth is true: non-zero means that the program's own signal handler makes this call. */
static SNARL_HOT struct thread *interceptor_enter(const u64 *fp)
{
    struct thread *t = snarl_thread;
    if (snarl_unlikely((uintptr_t)t <= 1)) {
        t = t ? NULL : interceptor_first_call();
        if (!t)
            return NULL;
    }
    /* `inside` is the frame that set it: a deeper frame is nested in it; a shallower one proves that a longjmp left it
     * behind. */
    if (snarl_unlikely((t->inside | t->handler_depth) != 0) && !interceptor_unusual(t, (u64)fp))
        return NULL;
    t->inside = (u64)fp;
    __atomic_signal_fence(__ATOMIC_SEQ_CST);
    return t;
}

/* The signals that came while the thread was inside are delivered now, and their handlers run. Only when it has left.
 * intercept/signal_defer.c */
void signal_deliver(void) __attribute__((visibility("hidden")));

/* For fast forms, which have no room for a call in their middle. True: signal_deliver is to be called before anything
 * else. */
static SNARL_HOT bool interceptor_left(struct thread *t)
{
    __atomic_signal_fence(__ATOMIC_SEQ_CST);
    t->inside = 0;
    __atomic_signal_fence(__ATOMIC_SEQ_CST);
    return snarl_unlikely(t->signals_wait);
}
static SNARL_HOT void interceptor_leave(struct thread *t)
{
    if (interceptor_left(t))
        signal_deliver();
}

/* A library's call that we have counted as one (GRecMutex) makes calls of its own that we intercept, too: those are to
 * pass through, uncounted. Around the real call, like leave and interceptor_again: handlers run, and are watched. */
#define INSIDE_QUIET 1u
static SNARL_HOT void interceptor_quiet(struct thread *t, const u64 *fp)
{
    t->inside = (u64)fp | INSIDE_QUIET;
    __atomic_signal_fence(__ATOMIC_SEQ_CST);
    if (snarl_unlikely(t->signals_wait))
        signal_deliver();
}

/* --perturb: maybe sleeps here. Call outside enter/leave, before an acquire. preload/perturb.c */
extern bool perturb_on __attribute__((visibility("hidden")));
void perturb_delay(struct thread *t) __attribute__((visibility("hidden")));
static SNARL_HOT void perturb_point(void)
{
    if (snarl_unlikely(perturb_on) && (uintptr_t)snarl_thread > 1 &&
        !(snarl_thread->inside | snarl_thread->handler_depth))
        perturb_delay(snarl_thread);
}

#endif
