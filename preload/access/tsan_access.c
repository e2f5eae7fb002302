/* Plain reads and writes of programs built with a compiler's ThreadSanitizer instrumentation (`snarl cc`): what gcc 12
 * and clang 14 to 19 emit calls of. Called by the program before every access that is not atomic. The usual path touches
 * the cell of the access and nothing else; takes no lock, allocates nothing.
 *
 * This file is always optimised and without frame pointers (CMakeLists.txt): a hook's usual path then has no frame, and
 * its other path is a jump, so that access_miss has the frame that the engine unwinds from, returning to the program. */
#include "analyze/access_hot.h"
#include "interceptor.h"

static SNARL_COLD void access_full(u64 addr, u32 size, u32 kind, const u64 *fp)
{
    struct thread *t = interceptor_enter(fp);
    if (!t)
        return;
    access_seen(t, addr, size, kind, fp);
    interceptor_leave(t);
}

/* After a call that gets this frame's address: keeps it from becoming a jump, which would give the frame away first. */
#define KEEP_FRAME() __asm__ volatile("")

/* Inside one granule. */
static __attribute__((noinline)) void access_miss(u64 addr, u64 size, u32 kind)
{
    const u64 *fp = INTERCEPTOR_FP();
    struct thread *t = snarl_thread;
    if (snarl_likely((uintptr_t)t > 1) && snarl_likely(!t->inside) &&
        snarl_likely(access_quick(t, addr, granule_mask(addr, (u32)size), kind, fp)))
        return;
    access_full(addr, (u32)size, kind, fp);
    KEEP_FRAME();
}

/* In several. */
#define SMALL_RANGE 256u
static __attribute__((noinline)) void access_miss_wide(u64 addr, u64 size, u32 kind)
{
    const u64 *fp = INTERCEPTOR_FP();
    struct thread *t = snarl_thread;
    bool done = (uintptr_t)t > 1 && !t->inside;
    for (u64 at = addr, end = addr + size, next; done && at < end; at = next) {
        next = (at | (GRANULE - 1)) + 1;
        next = next < end ? next : end;
        u32 mask = granule_mask(at, (u32)(next - at));
        done = access_is_known(at, mask, kind) || access_quick(t, at, mask, kind, fp);
    }
    if (snarl_unlikely(!done))
        access_full(addr, (u32)size, kind, fp);
    KEEP_FRAME();
}

static __attribute__((noinline)) void range_miss(u64 addr, u64 size, u32 kind)
{
    const u64 *fp = INTERCEPTOR_FP();
    struct thread *t = interceptor_enter(fp);
    if (!t)
        return;
    access_range_by_call(t, addr, size, kind, fp);
    interceptor_leave(t);
}

static SNARL_HOT bool known(u64 addr, u32 size, u32 kind)
{
    if (size > GRANULE)
        return access_is_known(addr, SLOT_MASK, kind) && access_is_known(addr + GRANULE, SLOT_MASK, kind);
    return access_is_known(addr, size == GRANULE ? SLOT_MASK : granule_mask(addr, size), kind);
}

/* Compilers say that it is; pointers that were cast may say otherwise. */
static SNARL_HOT bool aligned(u64 addr, u32 size)
{
    return !(addr % (size < GRANULE ? size : GRANULE));
}

static SNARL_HOT bool inside_granules(u64 addr, u32 size)
{
    return size > GRANULE ? !(addr % GRANULE) : addr % GRANULE + size <= GRANULE;
}

#define HOOK(name, size, kind)                                                                                         \
    EXPORT void name(void *p);                                                                                         \
    EXPORT void name(void *p)                                                                                          \
    {                                                                                                                  \
        if (snarl_unlikely(!aligned((u64)p, size)))                                                                    \
            access_miss_wide((u64)p, size, kind);                                                                      \
        else if (snarl_unlikely(!known((u64)p, size, kind)))                                                           \
            (size > GRANULE ? access_miss_wide : access_miss)((u64)p, size, kind);                                     \
    }
#define HOOK_UNALIGNED(name, size, kind)                                                                               \
    EXPORT void name(void *p);                                                                                         \
    EXPORT void name(void *p)                                                                                          \
    {                                                                                                                  \
        if (snarl_unlikely(!inside_granules((u64)p, size) || !known((u64)p, size, kind)))                              \
            access_miss_wide((u64)p, size, kind);                                                                      \
    }
