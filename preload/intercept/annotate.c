/* What <snarl/snarl.h> calls. Called by the watched program, through weak references (docs/decisions/0009). Takes the
 * engine's locks through custom_lock.c, fiber.c and the engine only.
 *
 * The functions are snarl_annotate_NAME; the header's snarl_NAME are part of the program. */
#include "annotate.h"

#include "analyze/access.h"
#include "blocking.h"
#include "fiber.h"
#include "snarl/snarl.h"
#include "start.h"

/* Defines snarl_annotate_NAME with these parameters; the body has t and fp. */
#define ANNOTATION(name, parameters, body)                                                                             \
    EXPORT void snarl_annotate_##name parameters;                                                                      \
    EXPORT void snarl_annotate_##name parameters                                                                       \
    {                                                                                                                  \
        const u64 *fp = INTERCEPTOR_FP();                                                                              \
        struct thread *t = interceptor_enter(fp);                                                                      \
        if (!t)                                                                                                        \
            return;                                                                                                    \
        body;                                                                                                          \
        interceptor_leave(t);                                                                                          \
    }

EXPORT int snarl_annotate_watching(void);
EXPORT int snarl_annotate_watching(void)
{
    return snarl_on;
}

/* ---- locks ---- */

static enum lock_mode mode_of(unsigned how)
{
    return how & SNARL_SHARED ? MODE_SHARED : MODE_EXCLUSIVE;
}

static u32 how_of(const struct thread *t, unsigned how)
{
    return how_here(t, how & SNARL_TRY ? HOW_TRY : how & SNARL_TIMED ? HOW_TIMED : HOW_BLOCK);
}

ANNOTATION(lock_created, (const volatile void *lock, unsigned kind),
           custom_lock_created(t, (u64)lock, kind &SNARL_RECURSIVE ? ATTR_RECURSIVE : 0, fp))
ANNOTATION(lock_destroyed, (const volatile void *lock), custom_lock_destroyed(t, (u64)lock, fp))
ANNOTATION(lock_acquired, (const volatile void *lock, unsigned how),
           custom_lock_acquired(t, (u64)lock, mode_of(how), how_of(t, how), fp))
ANNOTATION(lock_failed, (const volatile void *lock), custom_lock_failed(t, (u64)lock, fp))
ANNOTATION(lock_released, (const volatile void *lock), custom_lock_released(t, (u64)lock, false, fp))
ANNOTATION(lock_name, (const volatile void *lock, const char *name), any_lock_name(t, (u64)lock, name, fp))
ANNOTATION(lock_level, (const volatile void *lock, unsigned level), any_lock_level(t, (u64)lock, level, fp))

EXPORT void snarl_annotate_lock_acquiring(const volatile void *lock, unsigned how);
EXPORT void snarl_annotate_lock_acquiring(const volatile void *lock, unsigned how)
{
    const u64 *fp = INTERCEPTOR_FP();
    perturb_point();
    struct thread *t = interceptor_enter(fp);
    if (!t)
        return;
    custom_lock_acquiring(t, (u64)lock, mode_of(how), how_of(t, how), fp);
    interceptor_leave(t);
}

/* ---- order, accesses, memory ---- */

ANNOTATION(happens_before, (const volatile void *address), hb_release(t, hb_key(HB_ADDRESS, (u64)address)))
ANNOTATION(happens_after, (const volatile void *address), hb_acquire(t, hb_key(HB_ADDRESS, (u64)address)))
ANNOTATION(intended_race, (const volatile void *address, size_t size, const char *why),
           intended_race(t, (u64)address, size, why))
ANNOTATION(ignore_reads_begin, (void), access_ignore(t, ACCESS_IGNORE_READS, true))
ANNOTATION(ignore_reads_end, (void), access_ignore(t, ACCESS_IGNORE_READS, false))
ANNOTATION(ignore_writes_begin, (void), access_ignore(t, ACCESS_IGNORE_WRITES, true))
ANNOTATION(ignore_writes_end, (void), access_ignore(t, ACCESS_IGNORE_WRITES, false))
ANNOTATION(block_new, (const volatile void *block, size_t size), own_block_new(t, (u64)block, size, fp))
ANNOTATION(block_gone, (const volatile void *block, size_t size), own_block_gone(t, (u64)block, size, fp))

/* ---- fibers ---- */

EXPORT void *snarl_annotate_fiber_create(const void *stack, size_t size);
EXPORT void *snarl_annotate_fiber_create(const void *stack, size_t size)
{
    return (void *)(uintptr_t)fiber_create((u64)stack, size, INTERCEPTOR_FP());
}

EXPORT void *snarl_annotate_fiber_current(void);
EXPORT void *snarl_annotate_fiber_current(void)
{
    return (void *)(uintptr_t)fiber_current(INTERCEPTOR_FP());
}

EXPORT void snarl_annotate_fiber_switch(void *fiber, unsigned flags);
EXPORT void snarl_annotate_fiber_switch(void *fiber, unsigned flags)
{
    fiber_switch((u64)fiber, !(flags & SNARL_UNORDERED), INTERCEPTOR_FP());
}

EXPORT void snarl_annotate_fiber_name(void *fiber, const char *name);
EXPORT void snarl_annotate_fiber_name(void *fiber, const char *name)
{
    fiber_name((u64)fiber, name, INTERCEPTOR_FP());
}

EXPORT void snarl_annotate_fiber_destroy(void *fiber);
EXPORT void snarl_annotate_fiber_destroy(void *fiber)
{
    fiber_destroy((u64)fiber, INTERCEPTOR_FP());
}
