/* What hooks (hooks.h) of functions that touch memory are made of.
 *
 *     TOUCHING(void *, memset, (void *to, int c, size_t n), (to, c, n), WRITES(to, n))
 *
 * defines hook_memset, which notes the access and then calls the real function as the last thing it does; TOUCHED notes
 * it after the real call, and may use its result, r. The real function runs outside of enter/leave: it may fault on the
 * program's pointers. */
#ifndef SNARL_INTERCEPT_TOUCH_H
#define SNARL_INTERCEPT_TOUCH_H

#include "analyze/access.h"
#include "hooks.h"
#include "interceptor.h"

/* Inside: these bytes are read, or written. */
#define READS(at, n) access_range(t, (u64)(at), (u64)(n), ACCESS_READ, fp)
#define WRITES(at, n) access_range(t, (u64)(at), (u64)(n), ACCESS_WRITE, fp)

static SNARL_HOT struct thread *touch_enter(const u64 *fp)
{
    if (snarl_unlikely(__atomic_load_n(&hooks_pending, __ATOMIC_RELAXED)))
        hooks_update();
    return interceptor_enter(fp);
}

#define TOUCH(...)                                                                                                     \
    do {                                                                                                               \
        const u64 *fp = INTERCEPTOR_FP();                                                                              \
        struct thread *t = touch_enter(fp);                                                                            \
        if (snarl_likely(t != NULL)) {                                                                                 \
            __VA_ARGS__;                                                                                               \
            interceptor_leave(t);                                                                                      \
        }                                                                                                              \
    } while (0)

#define TOUCHING(type, name, parameters, arguments, ...)                                                               \
    type hook_##name parameters                                                                                        \
    {                                                                                                                  \
        TOUCH(__VA_ARGS__);                                                                                            \
        return HOOKED(name) arguments;                                                                                 \
    }
#define TOUCHING_VOID(name, parameters, arguments, ...)                                                                \
    void hook_##name parameters                                                                                        \
    {                                                                                                                  \
        TOUCH(__VA_ARGS__);                                                                                            \
        HOOKED(name) arguments;                                                                                        \
    }
#define TOUCHED(type, name, parameters, arguments, ...)                                                                \
    type hook_##name parameters                                                                                        \
    {                                                                                                                  \
        type r = HOOKED(name) arguments;                                                                               \
        TOUCH(__VA_ARGS__);                                                                                            \
        return r;                                                                                                      \
    }

#endif