/* With the program counter given: it is where the call returns to, in all code that compilers make. */
#define HOOK_PC(name, size, kind)                                                                                      \
    EXPORT void name(void *p, void *pc);                                                                               \
    EXPORT void name(void *p, void *pc)                                                                                \
    {                                                                                                                  \
        (void)pc;                                                                                                      \
        if (snarl_unlikely(!aligned((u64)p, size)))                                                                    \
            access_miss_wide((u64)p, size, kind);                                                                      \
        else if (snarl_unlikely(!known((u64)p, size, kind)))                                                           \
            (size > GRANULE ? access_miss_wide : access_miss)((u64)p, size, kind);                                     \
    }

#define SIZES(X) X(1) X(2) X(4) X(8) X(16)
/* A read followed by a write of the same: the write says all. */
#define ALIGNED(n)                                                                                                     \
    HOOK(__tsan_read##n, n, ACCESS_READ)                                                                               \
    HOOK(__tsan_write##n, n, ACCESS_WRITE)                                                                             \
    HOOK(__tsan_read_write##n, n, ACCESS_WRITE | ACCESS_READ_TOO)                                                      \
    HOOK(__tsan_volatile_read##n, n, ACCESS_READ)                                                                      \
    HOOK(__tsan_volatile_write##n, n, ACCESS_WRITE)                                                                    \
    HOOK_PC(__tsan_read##n##_pc, n, ACCESS_READ)                                                                       \
    HOOK_PC(__tsan_write##n##_pc, n, ACCESS_WRITE)
#define UNALIGNED(n)                                                                                                   \
    HOOK_UNALIGNED(__tsan_unaligned_read##n, n, ACCESS_READ)                                                           \
    HOOK_UNALIGNED(__tsan_unaligned_write##n, n, ACCESS_WRITE)                                                         \
    HOOK_UNALIGNED(__tsan_unaligned_read_write##n, n, ACCESS_WRITE | ACCESS_READ_TOO)                                  \
    HOOK_UNALIGNED(__tsan_unaligned_volatile_read##n, n, ACCESS_READ)                                                  \
    HOOK_UNALIGNED(__tsan_unaligned_volatile_write##n, n, ACCESS_WRITE)

SIZES(ALIGNED)
SIZES(UNALIGNED)

EXPORT void __tsan_func_entry(void *pc);
EXPORT void __tsan_func_entry(void *pc)
{
    access_function_entry((u64)pc);
}

EXPORT void __tsan_func_exit(void);
EXPORT void __tsan_func_exit(void)
{
    access_function_exit();
}

EXPORT void __tsan_read_range(void *p, unsigned long size);
EXPORT void __tsan_read_range(void *p, unsigned long size)
{
    if (access_now)
        (size <= SMALL_RANGE ? access_miss_wide : range_miss)((u64)p, size, ACCESS_READ);
}

EXPORT void __tsan_write_range(void *p, unsigned long size);
EXPORT void __tsan_write_range(void *p, unsigned long size)
{
    if (access_now)
        (size <= SMALL_RANGE ? access_miss_wide : range_miss)((u64)p, size, ACCESS_WRITE);
}

/* What instrumented code calls in the place of the C library's (clang 15 and later). The frame is the hook's own. */
static SNARL_HOT void range_seen(u64 addr, u64 size, u32 kind, const u64 *fp)
{
    struct thread *t = access_now ? interceptor_enter(fp) : NULL;
    if (!t)
        return;
    access_range_by_call(t, addr, size, kind, fp);
    interceptor_leave(t);
}

EXPORT void *__tsan_memcpy(void *to, const void *from, unsigned long n);
EXPORT void *__tsan_memcpy(void *to, const void *from, unsigned long n)
{
    range_seen((u64)from, n, ACCESS_READ, INTERCEPTOR_FP());
    range_seen((u64)to, n, ACCESS_WRITE, INTERCEPTOR_FP());
    return __builtin_memcpy(to, from, n);
}

EXPORT void *__tsan_memmove(void *to, const void *from, unsigned long n);
EXPORT void *__tsan_memmove(void *to, const void *from, unsigned long n)
{
    range_seen((u64)from, n, ACCESS_READ, INTERCEPTOR_FP());
    range_seen((u64)to, n, ACCESS_WRITE, INTERCEPTOR_FP());
    return __builtin_memmove(to, from, n);
}

EXPORT void *__tsan_memset(void *to, int c, unsigned long n);
EXPORT void *__tsan_memset(void *to, int c, unsigned long n)
{
    range_seen((u64)to, n, ACCESS_WRITE, INTERCEPTOR_FP());
    return __builtin_memset(to, c, n);
}
