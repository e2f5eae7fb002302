/* pthread_cond_*. Called by the watched program and its libraries. Takes the engine's locks in slow paths only; arena
 * records may be made at first sight of a condition.
 *
 * The release and the taking again of the mutex happen inside glibc, invisibly, and are told to the engine here. */
#include "cond.h"
#include "mutex.h"

#define COND_SHARED 1u /* of __wrefs */

__thread struct cond_wait *cond_waiting;

_Unwind_Reason_Code cond_unwound(UNWIND_PARAMETERS)
{
    (void)class, (void)exception, (void)context;
    if (!unwind_leaves(version, actions))
        return _URC_CONTINUE_UNWIND;
    struct cond_wait *w = cond_waiting;
    if (w)
        cond_wait_end(w, true);
    return _URC_CONTINUE_UNWIND;
}

static u32 cond_attrs(const pthread_cond_t *c)
{
    return __atomic_load_n(&c->__data.__wrefs, __ATOMIC_RELAXED) & COND_SHARED ? ATTR_SHARED : 0;
}

struct cond_call {
    pthread_cond_t *cond;
    pthread_mutex_t *mutex;
    enum call_form form;
    clockid_t clock;
    const struct timespec *deadline;
};

static int real_wait(const struct cond_call *c)
{
    switch (c->form) {
    case CALL_TIMED:
        return REAL(pthread_cond_timedwait)(c->cond, c->mutex, c->deadline);
    case CALL_CLOCK:
        return REAL(pthread_cond_clockwait)(c->cond, c->mutex, c->clock, c->deadline);
    default:
        return REAL(pthread_cond_wait)(c->cond, c->mutex);
    }
}

static __attribute__((noinline)) int cond_block(struct cond_wait *w, const struct cond_call *c)
{
    if (!cond_wait_begin(w, c->form != CALL_PLAIN, cond_attrs(c->cond)))
        return 0;
    UNWOUND_THROUGH(cond_unwound);
    int r = real_wait(c);
    cond_wait_end(w, r != ENOTRECOVERABLE && r != EPERM);
    return r;
}

static SNARL_HOT int cond_wait(const struct cond_call *c, const u64 *fp)
{
    perturb_point();
    struct thread *t = interceptor_enter(fp);
    if (snarl_unlikely(!t))
        return real_wait(c);
    struct cond_wait w = {t, (u64)c->cond, mutex_record(t, c->mutex, fp), 0, fp};
    return cond_block(&w, c);
}

EXPORT int pthread_cond_wait(pthread_cond_t *cond, pthread_mutex_t *m)
{
    struct cond_call c = {cond, m, CALL_PLAIN, 0, NULL};
    return cond_wait(&c, INTERCEPTOR_FP());
}

/* A wrong deadline or clock is refused before the mutex is released, as in glibc. */
EXPORT int pthread_cond_timedwait(pthread_cond_t *cond, pthread_mutex_t *m, const struct timespec *deadline)
{
    struct cond_call c = {cond, m, CALL_TIMED, 0, deadline};
    if (snarl_unlikely(!deadline_valid(deadline)))
        return real_wait(&c);
    return cond_wait(&c, INTERCEPTOR_FP());
}

EXPORT int pthread_cond_clockwait(pthread_cond_t *cond, pthread_mutex_t *m, clockid_t clock,
                                  const struct timespec *deadline)
{
    struct cond_call c = {cond, m, CALL_CLOCK, clock, deadline};
    if (snarl_unlikely(!REAL(pthread_cond_clockwait)))
        return ENOSYS; /* glibc before 2.30 */
    if (snarl_unlikely(!deadline_valid(deadline) || !clock_valid(clock)))
        return real_wait(&c);
    return cond_wait(&c, INTERCEPTOR_FP());
}

EXPORT int pthread_cond_signal(pthread_cond_t *c)
{
    const u64 *fp = INTERCEPTOR_FP();
    struct thread *t = interceptor_enter(fp);
    if (t) {
        engine_cond_signal(t, (u64)c, false, fp);
        interceptor_leave(t);
    }
    return REAL(pthread_cond_signal)(c);
}

EXPORT int pthread_cond_broadcast(pthread_cond_t *c)
{
    const u64 *fp = INTERCEPTOR_FP();
    struct thread *t = interceptor_enter(fp);
    if (t) {
        engine_cond_signal(t, (u64)c, true, fp);
        interceptor_leave(t);
    }
    return REAL(pthread_cond_broadcast)(c);
}

EXPORT int pthread_cond_init(pthread_cond_t *c, const pthread_condattr_t *attr)
{
    const u64 *fp = INTERCEPTOR_FP();
    int r = REAL(pthread_cond_init)(c, attr);
    struct thread *t = r ? NULL : interceptor_enter(fp);
    if (t) {
        engine_cond_init(t, (u64)c, cond_attrs(c), fp);
        interceptor_leave(t);
    }
    return r;
}

/* The real destroy may wait until woken waiters have left. */
EXPORT int pthread_cond_destroy(pthread_cond_t *c)
{
    const u64 *fp = INTERCEPTOR_FP();
    struct thread *t = interceptor_enter(fp);
    if (t) {
        engine_cond_destroy(t, (u64)c, fp);
        interceptor_leave(t);
    }
    return REAL(pthread_cond_destroy)(c);
}
