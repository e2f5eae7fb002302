/* Initialise-once: pthread_once, C11 call_once, and the guards of C++ function-local statics. std::call_once comes
 * through pthread_once. Called by the watched program and its libraries. Takes the engine's locks in slow paths only;
 * arena records may be made at first sight of a flag.
 *
 * While the initialiser runs, its thread holds a custom lock (ATTR_ONCE) exclusively; others that come meanwhile wait
 * for it, and every later passage while something is held is an order like a shared acquire of it. There is no try,
 * and whoever finds the flag untouched may still lose the race to run the initialiser: so every call that finds it
 * unfinished publishes a wait, and the winner withdraws it. An initialiser left by cancellation or an exception makes
 * glibc reset the flag: the lock is released then, too.
 *
 * What the initialiser did happens before everything that follows a passage; compilers look at a guard themselves, by an
 * atomic load of its first byte, so that the edge hangs on the flag's address. */
#include "analyze/access.h"
#include "base/sys.h"
#include "blocking.h"

#define ONCE_DONE 2 /* in a pthread_once_t and a once_flag, since glibc 2.19 */

enum once_kind { ONCE_PTHREAD, ONCE_C11 };

struct once_call {
    enum once_kind kind;
    void *flag;
    void (*init)(void);
    struct thread *thread;
    struct lock_rec *lock;
    const u64 *fp;
    bool ran;
};

/* The call that is on its way into glibc, for once_run, which glibc calls without an argument. */
static __thread struct once_call *once_current __attribute__((tls_model("initial-exec")));

static int real_once(const struct once_call *c, void (*init)(void))
{
    if (c->kind == ONCE_PTHREAD)
        return REAL(pthread_once)(c->flag, init);
    REAL(call_once)(c->flag, init);
    return 0;
}

static SNARL_HOT struct lock_rec *once_rec(struct thread *t, u64 flag, const u64 *fp)
{
    return engine_lock(t, flag, OBJ_CUSTOM, ATTR_ONCE, fp);
}

/* Is it known already that this thread passes this flag while it holds what it holds now? */
static SNARL_HOT bool once_order_known(struct thread *t, const struct lock_rec *l)
{
    return t->node && t->order_epoch == run()->order_epoch &&
           order_cached(t, t->node, arena_ref(l), order_way(MODE_SHARED, HOW_BLOCK)) != 0;
}

/* Inside. */
static void once_passed(struct thread *t, struct lock_rec *l, u64 flag, const u64 *fp)
{
    hb_acquire(t, hb_key(HB_ADDRESS, flag));
    if (!t->rec->nheld || once_order_known(t, l))
        return;
    engine_acquired(t, l, MODE_SHARED, HOW_BLOCK, fp);
    engine_release(t, l, fp);
}

/* Personality of once_run: initialisers nest, so the innermost once-lock held is the one that is being left. Not
 * static: the name is used by an assembler directive. */
_Unwind_Reason_Code once_unwound(UNWIND_PARAMETERS) __attribute__((visibility("hidden")));
_Unwind_Reason_Code once_unwound(UNWIND_PARAMETERS)
{
    (void)class, (void)exception, (void)context;
    const u64 *fp = INTERCEPTOR_FP();
    struct thread *t = unwind_leaves(version, actions) ? interceptor_enter(fp) : NULL;
    if (!t)
        return _URC_CONTINUE_UNWIND;
    for (u32 i = t->rec->nheld; i-- > 0;) {
        struct lock_rec *l = arena_at(t->held[i].lock);
        if ((l->head.attrs & ATTR_ONCE) && t->held[i].mode == MODE_EXCLUSIVE) {
            engine_release(t, l, fp);
            break;
        }
    }
    interceptor_leave(t);
    return _URC_CONTINUE_UNWIND;
}

/* What glibc runs as the initialiser: this thread has won. */
static __attribute__((noinline)) void once_run(void)
{
    struct once_call *c = once_current;
    struct thread *t = c->thread;
    struct lock_rec *l = c->lock;
    const u64 *fp = c->fp;
    interceptor_again(t, fp);
    engine_wait_end(t);
    engine_acquired(t, l, MODE_EXCLUSIVE, HOW_BLOCK, fp);
    c->ran = true;
    interceptor_leave(t);
    UNWOUND_THROUGH(once_unwound);
    c->init();
    interceptor_again(t, fp);
    hb_release(t, hb_key(HB_ADDRESS, (u64)c->flag));
    engine_release(t, l, fp);
    interceptor_leave(t);
}

/* Outside. The caller's frame is left through blocked_unwound when this thread did not run the initialiser. */
static __attribute__((noinline)) int once_block(struct once_call *c)
{
    struct once_call *outer = once_current;
    once_current = c;
    UNWOUND_THROUGH(blocked_unwound);
    int r = real_once(c, once_run);
    once_current = outer;
    return r;
}

/* The flag was not finished when we looked. Inside; leaves. */
static __attribute__((noinline)) int once_unfinished(struct once_call *c)
{
    struct thread *t = c->thread;
    int r = engine_lock_wait(t, c->lock, MODE_EXCLUSIVE, HOW_BLOCK, c->fp);
    if (r) {
        engine_release(t, c->lock, c->fp); /* nobody will: drops the phantom */
        interceptor_leave(t);
        return r;
    }
    interceptor_leave(t);
    r = once_block(c);
    interceptor_again(t, c->fp);
    if (!c->ran) {
        engine_wait_end(t);
        once_passed(t, c->lock, (u64)c->flag, c->fp);
    }
    interceptor_leave(t);
    return r;
}

