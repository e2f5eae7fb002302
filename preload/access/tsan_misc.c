/* __tsan_*: the rest of the interface between instrumented code and its runtime: start, virtual tables, annotations, and
 * what test suites of sanitizers use. Called by instrumented code and by programs that name these functions. Takes the
 * engine's locks in slow paths only; __tsan_init may map memory. */
#include <errno.h>

#include "analyze/access_hot.h"
#include "base/sys.h"
#include "intercept/fault.h"
#include "interceptor.h"
#include "start.h"
#include "watched.h"

/* ---- start ---- */

static void turn_on(void)
{
    const u64 *fp = INTERCEPTOR_FP();
    struct thread *t = interceptor_enter(fp);
    if (!t)
        return;
    if (access_turn_on(t) == 0) {
        fault_watch();
        __atomic_store_n(&run()->accesses, ACCESSES_COMPILED, __ATOMIC_RELAXED);
    } else {
        run_lost(LOSS_accesses_unwatched);
        start_say("not watching memory accesses: no room for what has to be kept of them", NULL);
    }
    interceptor_leave(t);
}

/* Called by a constructor of each instrumented module. Another sanitizer's runtime in the process means that snarl
 * watches nothing; its own start has the same name and must not be kept from it. */
EXPORT void __tsan_init(void);
EXPORT void __tsan_init(void)
{
    int saved = errno;
    if (!snarl_on) {
        void (*other)(void) = (void (*)(void))(uintptr_t)real_lookup("__tsan_init");
        if (other)
            other();
    } else if (run()->options.accesses != ACCESSES_NONE) {
        if (!access_on)
            turn_on();
        watched_module((u64)__builtin_return_address(0));
    }
    errno = saved;
}

/* ---- accesses that are not plain ---- */

/* Of an object inside one granule. */
static SNARL_HOT void tell(const void *object, u32 size, u32 kind, const u64 *fp)
{
    u64 addr = (u64)object;
    if (snarl_likely(access_is_known(addr, granule_mask(addr, size), kind)))
        return;
    struct thread *t = interceptor_enter(fp);
    if (!t)
        return;
    if (!access_quick(t, addr, granule_mask(addr, size), kind, fp))
        access_seen(t, addr, size, kind, fp);
    interceptor_leave(t);
}

/* The pointer to a virtual table, before it is written or read. A constructor writes what stands there already when
 * nothing derives: that is no write. */
EXPORT void __tsan_vptr_update(void **pointer, void *value);
EXPORT void __tsan_vptr_update(void **pointer, void *value)
{
    if (__atomic_load_n(pointer, __ATOMIC_RELAXED) != value)
        tell(pointer, sizeof *pointer, ACCESS_WRITE, INTERCEPTOR_FP());
}
EXPORT void __tsan_vptr_read(void **pointer);
EXPORT void __tsan_vptr_read(void **pointer)
{
    tell(pointer, sizeof *pointer, ACCESS_READ, INTERCEPTOR_FP());
}

/* Accesses to an object that other code makes on the program's behalf (runtimes of other languages): the object stands
 * for its first byte. A tag is the object type's name. */
EXPORT void *__tsan_external_register_tag(const char *type);
EXPORT void *__tsan_external_register_tag(const char *type)
{
    return (void *)(uintptr_t)type;
}
EXPORT void __tsan_external_register_header(void *tag, const char *header);
EXPORT void __tsan_external_register_header(void *tag, const char *header)
{
    (void)tag, (void)header;
}
EXPORT void __tsan_external_assign_tag(void *object, void *tag);
EXPORT void __tsan_external_assign_tag(void *object, void *tag)
{
    (void)object, (void)tag;
}
EXPORT void __tsan_external_read(void *object, void *caller, void *tag);
EXPORT void __tsan_external_read(void *object, void *caller, void *tag)
{
    (void)caller, (void)tag;
    tell(object, 1, ACCESS_READ, INTERCEPTOR_FP());
}
EXPORT void __tsan_external_write(void *object, void *caller, void *tag);
EXPORT void __tsan_external_write(void *object, void *caller, void *tag)
{
    (void)caller, (void)tag;
    tell(object, 1, ACCESS_WRITE, INTERCEPTOR_FP());
}

/* ---- annotations ---- */

EXPORT void __tsan_acquire(void *object);
EXPORT void __tsan_acquire(void *object)
{
    struct thread *t = access_on ? interceptor_enter(INTERCEPTOR_FP()) : NULL;
    if (!t)
        return;
    hb_acquire(t, hb_key(HB_ADDRESS, (u64)object));
    interceptor_leave(t);
}
EXPORT void __tsan_release(void *object);
EXPORT void __tsan_release(void *object)
{
    struct thread *t = access_on ? interceptor_enter(INTERCEPTOR_FP()) : NULL;
    if (!t)
        return;
    hb_release(t, hb_key(HB_ADDRESS, (u64)object));
    interceptor_leave(t);
}

static void ignore(bool begin, const u64 *fp)
{
    struct thread *t = access_on ? interceptor_enter(fp) : NULL;
    if (!t)
        return;
    access_ignore(t, ACCESS_IGNORE_READS | ACCESS_IGNORE_WRITES, begin);
    interceptor_leave(t);
}
EXPORT void __tsan_ignore_thread_begin(void);
EXPORT void __tsan_ignore_thread_begin(void)
{
    ignore(true, INTERCEPTOR_FP());
}
EXPORT void __tsan_ignore_thread_end(void);
EXPORT void __tsan_ignore_thread_end(void)
{
    ignore(false, INTERCEPTOR_FP());
}

/* Long-running programs let a sanitizer forget by this. What is kept here is bounded anyway. */
EXPORT void __tsan_flush_memory(void);
EXPORT void __tsan_flush_memory(void) {}

/* ---- for tests of sanitizers: a barrier that orders nothing, as far as anybody can tell ---- */

/* The low half counts arrivals over all rounds, the high half says how many make a round. */
EXPORT void __tsan_testonly_barrier_init(u64 *barrier, u32 needed);
EXPORT void __tsan_testonly_barrier_init(u64 *barrier, u32 needed)
{
    __atomic_store_n(barrier, (u64)(needed ? needed : 1) << 32, __ATOMIC_SEQ_CST);
}
EXPORT void __tsan_testonly_barrier_wait(u64 *barrier);
EXPORT void __tsan_testonly_barrier_wait(u64 *barrier)
{
    u64 before = __atomic_fetch_add(barrier, 1, __ATOMIC_SEQ_CST);
    u32 needed = (u32)(before >> 32), *count = (u32 *)barrier, now = (u32)before + 1;
    u32 round = (u32)before / needed;
    while (now / needed == round) {
        sys_futex_wait(count, now, 0);
        now = __atomic_load_n(count, __ATOMIC_SEQ_CST);
    }
    sys_futex_wake(count, 0x7fffffff);
}
