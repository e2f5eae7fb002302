/* pthread_rwlock_*: all forms, all kinds. Called by the watched program and its libraries. Takes the engine's locks
 * in slow paths only; arena records may be made at first sight of a lock.
 *
 * Of the lock's memory only the kind and the shared mark are read. glibc's tries follow the same preference rules as
 * its blocking calls (a reader is refused while a writer waits when the kind prefers writers non-recursively). */
#include "blocking.h"

static bool rwlock_possible(const pthread_rwlock_t *rw)
{
    return rw->__data.__flags <= PTHREAD_RWLOCK_PREFER_WRITER_NONRECURSIVE_NP && rw->__data.__shared <= 1 &&
           rw->__data.__shared >= 0;
}

static u32 rwlock_attrs(const pthread_rwlock_t *rw)
{
    u32 attrs = 0;
    if (rw->__data.__flags == PTHREAD_RWLOCK_PREFER_WRITER_NONRECURSIVE_NP)
        attrs |= ATTR_WRITER_NONRECURSIVE;
    if (rw->__data.__shared == 1)
        attrs |= ATTR_SHARED;
    return attrs;
}

static SNARL_COLD struct lock_rec *rwlock_find(struct thread *t, const pthread_rwlock_t *rw, const u64 *fp)
{
    struct lock_rec *l = engine_lock_find(t, (u64)rw, OBJ_RWLOCK, rwlock_attrs(rw), fp);
    if (snarl_unlikely(!rwlock_possible(rw)) && !(l->head.attrs & ATTR_INITIALISED))
        engine_misuse(t, RULE_NOT_INITIALISED, l, 0, fp);
    return l;
}

static SNARL_HOT struct lock_rec *rwlock_rec(struct thread *t, const pthread_rwlock_t *rw, const u64 *fp)
{
    struct lock_rec *l = lock_cached(t, (u64)rw, OBJ_RWLOCK);
    return snarl_likely(l != NULL) ? l : rwlock_find(t, rw, fp);
}

struct rwlock_call {
    pthread_rwlock_t *lock;
    enum lock_mode mode;
    enum call_form form;
    clockid_t clock;
    const struct timespec *deadline;
};

static int real_lock(const struct rwlock_call *c)
{
    bool write = c->mode == MODE_EXCLUSIVE;
    switch (c->form) {
    case CALL_TIMED:
        return write ? REAL(pthread_rwlock_timedwrlock)(c->lock, c->deadline)
                     : REAL(pthread_rwlock_timedrdlock)(c->lock, c->deadline);
    case CALL_CLOCK:
        return write ? REAL(pthread_rwlock_clockwrlock)(c->lock, c->clock, c->deadline)
                     : REAL(pthread_rwlock_clockrdlock)(c->lock, c->clock, c->deadline);
    default:
        return write ? REAL(pthread_rwlock_wrlock)(c->lock) : REAL(pthread_rwlock_rdlock)(c->lock);
    }
}

static int real_try(const struct rwlock_call *c)
{
    return c->mode == MODE_EXCLUSIVE ? REAL(pthread_rwlock_trywrlock)(c->lock)
                                     : REAL(pthread_rwlock_tryrdlock)(c->lock);
}

static __attribute__((noinline)) int rwlock_block(struct thread *t, struct lock_rec *l, const struct rwlock_call *c,
                                                  const u64 *fp)
{
    u32 how = call_how(t, c->form);
    int r = engine_lock_wait(t, l, c->mode, how, fp);
    interceptor_leave(t);
    if (r)
        return r;
    UNWOUND_THROUGH(blocked_unwound);
    r = real_lock(c);
    interceptor_again(t, fp);
    engine_wait_end(t);
    if (r == 0)
        engine_acquired(t, l, c->mode, how, fp);
    else
        engine_wait_failed(t);
    interceptor_leave(t);
    return r;
}

/* The real try was refused. Inside; leaves. */
static SNARL_COLD int rwlock_not_taken(struct thread *t, struct lock_rec *l, const struct rwlock_call *c, int tried,
                                       const u64 *fp)
{
    int r = tried;
    if (tried == EBUSY) {
        if (l->owner != t->ref)
            return rwlock_block(t, l, c, fp);
        /* Its own writer: glibc answers EDEADLK at once instead of hanging. A forked child's inherited one blocks
         * after all. */
        struct rwlock_call probe = {c->lock, c->mode, CALL_TIMED, 0, &long_ago};
        r = real_lock(&probe);
        if (r == ETIMEDOUT)
            return rwlock_block(t, l, c, fp);
        if (r == EDEADLK)
            engine_misuse(t, RULE_RELOCK, l, FINDING_UNLOCK_FAILED, fp);
    }
    if (r == 0)
        engine_acquired(t, l, c->mode, call_how(t, c->form), fp);
    interceptor_leave(t);
    return r;
}

