/* A thread that is unwound out of a blocked real call (cancelled, or a signal handler threw) waits no longer: says so
 * before the program's clean-up code runs. Called by the unwinder, as the personality of interceptors' blocking
 * halves. Takes the engine's locks; does not allocate. */
#include "blocking.h"

const struct timespec long_ago = {-1, 0};

_Unwind_Reason_Code blocked_unwound(UNWIND_PARAMETERS)
{
    (void)class, (void)exception, (void)context;
    if (!unwind_leaves(version, actions))
        return _URC_CONTINUE_UNWIND;
    struct thread *t = interceptor_enter(INTERCEPTOR_FP());
    if (t) {
        t->wait_frames.sem = 0;
        if (t->rec->wait.seq & 1)
            engine_wait_end(t);
        engine_wait_failed(t);
        interceptor_leave(t);
    }
    return _URC_CONTINUE_UNWIND;
}
