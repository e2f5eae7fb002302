/* A thread's condition wait as the engine sees it, shared by pthread_cond_* and C11's cnd_*. */
#ifndef SNARL_INTERCEPT_COND_H
#define SNARL_INTERCEPT_COND_H

#include "blocking.h"

struct cond_wait {
    struct thread *thread;
    u64 cond;
    struct lock_rec *mutex;
    u32 depth;
    const u64 *fp;
};

/* The wait that the calling thread is in; what cond_unwound ends. Points into the frame of the function that blocks. */
extern __thread struct cond_wait *cond_waiting __attribute__((tls_model("initial-exec"), visibility("hidden")));

/* Personality of a function that blocks in a real condition wait: when the thread is cancelled there, the real call
 * has taken the mutex again, and the engine must know before the program's clean-up handlers run. */
_Unwind_Reason_Code cond_unwound(UNWIND_PARAMETERS) __attribute__((visibility("hidden")));

/* Inside; leaves. False: the mutex is not really held (a broken deadlock's victim), the call returns 0 without
 * waiting. */
static SNARL_HOT bool cond_wait_begin(struct cond_wait *w, bool timed, u32 attrs)
{
    w->depth = engine_cond_wait_begin(w->thread, w->cond, w->mutex, timed, attrs, w->fp);
    bool go_on = w->depth != ENGINE_COND_SWALLOW;
    if (snarl_likely(go_on))
        cond_waiting = w;
    interceptor_leave(w->thread);
    return go_on;
}

/* Outside; taken: the mutex is held again. */
static SNARL_HOT void cond_wait_end(struct cond_wait *w, bool taken)
{
    interceptor_again(w->thread, w->fp);
    cond_waiting = NULL;
    engine_cond_wait_end(w->thread, w->cond, w->mutex, taken ? w->depth : 0, w->fp);
    interceptor_leave(w->thread);
}

#endif
