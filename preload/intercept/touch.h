/* What hooks (hooks.h) of functions that touch memory are made of.
 *
 *     TOUCHING(void *, memset, (void *to, int c, size_t n), (to, c, n), WRITES(to, n))
 *
 * defines hook_memset, which notes the access and then calls the real function as the last thing it does; TOUCHED notes
 * it after the real call, and may use its result, r. The real function runs outside of enter/leave: it may fault on the
 * program's pointers. */
#ifndef SNARL_INTERCEPT_TOUCH_H
#define SNARL_INTERCEPT_TOUCH_H

#include "analyze/access_hot.h"
#include "hooks.h"
#include "interceptor.h"
#include "watched.h"

#define TOUCH_SHORT 128u

/* Short ranges are often known already. */
static SNARL_HOT bool touch_known(u64 addr, u64 size, u32 kind)
{
    if (size > TOUCH_SHORT || !shadow_covers(addr, size))
        return false;
    for (u64 end = addr + size, next; addr < end; addr = next) {
        next = (addr | (GRANULE - 1)) + 1;
        if (!access_is_known(addr, granule_mask(addr, (u32)((next < end ? next : end) - addr)), kind))
            return false;
    }
    return true;
}

static SNARL_HOT void touch(struct thread *t, u64 addr, u64 size, u32 kind, const u64 *fp)
{
    if (!touch_known(addr, size, kind))
        (watched_directly(fp) ? access_range_by_call : access_range)(t, addr, size, kind, fp);
}

/* Inside: these bytes are read, or written. */
#define READS(at, n) touch(t, (u64)(at), (u64)(n), ACCESS_READ, fp)
#define WRITES(at, n) touch(t, (u64)(at), (u64)(n), ACCESS_WRITE, fp)

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
