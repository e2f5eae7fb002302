/* OpenMP's locks: omp_*_lock, omp_*_nest_lock, and critical sections (GCC's GOMP_critical_*, LLVM's
 * __kmpc_*critical). Called by the watched program. Takes the engine's locks in slow paths only; arena records may be
 * made at first sight.
 *
 * libgomp and libomp offer the same omp_* names; both sit on futexes or spin, so this is where they are seen. What
 * one of these calls calls in turn is kept quiet: libomp's GOMP_critical_start is its __kmpc_critical.
 *
 * Critical sections have no try. Each lock counts the threads between the begin of an acquire and the end of the
 * section (`claims`, by hash of the lock: neighbours only make a wait more often published than needed): who comes
 * first cannot block, everybody else publishes a wait. */
#include "library_lock.h"

#define OMP_LOCK ((struct library_lock){OBJ_MUTEX, MODE_EXCLUSIVE, 0})
#define OMP_NEST_LOCK ((struct library_lock){OBJ_MUTEX, MODE_EXCLUSIVE, ATTR_RECURSIVE})

LIBRARY_LIFE(omp_init_lock, omp_destroy_lock, OMP_LOCK)
LIBRARY_LOCK(omp_set_lock, omp_test_lock, omp_unset_lock, OMP_LOCK)

LIBRARY_LIFE(omp_init_nest_lock, omp_destroy_nest_lock, OMP_NEST_LOCK)
LIBRARY_LOCK(omp_set_nest_lock, omp_test_nest_lock, omp_unset_nest_lock, OMP_NEST_LOCK)

/* ---- critical sections ---- */

#define CLAIMS 1024u
static u32 claims[CLAIMS];
static char unnamed; /* stands for libgomp's lock of all unnamed sections */

/* A section as the program entered it: which of the four calls, with what. */
struct critical {
    enum { GOMP_UNNAMED, GOMP_NAMED, KMPC, KMPC_HINT } call;
    void *lock;
    void *location;
    int32_t thread;
    uint32_t hint;
};

static void critical_real(const struct critical *c)
{
    switch (c->call) {
    case GOMP_UNNAMED:
        REAL(GOMP_critical_start)();
        break;
    case GOMP_NAMED:
        REAL(GOMP_critical_name_start)(c->lock);
        break;
    case KMPC:
        REAL(__kmpc_critical)(c->location, c->thread, c->lock);
        break;
    case KMPC_HINT:
        REAL(__kmpc_critical_with_hint)(c->location, c->thread, c->lock, c->hint);
        break;
    }
}

static void critical_real_end(const struct critical *c)
{
    switch (c->call) {
    case GOMP_UNNAMED:
        REAL(GOMP_critical_end)();
        break;
    case GOMP_NAMED:
        REAL(GOMP_critical_name_end)(c->lock);
        break;
    default:
        REAL(__kmpc_end_critical)(c->location, c->thread, c->lock);
    }
}

static SNARL_HOT struct lock_rec *critical_rec(struct thread *t, const struct critical *c, const u64 *fp)
{
    struct lock_rec *l = library_rec(t, c->lock, OMP_LOCK, fp);
    if (snarl_unlikely(c->call == GOMP_UNNAMED && !(l->head.attrs & ATTR_NAMED)))
        engine_lock_name(l, "omp critical");
    return l;
}

static SNARL_HOT u32 *claim_of(const struct critical *c)
{
    return &claims[hash_mix64((u64)c->lock) % CLAIMS];
}

/* Inside; leaves. waited: a wait is published. */
static __attribute__((noinline)) void critical_enter(struct thread *t, struct lock_rec *l, const struct critical *c,
                                                     bool waited, const u64 *fp)
{
    interceptor_quiet(t, fp);
    UNWOUND_THROUGH(blocked_unwound);
    critical_real(c);
    interceptor_again(t, fp);
    if (waited)
        engine_wait_end(t);
    engine_acquired(t, l, MODE_EXCLUSIVE, HOW_BLOCK, fp);
    interceptor_leave(t);
}

static SNARL_HOT void critical_start(const struct critical *c, const u64 *fp)
{
    perturb_point();
    struct thread *t = interceptor_enter(fp);
    if (snarl_unlikely(!t)) {
        critical_real(c);
        return;
    }
    struct lock_rec *l = critical_rec(t, c, fp);
    bool contended = __atomic_fetch_add(claim_of(c), 1, __ATOMIC_SEQ_CST) != 0;
    if (contended && engine_lock_wait(t, l, MODE_EXCLUSIVE, HOW_BLOCK, fp)) {
        interceptor_leave(t); /* broken deadlock: goes on without; its end will be swallowed */
        return;
    }
    critical_enter(t, l, c, contended, fp);
}

static SNARL_HOT void critical_end(const struct critical *c, const u64 *fp)
{
    struct thread *t = interceptor_enter(fp);
    if (snarl_unlikely(!t)) {
        critical_real_end(c);
        return;
    }
    if (!engine_release(t, critical_rec(t, c, fp), fp)) {
        interceptor_quiet(t, fp);
        critical_real_end(c);
    }
    /* Not below zero: a section may have begun where nothing was seen. */
    u32 *claim = claim_of(c), n = __atomic_load_n(claim, __ATOMIC_RELAXED);
    while (n && !__atomic_compare_exchange_n(claim, &n, n - 1, false, __ATOMIC_SEQ_CST, __ATOMIC_RELAXED))
        continue;
    interceptor_leave(t);
}

EXPORT void GOMP_critical_start(void)
{
    struct critical c = {.call = GOMP_UNNAMED, .lock = &unnamed};
    if (LATE(GOMP_critical_start))
        critical_start(&c, INTERCEPTOR_FP());
}

EXPORT void GOMP_critical_end(void)
{
    struct critical c = {.call = GOMP_UNNAMED, .lock = &unnamed};
    if (LATE(GOMP_critical_end))
        critical_end(&c, INTERCEPTOR_FP());
}

EXPORT void GOMP_critical_name_start(void **lock)
{
    struct critical c = {.call = GOMP_NAMED, .lock = lock};
    if (LATE(GOMP_critical_name_start))
        critical_start(&c, INTERCEPTOR_FP());
}

EXPORT void GOMP_critical_name_end(void **lock)
{
    struct critical c = {.call = GOMP_NAMED, .lock = lock};
    if (LATE(GOMP_critical_name_end))
        critical_end(&c, INTERCEPTOR_FP());
}

EXPORT void __kmpc_critical(void *location, int32_t thread, void *lock)
{
    struct critical c = {KMPC, lock, location, thread, 0};
    if (LATE(__kmpc_critical))
        critical_start(&c, INTERCEPTOR_FP());
}

EXPORT void __kmpc_critical_with_hint(void *location, int32_t thread, void *lock, uint32_t hint)
{
    struct critical c = {KMPC_HINT, lock, location, thread, hint};
    if (LATE(__kmpc_critical_with_hint))
        critical_start(&c, INTERCEPTOR_FP());
}

EXPORT void __kmpc_end_critical(void *location, int32_t thread, void *lock)
{
    struct critical c = {KMPC, lock, location, thread, 0};
    if (LATE(__kmpc_end_critical))
        critical_end(&c, INTERCEPTOR_FP());
}
