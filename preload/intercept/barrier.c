/* pthread_barrier_*. Called by the watched program and its libraries. Takes the engine's locks in slow paths only;
 * arena records may be made at first sight of a barrier. */
#include "blocking.h"

EXPORT int pthread_barrier_init(pthread_barrier_t *b, const pthread_barrierattr_t *attr, unsigned needed)
{
    const u64 *fp = INTERCEPTOR_FP();
    int r = REAL(pthread_barrier_init)(b, attr, needed);
    struct thread *t = r ? NULL : interceptor_enter(fp);
    if (t) {
        int shared = PTHREAD_PROCESS_PRIVATE;
        bool is_shared = attr && !pthread_barrierattr_getpshared(attr, &shared) && shared == PTHREAD_PROCESS_SHARED;
        engine_barrier_init(t, (u64)b, needed, is_shared ? ATTR_SHARED : 0, fp);
        interceptor_leave(t);
    }
    return r;
}

/* Not a cancellation point. The real destroy waits until the last round's threads have left. */
EXPORT int pthread_barrier_wait(pthread_barrier_t *b)
{
    const u64 *fp = INTERCEPTOR_FP();
    perturb_point();
    struct thread *t = interceptor_enter(fp);
    if (!t)
        return REAL(pthread_barrier_wait)(b);
    engine_barrier_arrive(t, (u64)b, fp);
    interceptor_leave(t);
    int r = REAL(pthread_barrier_wait)(b);
    interceptor_again(t, fp);
    engine_barrier_leave(t, (u64)b, fp);
    interceptor_leave(t);
    return r;
}

EXPORT int pthread_barrier_destroy(pthread_barrier_t *b)
{
    const u64 *fp = INTERCEPTOR_FP();
    struct thread *t = interceptor_enter(fp);
    if (t) {
        engine_barrier_destroy(t, (u64)b, fp);
        interceptor_leave(t);
    }
    return REAL(pthread_barrier_destroy)(b);
}
