/* The compilers' interface for fibers (sanitizer/tsan_interface.h): programs that switch stacks themselves carry these
 * calls already. Called by the watched program. The work is in intercept/fiber.c. */
#include "intercept/fiber.h"
#include "interceptor.h"

#define TSAN_NO_SYNC 1u /* __tsan_switch_to_fiber_no_sync */

static void *handle(u64 fiber)
{
    return (void *)(uintptr_t)fiber;
}

EXPORT void *__tsan_get_current_fiber(void)
{
    return handle(fiber_current(INTERCEPTOR_FP()));
}

EXPORT void *__tsan_create_fiber(unsigned flags)
{
    (void)flags;
    return handle(fiber_create(0, 0, INTERCEPTOR_FP()));
}

EXPORT void __tsan_destroy_fiber(void *fiber)
{
    fiber_destroy((u64)fiber, INTERCEPTOR_FP());
}

EXPORT void __tsan_switch_to_fiber(void *fiber, unsigned flags)
{
    fiber_switch((u64)fiber, !(flags & TSAN_NO_SYNC), INTERCEPTOR_FP());
}

EXPORT void __tsan_set_fiber_name(void *fiber, const char *name)
{
    fiber_name((u64)fiber, name, INTERCEPTOR_FP());
}
