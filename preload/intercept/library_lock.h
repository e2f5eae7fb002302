/* Locks that a library makes for itself, on futexes or otherwise (GLib's, OpenMP's), as seen at its exported functions:
 * take, try, release, life. Included by the files of intercept/ that name those functions.
 *
 * What such a function calls in turn is kept quiet: the object of the program is the library's. The library may be
 * loaded late, with a plugin: then the real functions are looked up at the first call. A function that is nowhere (a
 * weak reference found our name) does nothing. The real unlock neither blocks nor runs the program's code, so it is
 * made inside. */
#ifndef SNARL_PRELOAD_LIBRARY_LOCK_H
#define SNARL_PRELOAD_LIBRARY_LOCK_H

#include "blocking.h"

#define LATE(name) (snarl_likely(REAL(name) != NULL) || real_late(#name, (void **)&REAL(name)))

/* What one pair of functions takes and releases. */
struct library_lock {
    enum object_kind kind;
    enum lock_mode mode;
    u32 attrs;
};

typedef void library_call(void *);
typedef int library_try(void *);

static SNARL_HOT struct lock_rec *library_rec(struct thread *t, void *lock, struct library_lock k, const u64 *fp)
{
    return engine_lock(t, (u64)lock, k.kind, k.attrs, fp);
}

static SNARL_HOT int library_test(struct thread *t, void *lock, library_try *try, const u64 *fp)
{
    interceptor_quiet(t, fp);
    int taken = try(lock);
    interceptor_again(t, fp);
    return taken;
}

/* Inside; leaves. */
static __attribute__((noinline)) void library_block(struct thread *t, struct lock_rec *l, void *lock,
                                                    enum lock_mode mode, library_call *real, const u64 *fp)
{
    int r = engine_lock_wait(t, l, mode, HOW_BLOCK, fp);
    interceptor_leave(t);
    if (r)
        return; /* broken deadlock: its release will be swallowed */
    interceptor_quiet(t, fp);
    UNWOUND_THROUGH(blocked_unwound);
    real(lock);
    interceptor_again(t, fp);
    engine_wait_end(t);
    engine_acquired(t, l, mode, HOW_BLOCK, fp);
    interceptor_leave(t);
}

static SNARL_HOT void library_take(void *lock, struct library_lock k, library_call *real, library_try *try,
                                   const u64 *fp)
{
    perturb_point();
    struct thread *t = interceptor_enter(fp);
    if (snarl_unlikely(!t)) {
        real(lock);
        return;
    }
    struct lock_rec *l = library_rec(t, lock, k, fp);
    if (snarl_unlikely(!library_test(t, lock, try, fp))) {
        library_block(t, l, lock, k.mode, real, fp);
        return;
    }
    engine_acquired(t, l, k.mode, HOW_BLOCK, fp);
    interceptor_leave(t);
}

static SNARL_HOT int library_trylock(void *lock, struct library_lock k, library_try *try, const u64 *fp)
{
    struct thread *t = interceptor_enter(fp);
    if (snarl_unlikely(!t))
        return try(lock);
    struct lock_rec *l = library_rec(t, lock, k, fp);
    int taken = library_test(t, lock, try, fp);
    if (taken)
        engine_acquired(t, l, k.mode, HOW_TRY, fp);
    else
        engine_lock_busy(t, l, fp);
    interceptor_leave(t);
    return taken;
}

static SNARL_HOT void library_release(void *lock, struct library_lock k, library_call *real, const u64 *fp)
{
    struct thread *t = interceptor_enter(fp);
    if (snarl_unlikely(!t)) {
        real(lock);
        return;
    }
    if (!engine_release(t, library_rec(t, lock, k, fp), fp)) {
        interceptor_quiet(t, fp);
        real(lock);
    }
    interceptor_leave(t);
}

static inline void library_init(void *lock, struct library_lock k, library_call *real, const u64 *fp)
{
    struct thread *t = interceptor_enter(fp);
    if (t) {
        engine_lock_init(t, (u64)lock, k.kind, k.attrs, 0, fp);
        interceptor_quiet(t, fp);
    }
    real(lock);
    if (t)
        interceptor_leave(t);
}

/* The object ends like freed memory does: it may be four bytes, nothing of it is read later, and what is zero at the
 * address then is a new, valid lock. */
static inline void library_end(void *lock, library_call *real, const u64 *fp)
{
    struct thread *t = interceptor_enter(fp);
    if (t) {
        engine_memory_gone(t, (u64)lock, 1, fp);
        interceptor_quiet(t, fp);
    }
    real(lock);
    if (t)
        interceptor_leave(t);
}

#define LIBRARY_LIFE(init, end, which)                                                                                 \
    EXPORT void init(void *lock)                                                                                       \
    {                                                                                                                  \
        if (LATE(init))                                                                                                \
            library_init(lock, which, REAL(init), INTERCEPTOR_FP());                                                   \
    }                                                                                                                  \
    EXPORT void end(void *lock)                                                                                        \
    {                                                                                                                  \
        if (LATE(end))                                                                                                 \
            library_end(lock, REAL(end), INTERCEPTOR_FP());                                                            \
    }
#define LIBRARY_LOCK(take, try, release, which)                                                                        \
    EXPORT void take(void *lock)                                                                                       \
    {                                                                                                                  \
        if (LATE(take) && LATE(try))                                                                                   \
            library_take(lock, which, REAL(take), REAL(try), INTERCEPTOR_FP());                                        \
    }                                                                                                                  \
    EXPORT int try(void *lock)                                                                                         \
    {                                                                                                                  \
        return LATE(try) ? library_trylock(lock, which, REAL(try), INTERCEPTOR_FP()) : 1;                              \
    }                                                                                                                  \
    EXPORT void release(void *lock)                                                                                    \
    {                                                                                                                  \
        if (LATE(release))                                                                                             \
            library_release(lock, which, REAL(release), INTERCEPTOR_FP());                                             \
    }

#endif
