/* C11 mtx_* and cnd_*: glibc implements them with its own mutexes and conditions, but calls those invisibly, so they
 * are intercepted themselves and each operation counts once. thrd_* is in thread.c, call_once in once.c. Called by
 * the watched program and its libraries. Takes the engine's locks in slow paths only; arena records may be made at
 * first sight. */
#include "cond.h"
#include "mutex.h"

static SNARL_HOT struct lock_rec *mtx_record(struct thread *t, const mtx_t *m, const u64 *fp)
{
    return mutex_record(t, (const pthread_mutex_t *)m, fp);
}

/* until NULL: mtx_lock. Inside; leaves. */
static __attribute__((noinline)) int mtx_block(struct thread *t, struct lock_rec *l, mtx_t *m,
                                               const struct timespec *until, bool timed, const u64 *fp)
{
    u32 how = call_how(t, timed ? CALL_TIMED : CALL_PLAIN);
    int r = engine_lock_wait(t, l, MODE_EXCLUSIVE, how, fp);
    interceptor_leave(t);
    if (r)
        return thrd_error;
    UNWOUND_THROUGH(blocked_unwound);
    r = timed ? REAL(mtx_timedlock)(m, until) : REAL(mtx_lock)(m);
    interceptor_again(t, fp);
    engine_wait_end(t);
    if (r == thrd_success)
        engine_acquired(t, l, MODE_EXCLUSIVE, how, fp);
    else
        engine_wait_failed(t);
    interceptor_leave(t);
    return r;
}

static SNARL_HOT int mtx_lock_until(mtx_t *m, const struct timespec *until, bool timed, const u64 *fp)
{
    perturb_point();
    struct thread *t = interceptor_enter(fp);
    if (snarl_unlikely(!t))
        return timed ? REAL(mtx_timedlock)(m, until) : REAL(mtx_lock)(m);
    struct lock_rec *l = mtx_record(t, m, fp);
    int r = REAL(mtx_trylock)(m);
    if (snarl_unlikely(r == thrd_busy))
        return mtx_block(t, l, m, until, timed, fp);
    if (r == thrd_success)
        engine_acquired(t, l, MODE_EXCLUSIVE, call_how(t, timed ? CALL_TIMED : CALL_PLAIN), fp);
    interceptor_leave(t);
    return r;
}

EXPORT int mtx_lock(mtx_t *m)
{
    return mtx_lock_until(m, NULL, false, INTERCEPTOR_FP());
}

EXPORT int mtx_timedlock(mtx_t *restrict m, const struct timespec *restrict until)
{
    return mtx_lock_until(m, until, true, INTERCEPTOR_FP());
}

EXPORT int mtx_trylock(mtx_t *m)
{
    const u64 *fp = INTERCEPTOR_FP();
    struct thread *t = interceptor_enter(fp);
    if (snarl_unlikely(!t))
        return REAL(mtx_trylock)(m);
    struct lock_rec *l = mtx_record(t, m, fp);
    int r = REAL(mtx_trylock)(m);
    if (r == thrd_success)
        engine_acquired(t, l, MODE_EXCLUSIVE, how_here(t, HOW_TRY), fp);
    else if (r == thrd_busy)
        engine_lock_busy(t, l, fp);
    interceptor_leave(t);
    return r;
}

EXPORT int mtx_unlock(mtx_t *m)
{
    const u64 *fp = INTERCEPTOR_FP();
    struct thread *t = interceptor_enter(fp);
    if (snarl_unlikely(!t))
        return REAL(mtx_unlock)(m);
    struct lock_rec *l = mtx_record(t, m, fp);
    bool mine = l->owner == t->ref;
    if (snarl_unlikely(engine_release(t, l, fp))) {
        interceptor_leave(t);
        return thrd_success;
    }
    if (snarl_likely(!(l->head.attrs & ATTR_RECURSIVE))) {
        interceptor_leave(t);
        return REAL(mtx_unlock)(m);
    }
    int r = REAL(mtx_unlock)(m);
    if (r != thrd_success && mine)
        engine_release_failed(t, l, MODE_EXCLUSIVE, fp);
    interceptor_leave(t);
    return r;
}

