/* pthread_mutex_*: every kind glibc has, every way to take one. Called by the watched program and its libraries.
 * Takes the engine's locks in slow paths only; arena records may be made at first sight of a mutex.
 *
 * Only the type field of a mutex is read (and, while there is one thread, whether it is free); nothing is written. A
 * real try comes first; in every kind (robust, priority
 * inheritance, priority ceiling) it makes the same checks with the same answers as the blocking call, so any answer
 * but "busy" is final. Asking again would not do: a refused ceiling has side effects in glibc. For robust mutexes the
 * try is a timed lock whose deadline has passed: glibc's trylock leaves one that is not recoverable locked for ever.
 * pthread_mutex_consistent changes nothing of what we record (the mutex is held before and after) and is not
 * intercepted. */
#include "mutex.h"

#include <sys/single_threaded.h>

#define KIND_TYPE 0x3 /* normal, recursive, error-checking, adaptive */
#define KIND_ROBUST 0x10
#define KIND_INHERIT 0x20
#define KIND_SHARED 0x80
#define KIND_ALL 0x3f3 /* the above, priority ceiling and the two elision bits */
#define KIND_DESTROYED (-1)

static int mutex_kind(const pthread_mutex_t *m)
{
    return __atomic_load_n(&m->__data.__kind, __ATOMIC_RELAXED);
}

static bool kind_possible(int kind)
{
    return !(kind & ~KIND_ALL);
}

/* Robust mutexes carry the shared bit always: the engine asks whether the memory is really shared. */
static u32 kind_attrs(int kind)
{
    u32 attrs = 0;
    if (!kind_possible(kind))
        return 0;
    if ((kind & KIND_TYPE) == PTHREAD_MUTEX_RECURSIVE)
        attrs |= ATTR_RECURSIVE;
    if ((kind & KIND_TYPE) == PTHREAD_MUTEX_ERRORCHECK)
        attrs |= ATTR_ERRORCHECK;
    if (kind & KIND_ROBUST)
        attrs |= ATTR_ROBUST;
    if (kind & KIND_INHERIT)
        attrs |= ATTR_INHERIT;
    if (kind & KIND_SHARED)
        attrs |= ATTR_SHARED;
    return attrs;
}

SNARL_COLD struct lock_rec *mutex_find(struct thread *t, const pthread_mutex_t *m, const u64 *fp)
{
    int kind = mutex_kind(m);
    struct lock_rec *l = engine_lock_find(t, (u64)m, OBJ_MUTEX, kind_attrs(kind), fp);
    if (snarl_unlikely(!kind_possible(kind)) && kind != KIND_DESTROYED && !(l->head.attrs & ATTR_INITIALISED))
        engine_misuse(t, RULE_NOT_INITIALISED, l, 0, fp);
    return l;
}

struct mutex_call {
    pthread_mutex_t *mutex;
    enum call_form form;
    clockid_t clock;
    const struct timespec *deadline;
};

static int real_lock(const struct mutex_call *c)
{
    switch (c->form) {
    case CALL_TIMED:
        return REAL(pthread_mutex_timedlock)(c->mutex, c->deadline);
    case CALL_CLOCK:
        return REAL(pthread_mutex_clocklock)(c->mutex, c->clock, c->deadline);
    default:
        return REAL(pthread_mutex_lock)(c->mutex);
    }
}

static SNARL_COLD int robust_try(pthread_mutex_t *m)
{
    if (mutex_kind(m) & KIND_INHERIT)
        return REAL(pthread_mutex_trylock)(m);
    int r = REAL(pthread_mutex_timedlock)(m, &long_ago);
    return r == ETIMEDOUT ? EBUSY : r;
}

static SNARL_HOT int mutex_try(const struct lock_rec *l, pthread_mutex_t *m)
{
    return snarl_unlikely(l->head.attrs & ATTR_ROBUST) ? robust_try(m) : REAL(pthread_mutex_trylock)(m);
}

/* Tells the engine that t waits, blocks, and records how it ended. Inside; leaves. */
static __attribute__((noinline)) int mutex_block(struct thread *t, struct lock_rec *l, const struct mutex_call *c,
                                                 const u64 *fp)
{
    u32 how = call_how(t, c->form);
    int r = engine_lock_wait(t, l, MODE_EXCLUSIVE, how, fp);
    interceptor_leave(t);
    if (r)
        return r;
    UNWOUND_THROUGH(blocked_unwound);
    r = real_lock(c);
    interceptor_again(t, fp);
    engine_wait_end(t);
    if (r == 0 || r == EOWNERDEAD)
        engine_acquired(t, l, MODE_EXCLUSIVE, how, fp);
    else
        engine_wait_failed(t);
    interceptor_leave(t);
    return r;
}