static __attribute__((noinline)) int rwlock_lock_general(pthread_rwlock_t *rw, enum lock_mode mode, const u64 *fp)
{
    struct rwlock_call c = {rw, mode, CALL_PLAIN, 0, NULL};
    perturb_point();
    struct thread *t = interceptor_enter(fp);
    if (snarl_unlikely(!t))
        return real_lock(&c);
    struct lock_rec *l = rwlock_rec(t, rw, fp);
    int r = real_try(&c);
    if (snarl_unlikely(r))
        return rwlock_not_taken(t, l, &c, r, fp);
    engine_acquired(t, l, mode, call_how(t, CALL_PLAIN), fp);
    interceptor_leave(t);
    return 0;
}

/* The fast form has tried, with answer r, and something is not plain. Inside; leaves. */
static __attribute__((noinline)) int rwlock_lock_rest(struct thread *t, struct lock_rec *l, pthread_rwlock_t *rw,
                                                      enum lock_mode mode, int r, const u64 *fp)
{
    if (snarl_unlikely(r)) {
        struct rwlock_call c = {rw, mode, CALL_PLAIN, 0, NULL};
        return rwlock_not_taken(t, l, &c, r, fp);
    }
    engine_acquired_noted(t, l, mode, HOW_BLOCK, fp);
    interceptor_leave(t);
    return 0;
}

static SNARL_HOT int rwlock_lock(pthread_rwlock_t *rw, enum lock_mode mode, const u64 *fp)
{
    struct thread *t = interceptor_usual();
    if (snarl_unlikely(!t))
        return rwlock_lock_general(rw, mode, fp);
    struct lock_rec *l = lock_cached(t, (u64)rw, OBJ_RWLOCK);
    if (snarl_unlikely(!l))
        return rwlock_lock_general(rw, mode, fp);
    interceptor_again(t, fp);
    int r = mode == MODE_EXCLUSIVE ? REAL(pthread_rwlock_trywrlock)(rw) : REAL(pthread_rwlock_tryrdlock)(rw);
    if (snarl_unlikely(r) || snarl_unlikely(!acquired_alone(t, l, mode, HOW_BLOCK, fp)))
        return rwlock_lock_rest(t, l, rw, mode, r, fp);
    interceptor_leave(t);
    return 0;
}

EXPORT int pthread_rwlock_rdlock(pthread_rwlock_t *rw)
{
    return rwlock_lock(rw, MODE_SHARED, FAST_FP());
}
EXPORT_ALIAS(__pthread_rwlock_rdlock, pthread_rwlock_rdlock);

EXPORT int pthread_rwlock_wrlock(pthread_rwlock_t *rw)
{
    return rwlock_lock(rw, MODE_EXCLUSIVE, FAST_FP());
}
EXPORT_ALIAS(__pthread_rwlock_wrlock, pthread_rwlock_wrlock);

static SNARL_HOT int rwlock_try(pthread_rwlock_t *rw, enum lock_mode mode, const u64 *fp)
{
    struct rwlock_call c = {rw, mode, CALL_PLAIN, 0, NULL};
    struct thread *t = interceptor_enter(fp);
    if (snarl_unlikely(!t))
        return real_try(&c);
    struct lock_rec *l = rwlock_rec(t, rw, fp);
    int r = real_try(&c);
    if (r == 0)
        engine_acquired(t, l, mode, how_here(t, HOW_TRY), fp);
    else if (r == EBUSY)
        engine_lock_busy(t, l, fp);
    interceptor_leave(t);
    return r;
}

EXPORT int pthread_rwlock_tryrdlock(pthread_rwlock_t *rw)
{
    return rwlock_try(rw, MODE_SHARED, INTERCEPTOR_FP());
}
EXPORT_ALIAS(__pthread_rwlock_tryrdlock, pthread_rwlock_tryrdlock);

EXPORT int pthread_rwlock_trywrlock(pthread_rwlock_t *rw)
{
    return rwlock_try(rw, MODE_EXCLUSIVE, INTERCEPTOR_FP());
}
EXPORT_ALIAS(__pthread_rwlock_trywrlock, pthread_rwlock_trywrlock);

/* A wrong deadline or clock is refused before the lock is looked at, as in glibc (for mutexes it is otherwise). */
static SNARL_HOT int rwlock_lock_until(const struct rwlock_call *c, const u64 *fp)
{
    if (snarl_unlikely(!deadline_valid(c->deadline) || (c->form == CALL_CLOCK && !clock_valid(c->clock))))
        return real_lock(c);
    perturb_point();
    struct thread *t = interceptor_enter(fp);
    if (snarl_unlikely(!t))
        return real_lock(c);
    struct lock_rec *l = rwlock_rec(t, c->lock, fp);
    int r = real_try(c);
    if (r)
        return rwlock_not_taken(t, l, c, r, fp);
    engine_acquired(t, l, c->mode, call_how(t, CALL_TIMED), fp);
    interceptor_leave(t);
    return 0;
}

