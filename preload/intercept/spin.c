/* pthread_spin_*. Called by the watched program and its libraries. Takes the engine's locks in slow paths only; arena
 * records may be made at first sight of a lock.
 *
 * A busy spin lock is normally free again within a few hundred cycles, so the try is repeated for about that long
 * before the wait is published; a deadlock is still seen, a few microseconds later. */
#include "blocking.h"

#define SPIN_TRIES 200
#define SPIN_FREE 1 /* x86-64: what init and unlock store; zeroed memory is a lock that is held for ever */

/* glibc's own operations in place: its inline form of them long was part of its interface, and the call would cost as
 * much as the lock. */
static SNARL_HOT int spin_try(pthread_spinlock_t *s)
{
    return snarl_likely(__atomic_exchange_n(s, 0, __ATOMIC_ACQUIRE) == SPIN_FREE) ? 0 : EBUSY;
}
static SNARL_HOT int spin_free(pthread_spinlock_t *s)
{
    __atomic_store_n(s, SPIN_FREE, __ATOMIC_RELEASE);
    return 0;
}

/* Never initialised as far as this process has seen, and not free: only the first use can tell. */
static SNARL_COLD struct lock_rec *spin_find(struct thread *t, const pthread_spinlock_t *s, const u64 *fp)
{
    bool known = engine_lock_peek((u64)s) != NULL;
    int value = __atomic_load_n((const int *)s, __ATOMIC_RELAXED);
    struct lock_rec *l = engine_lock_find(t, (u64)s, OBJ_SPIN, 0, fp);
    if (!known && value != SPIN_FREE && !(l->head.attrs & (ATTR_INITIALISED | ATTR_SHARED)) &&
        l->birth.region != REGION_SHARED && !l->owner)
        engine_misuse(t, RULE_NOT_INITIALISED, l, 0, fp);
    return l;
}

static SNARL_HOT struct lock_rec *spin_rec(struct thread *t, pthread_spinlock_t *s, const u64 *fp)
{
    struct lock_rec *l = lock_cached(t, (u64)s, OBJ_SPIN);
    return snarl_likely(l != NULL) ? l : spin_find(t, (const pthread_spinlock_t *)s, fp);
}

/* Inside; leaves. */
static __attribute__((noinline)) int spin_block(struct thread *t, struct lock_rec *l, pthread_spinlock_t *s,
                                                const u64 *fp)
{
    int r = EBUSY;
    engine_spins(t, l, fp);
    for (int i = 0; r == EBUSY && i < SPIN_TRIES && l->owner != t->ref; i++) {
        __builtin_ia32_pause();
        if (*s == SPIN_FREE)
            r = spin_try(s);
    }
    if (r) {
        r = engine_lock_wait(t, l, MODE_EXCLUSIVE, call_how(t, CALL_PLAIN), fp);
        interceptor_leave(t);
        if (r)
            return r;
        UNWOUND_THROUGH(blocked_unwound);
        r = REAL(pthread_spin_lock)(s);
        interceptor_again(t, fp);
        engine_wait_end(t);
    }
    if (!r)
        engine_acquired(t, l, MODE_EXCLUSIVE, call_how(t, CALL_PLAIN), fp);
    interceptor_leave(t);
    return r;
}

static __attribute__((noinline)) int spin_lock_general(pthread_spinlock_t *s, const u64 *fp)
{
    perturb_point();
    struct thread *t = interceptor_enter(fp);
    if (snarl_unlikely(!t))
        return REAL(pthread_spin_lock)(s);
    struct lock_rec *l = spin_rec(t, s, fp);
    if (snarl_unlikely(spin_try(s)))
        return spin_block(t, l, s, fp);
    engine_acquired(t, l, MODE_EXCLUSIVE, call_how(t, CALL_PLAIN), fp);
    interceptor_leave(t);
    return 0;
}