EXPORT int mtx_init(mtx_t *m, int type)
{
    const u64 *fp = INTERCEPTOR_FP();
    int r = REAL(mtx_init)(m, type);
    struct thread *t = r == thrd_success ? interceptor_enter(fp) : NULL;
    if (t) {
        engine_lock_init(t, (u64)m, OBJ_MUTEX, type & mtx_recursive ? ATTR_RECURSIVE : 0, 0, fp);
        interceptor_leave(t);
    }
    return r;
}

EXPORT void mtx_destroy(mtx_t *m)
{
    const u64 *fp = INTERCEPTOR_FP();
    struct thread *t = interceptor_enter(fp);
    if (t) {
        engine_lock_destroy(t, (u64)m, OBJ_MUTEX, fp);
        interceptor_leave(t);
    }
    REAL(mtx_destroy)(m);
}

/* A cancellation point in glibc, though C11 knows none. */
static __attribute__((noinline)) int cnd_block(struct cond_wait *w, cnd_t *c, mtx_t *m, const struct timespec *until,
                                               bool timed)
{
    if (!cond_wait_begin(w, timed, 0))
        return thrd_success;
    UNWOUND_THROUGH(cond_unwound);
    int r = timed ? REAL(cnd_timedwait)(c, m, until) : REAL(cnd_wait)(c, m);
    cond_wait_end(w, r != thrd_error); /* the mutex was not held */
    return r;
}

static SNARL_HOT int cnd_wait_until(cnd_t *c, mtx_t *m, const struct timespec *until, bool timed, const u64 *fp)
{
    perturb_point();
    struct thread *t = interceptor_enter(fp);
    if (snarl_unlikely(!t))
        return timed ? REAL(cnd_timedwait)(c, m, until) : REAL(cnd_wait)(c, m);
    struct cond_wait w = {t, (u64)c, mtx_record(t, m, fp), 0, fp};
    return cnd_block(&w, c, m, until, timed);
}

EXPORT int cnd_wait(cnd_t *c, mtx_t *m)
{
    return cnd_wait_until(c, m, NULL, false, INTERCEPTOR_FP());
}

EXPORT int cnd_timedwait(cnd_t *restrict c, mtx_t *restrict m, const struct timespec *restrict until)
{
    if (snarl_unlikely(!deadline_valid(until)))
        return REAL(cnd_timedwait)(c, m, until); /* refused before the mutex is released */
    return cnd_wait_until(c, m, until, true, INTERCEPTOR_FP());
}

static SNARL_HOT void cnd_tell(const cnd_t *c, bool all, const u64 *fp)
{
    struct thread *t = interceptor_enter(fp);
    if (t) {
        engine_cond_signal(t, (u64)c, all, fp);
        interceptor_leave(t);
    }
}

EXPORT int cnd_signal(cnd_t *c)
{
    cnd_tell(c, false, INTERCEPTOR_FP());
    return REAL(cnd_signal)(c);
}

EXPORT int cnd_broadcast(cnd_t *c)
{
    cnd_tell(c, true, INTERCEPTOR_FP());
    return REAL(cnd_broadcast)(c);
}

EXPORT int cnd_init(cnd_t *c)
{
    const u64 *fp = INTERCEPTOR_FP();
    int r = REAL(cnd_init)(c);
    struct thread *t = r == thrd_success ? interceptor_enter(fp) : NULL;
    if (t) {
        engine_cond_init(t, (u64)c, 0, fp);
        interceptor_leave(t);
    }
    return r;
}

EXPORT void cnd_destroy(cnd_t *c)
{
    const u64 *fp = INTERCEPTOR_FP();
    struct thread *t = interceptor_enter(fp);
    if (t) {
        engine_cond_destroy(t, (u64)c, fp);
        interceptor_leave(t);
    }
    REAL(cnd_destroy)(c);
}