/* The real try did not plainly take the mutex. Inside; leaves. */
static SNARL_COLD int mutex_not_taken(struct thread *t, struct lock_rec *l, const struct mutex_call *c, int tried,
                                      const u64 *fp)
{
    u32 how = call_how(t, c->form);
    int r = tried;
    if (tried == EBUSY) {
        if (!(l->head.attrs & ATTR_ERRORCHECK) || l->owner != t->ref)
            return mutex_block(t, l, c, fp);
        /* Its own error-checking mutex: EDEADLK, and nobody has to hear of it. A forked child's inherited one blocks
         * after all. */
        r = REAL(pthread_mutex_timedlock)(c->mutex, &long_ago);
        if (r == ETIMEDOUT || r == EINVAL)
            return mutex_block(t, l, c, fp);
    }
    if (r == 0 || r == EOWNERDEAD)
        engine_acquired(t, l, MODE_EXCLUSIVE, how, fp);
    interceptor_leave(t);
    return r;
}

static __attribute__((noinline)) int mutex_lock_general(pthread_mutex_t *m, const u64 *fp)
{
    perturb_point();
    struct thread *t = interceptor_enter(fp);
    if (snarl_unlikely(!t))
        return REAL(pthread_mutex_lock)(m);
    struct lock_rec *l = mutex_record(t, m, fp);
    int r = mutex_try(l, m);
    if (snarl_unlikely(r)) {
        struct mutex_call c = {m, CALL_PLAIN, 0, NULL};
        return mutex_not_taken(t, l, &c, r, fp);
    }
    engine_acquired(t, l, MODE_EXCLUSIVE, call_how(t, CALL_PLAIN), fp);
    interceptor_leave(t);
    return 0;
}

/* The fast form has tried, with answer r, and something is not plain. Inside; leaves. */
static __attribute__((noinline)) int mutex_lock_rest(struct thread *t, struct lock_rec *l, pthread_mutex_t *m, int r,
                                                     const u64 *fp)
{
    if (snarl_unlikely(r)) {
        struct mutex_call c = {m, CALL_PLAIN, 0, NULL};
        return mutex_not_taken(t, l, &c, r, fp);
    }
    engine_acquired_noted(t, l, MODE_EXCLUSIVE, HOW_BLOCK, fp);
    interceptor_leave(t);
    return 0;
}

/* The real call for a mutex that is probably free. Where there is one thread, glibc's lock does without a locked
 * instruction, its try does not; and what is free then stays so, unless other processes know it. */
static SNARL_HOT int mutex_take(pthread_mutex_t *m)
{
    if (__libc_single_threaded && !__atomic_load_n(&m->__data.__lock, __ATOMIC_RELAXED) &&
        !(mutex_kind(m) & KIND_SHARED))
        return REAL(pthread_mutex_lock)(m);
    return REAL(pthread_mutex_trylock)(m);
}

EXPORT int pthread_mutex_lock(pthread_mutex_t *m)
{
    struct thread *t = interceptor_usual();
    if (snarl_unlikely(!t))
        return mutex_lock_general(m, FAST_FP());
    struct lock_rec *l = lock_cached(t, (u64)m, OBJ_MUTEX);
    if (snarl_unlikely(!l) || snarl_unlikely(l->head.attrs & ATTR_ROBUST))
        return mutex_lock_general(m, FAST_FP());
    interceptor_again(t, FAST_FP());
    int r = mutex_take(m);
    if (snarl_unlikely(r) || snarl_unlikely(!acquired_alone(t, l, MODE_EXCLUSIVE, HOW_BLOCK, FAST_FP())))
        return mutex_lock_rest(t, l, m, r, FAST_FP());
    interceptor_leave(t);
    return 0;
}
EXPORT_ALIAS(__pthread_mutex_lock, pthread_mutex_lock);

EXPORT int pthread_mutex_trylock(pthread_mutex_t *m)
{
    const u64 *fp = INTERCEPTOR_FP();
    struct thread *t = interceptor_enter(fp);
    if (snarl_unlikely(!t))
        return REAL(pthread_mutex_trylock)(m);
    struct lock_rec *l = mutex_record(t, m, fp);
    int r = REAL(pthread_mutex_trylock)(m);
    if (r == 0 || r == EOWNERDEAD)
        engine_acquired(t, l, MODE_EXCLUSIVE, how_here(t, HOW_TRY), fp);
    else if (r == EBUSY)
        engine_lock_busy(t, l, fp);
    interceptor_leave(t);
    return r;
}
EXPORT_ALIAS(__pthread_mutex_trylock, pthread_mutex_trylock);

/* A deadline is looked at only when the call blocks, as in glibc: a free mutex is taken whatever it says. */
static SNARL_HOT int mutex_lock_until(const struct mutex_call *c, const u64 *fp)
{
    perturb_point();
    struct thread *t = interceptor_enter(fp);
    if (snarl_unlikely(!t))
        return real_lock(c);
    struct lock_rec *l = mutex_record(t, c->mutex, fp);
    int r = mutex_try(l, c->mutex);
    if (r)
        return mutex_not_taken(t, l, c, r, fp);
    engine_acquired(t, l, MODE_EXCLUSIVE, call_how(t, CALL_TIMED), fp);
    interceptor_leave(t);
    return 0;
}

EXPORT int pthread_mutex_timedlock(pthread_mutex_t *m, const struct timespec *deadline)
{
    struct mutex_call c = {m, CALL_TIMED, 0, deadline};
    return mutex_lock_until(&c, INTERCEPTOR_FP());
}