EXPORT int pthread_rwlock_timedrdlock(pthread_rwlock_t *rw, const struct timespec *deadline)
{
    struct rwlock_call c = {rw, MODE_SHARED, CALL_TIMED, 0, deadline};
    return rwlock_lock_until(&c, INTERCEPTOR_FP());
}

EXPORT int pthread_rwlock_timedwrlock(pthread_rwlock_t *rw, const struct timespec *deadline)
{
    struct rwlock_call c = {rw, MODE_EXCLUSIVE, CALL_TIMED, 0, deadline};
    return rwlock_lock_until(&c, INTERCEPTOR_FP());
}

EXPORT int pthread_rwlock_clockrdlock(pthread_rwlock_t *rw, clockid_t clock, const struct timespec *deadline)
{
    struct rwlock_call c = {rw, MODE_SHARED, CALL_CLOCK, clock, deadline};
    if (snarl_unlikely(!REAL(pthread_rwlock_clockrdlock)))
        return ENOSYS; /* glibc before 2.30 */
    return rwlock_lock_until(&c, INTERCEPTOR_FP());
}

EXPORT int pthread_rwlock_clockwrlock(pthread_rwlock_t *rw, clockid_t clock, const struct timespec *deadline)
{
    struct rwlock_call c = {rw, MODE_EXCLUSIVE, CALL_CLOCK, clock, deadline};
    if (snarl_unlikely(!REAL(pthread_rwlock_clockwrlock)))
        return ENOSYS; /* glibc before 2.30 */
    return rwlock_lock_until(&c, INTERCEPTOR_FP());
}

static __attribute__((noinline)) int rwlock_unlock_general(pthread_rwlock_t *rw, const u64 *fp)
{
    struct thread *t = interceptor_enter(fp);
    if (snarl_unlikely(!t))
        return REAL(pthread_rwlock_unlock)(rw);
    struct lock_rec *l = rwlock_rec(t, rw, fp);
    int swallow = engine_release(t, l, fp);
    interceptor_leave(t);
    return snarl_unlikely(swallow) ? 0 : REAL(pthread_rwlock_unlock)(rw); /* never fails */
}

/* The fast form has left, and signals came meanwhile. */
static SNARL_COLD int rwlock_unlock_signals(pthread_rwlock_t *rw, bool released, const u64 *fp)
{
    signal_deliver();
    return released ? REAL(pthread_rwlock_unlock)(rw) : rwlock_unlock_general(rw, fp);
}

EXPORT int pthread_rwlock_unlock(pthread_rwlock_t *rw)
{
    struct thread *t = interceptor_usual();
    struct lock_rec *l;
    const struct held_entry *h = snarl_likely(t != NULL) ? innermost_hold(t, (u64)rw, OBJ_RWLOCK, &l) : NULL;
    if (snarl_unlikely(!h))
        return rwlock_unlock_general(rw, FAST_FP());
    interceptor_again(t, FAST_FP());
    bool released = released_plainly(t, l, h);
    if (interceptor_left(t))
        return rwlock_unlock_signals(rw, released, FAST_FP());
    return snarl_likely(released) ? REAL(pthread_rwlock_unlock)(rw) : rwlock_unlock_general(rw, FAST_FP());
}
EXPORT_ALIAS(__pthread_rwlock_unlock, pthread_rwlock_unlock);

EXPORT int pthread_rwlock_init(pthread_rwlock_t *rw, const pthread_rwlockattr_t *attr)
{
    const u64 *fp = INTERCEPTOR_FP();
    int r = REAL(pthread_rwlock_init)(rw, attr);
    struct thread *t = r ? NULL : interceptor_enter(fp);
    if (t) {
        engine_lock_init(t, (u64)rw, OBJ_RWLOCK, rwlock_attrs(rw), 0, fp);
        interceptor_leave(t);
    }
    return r;
}
EXPORT_ALIAS(__pthread_rwlock_init, pthread_rwlock_init);

EXPORT int pthread_rwlock_destroy(pthread_rwlock_t *rw)
{
    const u64 *fp = INTERCEPTOR_FP();
    struct thread *t = interceptor_enter(fp);
    if (t) {
        engine_lock_destroy(t, (u64)rw, OBJ_RWLOCK, fp);
        interceptor_leave(t);
    }
    return REAL(pthread_rwlock_destroy)(rw);
}
EXPORT_ALIAS(__pthread_rwlock_destroy, pthread_rwlock_destroy);