/* The fast form has tried, with answer r, and something is not plain. Inside; leaves. */
static __attribute__((noinline)) int spin_lock_rest(struct thread *t, struct lock_rec *l, pthread_spinlock_t *s, int r,
                                                    const u64 *fp)
{
    if (snarl_unlikely(r))
        return spin_block(t, l, s, fp);
    engine_acquired_noted(t, l, MODE_EXCLUSIVE, HOW_BLOCK, fp);
    interceptor_leave(t);
    return 0;
}

EXPORT int pthread_spin_lock(pthread_spinlock_t *s)
{
    struct thread *t = interceptor_usual();
    if (snarl_unlikely(!t))
        return spin_lock_general(s, FAST_FP());
    struct lock_rec *l = lock_cached(t, (u64)s, OBJ_SPIN);
    if (snarl_unlikely(!l))
        return spin_lock_general(s, FAST_FP());
    interceptor_again(t, FAST_FP());
    int r = spin_try(s);
    if (snarl_unlikely(r) || snarl_unlikely(!acquired_alone(t, l, MODE_EXCLUSIVE, HOW_BLOCK, FAST_FP())))
        return spin_lock_rest(t, l, s, r, FAST_FP());
    interceptor_leave(t);
    return 0;
}

EXPORT int pthread_spin_trylock(pthread_spinlock_t *s)
{
    const u64 *fp = INTERCEPTOR_FP();
    struct thread *t = interceptor_enter(fp);
    if (snarl_unlikely(!t))
        return REAL(pthread_spin_trylock)(s);
    struct lock_rec *l = spin_rec(t, s, fp);
    int r = spin_try(s);
    if (r == 0)
        engine_acquired(t, l, MODE_EXCLUSIVE, how_here(t, HOW_TRY), fp);
    else
        engine_lock_busy(t, l, fp);
    interceptor_leave(t);
    return r;
}

static __attribute__((noinline)) int spin_unlock_general(pthread_spinlock_t *s, const u64 *fp)
{
    struct thread *t = interceptor_enter(fp);
    if (snarl_unlikely(!t))
        return REAL(pthread_spin_unlock)(s);
    struct lock_rec *l = spin_rec(t, s, fp);
    int swallow = engine_release(t, l, fp);
    interceptor_leave(t);
    return snarl_unlikely(swallow) ? 0 : spin_free(s);
}

/* The fast form has left, and signals came meanwhile. */
static SNARL_COLD int spin_unlock_signals(pthread_spinlock_t *s, bool released, const u64 *fp)
{
    signal_deliver();
    return released ? spin_free(s) : spin_unlock_general(s, fp);
}

EXPORT int pthread_spin_unlock(pthread_spinlock_t *s)
{
    struct thread *t = interceptor_usual();
    struct lock_rec *l;
    const struct held_entry *h = snarl_likely(t != NULL) ? innermost_hold(t, (u64)s, OBJ_SPIN, &l) : NULL;
    if (snarl_unlikely(!h))
        return spin_unlock_general(s, FAST_FP());
    interceptor_again(t, FAST_FP());
    bool released = released_plainly(t, l, h);
    if (interceptor_left(t))
        return spin_unlock_signals(s, released, FAST_FP());
    return snarl_likely(released) ? spin_free(s) : spin_unlock_general(s, FAST_FP());
}

EXPORT int pthread_spin_init(pthread_spinlock_t *s, int shared)
{
    const u64 *fp = INTERCEPTOR_FP();
    int r = REAL(pthread_spin_init)(s, shared);
    struct thread *t = r ? NULL : interceptor_enter(fp);
    if (t) {
        engine_lock_init(t, (u64)s, OBJ_SPIN, shared == PTHREAD_PROCESS_SHARED ? ATTR_SHARED : 0, 0, fp);
        interceptor_leave(t);
    }
    return r;
}

EXPORT int pthread_spin_destroy(pthread_spinlock_t *s)
{
    const u64 *fp = INTERCEPTOR_FP();
    struct thread *t = interceptor_enter(fp);
    if (t) {
        engine_lock_destroy(t, (u64)s, OBJ_SPIN, fp);
        interceptor_leave(t);
    }
    return REAL(pthread_spin_destroy)(s);
}