static SNARL_HOT int once(enum once_kind kind, void *flag, void (*init)(void), const u64 *fp)
{
    bool done = __atomic_load_n((int *)flag, __ATOMIC_ACQUIRE) & ONCE_DONE;
    if (done && ((uintptr_t)snarl_thread <= 1 || !(access_on || snarl_thread->rec->nheld)))
        return 0;
    struct once_call c = {kind, flag, init, NULL, NULL, fp, false};
    if (!done)
        perturb_point();
    struct thread *t = interceptor_enter(fp);
    if (snarl_unlikely(!t))
        return real_once(&c, init);
    struct lock_rec *l = once_rec(t, (u64)flag, fp);
    if (!done) {
        c.thread = t;
        c.lock = l;
        return once_unfinished(&c);
    }
    once_passed(t, l, (u64)flag, fp);
    interceptor_leave(t);
    return 0;
}

EXPORT int pthread_once(pthread_once_t *flag, void (*init)(void))
{
    return once(ONCE_PTHREAD, flag, init, INTERCEPTOR_FP());
}
EXPORT_ALIAS(__pthread_once, pthread_once);

EXPORT void call_once(once_flag *flag, void (*init)(void))
{
    once(ONCE_C11, flag, init, INTERCEPTOR_FP());
}

/* ---- guards of function-local statics (Itanium C++ ABI: the guard's first byte is set when the object is complete)
 * ---- */

/* The C++ run-time library may come late, with a plugin. If none can be found (the caller's own is hidden in its
 * module), the protocol is carried out here: 0 untouched, GUARD_BUSY while the initialiser runs, 1 done. */
#define GUARD_BUSY 0x100u

static bool guard_real(const char *name, void **slot)
{
    return snarl_likely(*slot != NULL) || real_late(name, slot);
}
#define GUARD_REAL(name) guard_real(#name, (void **)&REAL(name))

static bool guard_done(const u64 *guard)
{
    return __atomic_load_n((const u8 *)guard, __ATOMIC_ACQUIRE) != 0;
}

static int real_guard_acquire(u64 *guard)
{
    if (GUARD_REAL(__cxa_guard_acquire))
        return REAL(__cxa_guard_acquire)(guard);
    u32 *word = (u32 *)guard;
    for (;;) {
        u32 seen = 0;
        if (__atomic_compare_exchange_n(word, &seen, GUARD_BUSY, false, __ATOMIC_ACQUIRE, __ATOMIC_ACQUIRE))
            return 1;
        if (seen == 1)
            return 0;
        sys_futex_wait(word, GUARD_BUSY, 0);
    }
}

static void guard_finish(u64 *guard, u32 value)
{
    __atomic_store_n((u32 *)guard, value, __ATOMIC_RELEASE);
    sys_futex_wake((u32 *)guard, INT32_MAX);
}

static __attribute__((noinline)) int guard_block(struct thread *t, struct lock_rec *l, u64 *guard, const u64 *fp)
{
    int r = engine_lock_wait(t, l, MODE_EXCLUSIVE, HOW_BLOCK, fp);
    if (r)
        engine_release(t, l, fp); /* broken deadlock: goes on as if the object were complete; no release will come */
    interceptor_leave(t);
    if (r)
        return 0;
    UNWOUND_THROUGH(blocked_unwound);
    r = real_guard_acquire(guard);
    interceptor_again(t, fp);
    engine_wait_end(t);
    if (r)
        engine_acquired(t, l, MODE_EXCLUSIVE, HOW_BLOCK, fp);
    else
        once_passed(t, l, (u64)guard, fp);
    interceptor_leave(t);
    return r;
}

EXPORT int __cxa_guard_acquire(u64 *guard)
{
    const u64 *fp = INTERCEPTOR_FP();
    bool done = guard_done(guard);
    if (!done)
        perturb_point();
    struct thread *t = done && !access_on ? NULL : interceptor_enter(fp);
    if (!t)
        return real_guard_acquire(guard);
    if (done) {
        hb_acquire(t, hb_key(HB_ADDRESS, (u64)guard));
        interceptor_leave(t);
        return real_guard_acquire(guard);
    }
    return guard_block(t, once_rec(t, (u64)guard, fp), guard, fp);
}

static SNARL_HOT void guard_left(u64 *guard, const u64 *fp)
{
    struct thread *t = interceptor_enter(fp);
    if (!t)
        return;
    hb_release(t, hb_key(HB_ADDRESS, (u64)guard));
    engine_release(t, once_rec(t, (u64)guard, fp), fp);
    interceptor_leave(t);
}

EXPORT void __cxa_guard_release(u64 *guard)
{
    guard_left(guard, INTERCEPTOR_FP());
    if (GUARD_REAL(__cxa_guard_release))
        REAL(__cxa_guard_release)(guard);
    else
        guard_finish(guard, 1);
}

EXPORT void __cxa_guard_abort(u64 *guard)
{
    guard_left(guard, INTERCEPTOR_FP());
    if (GUARD_REAL(__cxa_guard_abort))
        REAL(__cxa_guard_abort)(guard);
    else
        guard_finish(guard, 0);
}