EXPORT int pthread_mutex_clocklock(pthread_mutex_t *m, clockid_t clock, const struct timespec *deadline)
{
    struct mutex_call c = {m, CALL_CLOCK, clock, deadline};
    if (snarl_unlikely(!REAL(pthread_mutex_clocklock)))
        return ENOSYS; /* glibc before 2.30 */
    if (snarl_unlikely(!clock_valid(clock)))
        return real_lock(&c); /* refused before the mutex is looked at */
    return mutex_lock_until(&c, INTERCEPTOR_FP());
}

static __attribute__((noinline)) int mutex_unlock_general(pthread_mutex_t *m, const u64 *fp)
{
    struct thread *t = interceptor_enter(fp);
    if (snarl_unlikely(!t))
        return REAL(pthread_mutex_unlock)(m);
    struct lock_rec *l = mutex_record(t, m, fp);
    bool mine = l->owner == t->ref;
    if (snarl_unlikely(engine_release(t, l, fp))) {
        interceptor_leave(t);
        return 0;
    }
    if (!(l->head.attrs & ATTRS_OWNER_CHECKED)) {
        interceptor_leave(t);
        return REAL(pthread_mutex_unlock)(m);
    }
    int r = REAL(pthread_mutex_unlock)(m);
    if (snarl_unlikely(r) && mine)
        engine_release_failed(t, l, MODE_EXCLUSIVE, fp);
    interceptor_leave(t);
    return r;
}

/* The fast form has left, and signals came meanwhile. */
static SNARL_COLD int mutex_unlock_signals(pthread_mutex_t *m, bool released, const u64 *fp)
{
    signal_deliver();
    return released ? REAL(pthread_mutex_unlock)(m) : mutex_unlock_general(m, fp);
}

EXPORT int pthread_mutex_unlock(pthread_mutex_t *m)
{
    struct thread *t = interceptor_usual();
    if (snarl_unlikely(!t))
        return mutex_unlock_general(m, FAST_FP());
    struct lock_rec *l;
    const struct held_entry *h = innermost_hold(t, (u64)m, OBJ_MUTEX, &l);
    if (snarl_unlikely(!h) || snarl_unlikely(l->head.attrs & ATTRS_OWNER_CHECKED))
        return mutex_unlock_general(m, FAST_FP());
    interceptor_again(t, FAST_FP());
    bool released = released_plainly(t, l, h);
    if (interceptor_left(t))
        return mutex_unlock_signals(m, released, FAST_FP());
    return snarl_likely(released) ? REAL(pthread_mutex_unlock)(m) : mutex_unlock_general(m, FAST_FP());
}
EXPORT_ALIAS(__pthread_mutex_unlock, pthread_mutex_unlock);

EXPORT int pthread_mutex_init(pthread_mutex_t *m, const pthread_mutexattr_t *attr)
{
    const u64 *fp = INTERCEPTOR_FP();
    int r = REAL(pthread_mutex_init)(m, attr);
    struct thread *t = r ? NULL : interceptor_enter(fp);
    if (t) {
        u32 attrs = kind_attrs(mutex_kind(m));
        int shared = PTHREAD_PROCESS_PRIVATE;
        if ((attrs & ATTR_ROBUST) && attr && !pthread_mutexattr_getpshared(attr, &shared) &&
            shared != PTHREAD_PROCESS_SHARED)
            attrs &= ~(u32)ATTR_SHARED;
        engine_lock_init(t, (u64)m, OBJ_MUTEX, attrs, 0, fp);
        interceptor_leave(t);
    }
    return r;
}
EXPORT_ALIAS(__pthread_mutex_init, pthread_mutex_init);

/* glibc refuses to destroy a mutex in use: then it lives on, and its unlock is no second mistake. */
static bool destroy_refused(struct thread *t, pthread_mutex_t *m, int *result, const u64 *fp)
{
    struct lock_rec *l = engine_lock_peek((u64)m);
    if (!l || l->head.kind != OBJ_MUTEX || !l->owner || (mutex_kind(m) & KIND_ROBUST))
        return false;
    *result = REAL(pthread_mutex_destroy)(m);
    if (*result == EBUSY)
        engine_lock_destroy_refused(t, l, fp);
    else if (!*result)
        engine_lock_destroy(t, (u64)m, OBJ_MUTEX, fp);
    return true;
}

EXPORT int pthread_mutex_destroy(pthread_mutex_t *m)
{
    const u64 *fp = INTERCEPTOR_FP();
    struct thread *t = interceptor_enter(fp);
    if (!t)
        return REAL(pthread_mutex_destroy)(m);
    int r;
    if (!destroy_refused(t, m, &r, fp)) {
        engine_lock_destroy(t, (u64)m, OBJ_MUTEX, fp);
        r = REAL(pthread_mutex_destroy)(m);
    }
    interceptor_leave(t);
    return r;
}
EXPORT_ALIAS(__pthread_mutex_destroy, pthread_mutex_destroy);
