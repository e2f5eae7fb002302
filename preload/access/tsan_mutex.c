/* __tsan_mutex_*: locks of the program's own, as programs describe them to the compiler's sanitizer. Called by the
 * watched program. Takes the engine's locks in slow paths only; arena records may be made at first sight of a lock.
 *
 * Between pre_ and post_ the lock's own code runs, whose accesses are no business of anybody's: they are not looked at,
 * and its atomics order nothing: what the lock orders is told by these functions, and a failed try orders nothing.
 * pre_divert and post_divert put the program's code back in sight for a time (a condition that a lock evaluates). */
#include "analyze/access.h"
#include "intercept/annotate.h"
#include "intercept/blocking.h"

/* The interface's flags; given at creation, or again at each call. */
enum {
    MUTEX_LINKER_INIT = 1 << 0, /* static: its destruction says nothing, others may use it still */
    MUTEX_WRITE_REENTRANT = 1 << 1,
    MUTEX_READ_REENTRANT = 1 << 2,
    MUTEX_READ_LOCK = 1 << 3,
    MUTEX_TRY_LOCK = 1 << 4,
    MUTEX_TRY_LOCK_FAILED = 1 << 5,
    MUTEX_RECURSIVE_LOCK = 1 << 6,   /* to the depth given */
    MUTEX_RECURSIVE_UNLOCK = 1 << 7, /* all levels */
};

static u32 attrs_of(unsigned flags)
{
    return flags & (MUTEX_WRITE_REENTRANT | MUTEX_READ_REENTRANT) ? ATTR_RECURSIVE : 0;
}
static enum lock_mode mode_of(unsigned flags)
{
    return flags & MUTEX_READ_LOCK ? MODE_SHARED : MODE_EXCLUSIVE;
}
static u32 how_of(const struct thread *t, unsigned flags)
{
    return how_here(t, flags & MUTEX_TRY_LOCK ? HOW_TRY : HOW_BLOCK);
}
static void out_of_sight(struct thread *t, bool begin)
{
    access_ignore(t, ACCESS_IGNORE_READS | ACCESS_IGNORE_WRITES | ACCESS_IGNORE_ORDER, begin);
}

EXPORT void __tsan_mutex_create(void *lock, unsigned flags);
EXPORT void __tsan_mutex_create(void *lock, unsigned flags)
{
    const u64 *fp = INTERCEPTOR_FP();
    struct thread *t = interceptor_enter(fp);
    if (!t)
        return;
    custom_lock_created(t, (u64)lock, attrs_of(flags), fp);
    interceptor_leave(t);
}

EXPORT void __tsan_mutex_destroy(void *lock, unsigned flags);
EXPORT void __tsan_mutex_destroy(void *lock, unsigned flags)
{
    const u64 *fp = INTERCEPTOR_FP();
    struct thread *t = flags & MUTEX_LINKER_INIT ? NULL : interceptor_enter(fp);
    if (!t)
        return;
    custom_lock_destroyed(t, (u64)lock, fp);
    interceptor_leave(t);
}

EXPORT void __tsan_mutex_pre_lock(void *lock, unsigned flags);
EXPORT void __tsan_mutex_pre_lock(void *lock, unsigned flags)
{
    const u64 *fp = INTERCEPTOR_FP();
    perturb_point();
    struct thread *t = interceptor_enter(fp);
    if (!t)
        return;
    custom_lock_seen(t, (u64)lock, attrs_of(flags), fp);
    if (!(flags & MUTEX_TRY_LOCK))
        custom_lock_acquiring(t, (u64)lock, mode_of(flags), how_of(t, flags), fp);
    out_of_sight(t, true);
    interceptor_leave(t);
}

EXPORT void __tsan_mutex_post_lock(void *lock, unsigned flags, int recursion);
EXPORT void __tsan_mutex_post_lock(void *lock, unsigned flags, int recursion)
{
    const u64 *fp = INTERCEPTOR_FP();
    struct thread *t = interceptor_enter(fp);
    if (!t)
        return;
    out_of_sight(t, false);
    if (flags & MUTEX_TRY_LOCK_FAILED)
        custom_lock_failed(t, (u64)lock, fp);
    else
        for (int n = flags & MUTEX_RECURSIVE_LOCK ? recursion : 1; n > 0; n--)
            custom_lock_acquired(t, (u64)lock, mode_of(flags), how_of(t, flags), fp);
    interceptor_leave(t);
}

/* Returns to which depth a recursive unlock let go, for the recursive lock that follows it. */
EXPORT int __tsan_mutex_pre_unlock(void *lock, unsigned flags);
EXPORT int __tsan_mutex_pre_unlock(void *lock, unsigned flags)
{
    const u64 *fp = INTERCEPTOR_FP();
    struct thread *t = interceptor_enter(fp);
    if (!t)
        return 1;
    u32 levels = custom_lock_released(t, (u64)lock, (flags & MUTEX_RECURSIVE_UNLOCK) != 0, fp);
    out_of_sight(t, true);
    interceptor_leave(t);
    return (int)levels;
}

/* The other pairs: what they enclose is in sight, or not, and nothing else. */
#define ENCLOSE(name, begin)                                                                                           \
    EXPORT void __tsan_mutex_##name(void *lock, unsigned flags);                                                       \
    EXPORT void __tsan_mutex_##name(void *lock, unsigned flags)                                                        \
    {                                                                                                                  \
        (void)lock, (void)flags;                                                                                       \
        struct thread *t = interceptor_enter(INTERCEPTOR_FP());                                                        \
        if (!t)                                                                                                        \
            return;                                                                                                    \
        out_of_sight(t, begin);                                                                                        \
        interceptor_leave(t);                                                                                          \
    }
ENCLOSE(post_unlock, false)
ENCLOSE(pre_signal, true)
ENCLOSE(post_signal, false)
ENCLOSE(pre_divert, false)
ENCLOSE(post_divert, true)
