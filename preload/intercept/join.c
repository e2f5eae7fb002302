/* Joining, detaching and cancelling threads, pthread's and C11's. Called by the watched program. Takes RANK_PRELOAD and
 * the engine's locks; allocates nothing.
 *
 * A join first tries; only one that would block is published as a wait. Like glibc's, it is a cancellation point only
 * when it blocks. */
#include "base/ilock.h"
#include "blocking.h"
#include "thread_map.h"

/* ---- join ---- */

enum join_form { JOIN_PLAIN, JOIN_TIMED, JOIN_CLOCK, JOIN_C11 };

struct join_call {
    pthread_t id;
    void **result;
    int *result_c11;
    enum join_form form;
    clockid_t clock;
    const struct timespec *deadline;
    ref_t target;
};

static int real_join(const struct join_call *c)
{
    switch (c->form) {
    case JOIN_TIMED:
        return REAL(pthread_timedjoin_np)(c->id, c->result, c->deadline);
    case JOIN_CLOCK:
        return REAL(pthread_clockjoin_np)(c->id, c->result, c->clock, c->deadline);
    case JOIN_C11:
        return REAL(thrd_join)(c->id, c->result_c11);
    default:
        return REAL(pthread_join)(c->id, c->result);
    }
}

/* Cancelled here, the wait is withdrawn by the unwinder. */
static __attribute__((noinline)) int join_blocked(const struct join_call *c)
{
    UNWOUND_THROUGH(blocked_unwound);
    int r = real_join(c);
    __asm__ volatile("" ::: "memory"); /* no tail call: the frame has to be there */
    return r;
}

static void joined(struct thread *t, const struct join_call *c)
{
    thread_map_drop(c->id, c->target);
    engine_joined(t, c->target);
}

static int join_wait(struct thread *t, const struct join_call *c, const u64 *fp)
{
    interceptor_again(t, fp);
    bool told = c->target && !((const struct thread_rec *)arena_at(c->target))->detached;
    int r = told ? engine_join_begin(t, c->target, c->deadline != NULL, fp) : 0;
    interceptor_leave(t);
    if (r)
        return c->form == JOIN_C11 ? thrd_error : r;
    r = join_blocked(c);
    interceptor_again(t, fp);
    if (told)
        engine_wait_end(t);
    if (r == 0 && c->target)
        joined(t, c);
    interceptor_leave(t);
    return r;
}

static int join(struct join_call *c, const u64 *fp)
{
    void *result = NULL;
    struct thread *t = interceptor_enter(fp);
    if (!t)
        return real_join(c);
    c->target = thread_map_get(c->id);
    interceptor_leave(t);
    int r = REAL(pthread_tryjoin_np)(c->id, &result);
    if (r == EBUSY)
        return join_wait(t, c, fp);
    if (r)
        return c->form == JOIN_C11 ? thrd_error : r;
    if (c->result)
        *c->result = result;
    if (c->result_c11)
        *c->result_c11 = (int)(intptr_t)result;
    interceptor_again(t, fp);
    if (c->target)
        joined(t, c);
    interceptor_leave(t);
    return 0;
}

EXPORT int pthread_join(pthread_t id, void **result)
{
    struct join_call c = {.id = id, .result = result, .form = JOIN_PLAIN};
    return join(&c, INTERCEPTOR_FP());
}

EXPORT int pthread_timedjoin_np(pthread_t id, void **result, const struct timespec *deadline)
{
    struct join_call c = {.id = id, .result = result, .form = JOIN_TIMED, .deadline = deadline};
    return join(&c, INTERCEPTOR_FP());
}

EXPORT int pthread_clockjoin_np(pthread_t id, void **result, clockid_t clock, const struct timespec *deadline)
{
    struct join_call c = {.id = id, .result = result, .form = JOIN_CLOCK, .clock = clock, .deadline = deadline};
    return join(&c, INTERCEPTOR_FP());
}

EXPORT int thrd_join(thrd_t id, int *result)
{
    struct join_call c = {.id = id, .result_c11 = result, .form = JOIN_C11};
    return join(&c, INTERCEPTOR_FP());
}

EXPORT int pthread_tryjoin_np(pthread_t id, void **result)
{
    const u64 *fp = INTERCEPTOR_FP();
    struct thread *t = interceptor_enter(fp);
    if (!t)
        return REAL(pthread_tryjoin_np)(id, result);
    struct join_call c = {.id = id, .target = thread_map_get(id)};
    int r = REAL(pthread_tryjoin_np)(id, result);
    if (r == 0 && c.target)
        joined(t, &c);
    interceptor_leave(t);
    return r;
}

/* ---- detach, cancel ---- */

static void detached(pthread_t id, ref_t target)
{
    if (target && engine_detached(target))
        thread_map_drop(id, target);
}

EXPORT int pthread_detach(pthread_t id)
{
    struct thread *t = interceptor_enter(INTERCEPTOR_FP());
    if (!t)
        return REAL(pthread_detach)(id);
    ref_t target = thread_map_get(id);
    int r = REAL(pthread_detach)(id);
    if (r == 0)
        detached(id, target);
    interceptor_leave(t);
    return r;
}

EXPORT int thrd_detach(thrd_t id)
{
    struct thread *t = interceptor_enter(INTERCEPTOR_FP());
    if (!t)
        return REAL(thrd_detach)(id);
    ref_t target = thread_map_get(id);
    int r = REAL(thrd_detach)(id);
    if (r == thrd_success)
        detached(id, target);
    interceptor_leave(t);
    return r;
}

/* A thread that blocks at a cancellation point is not stuck from here on. */
EXPORT int pthread_cancel(pthread_t id)
{
    struct thread *t = interceptor_enter(INTERCEPTOR_FP());
    if (!t)
        return REAL(pthread_cancel)(id);
    ref_t target = thread_map_get(id);
    if (target)
        engine_cancelled(target, true);
    interceptor_leave(t);
    int r = REAL(pthread_cancel)(id); /* with asynchronous cancellation of itself it does not return */
    if (r && target)
        engine_cancelled(target, false);
    return r;
}

/* libc's own handler would cancel the thread wherever it is, in the middle of a section too: signals are blocked there
 * from now on. */
EXPORT int pthread_setcanceltype(int type, int *old)
{
    if (type == PTHREAD_CANCEL_ASYNCHRONOUS)
        ilock_signals_block();
    return REAL(pthread_setcanceltype)(type, old);
}
