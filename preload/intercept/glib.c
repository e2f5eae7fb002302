/* GLib's locks: g_mutex_*, g_rec_mutex_*, g_rw_lock_*, g_cond_*. Called by the watched program and its libraries
 * (libglib's own calls among these are bound inside it and not seen). Takes the engine's locks in slow paths only;
 * arena records may be made at first sight.
 *
 * GMutex and GCond sit on futexes, so this is the only place where they are seen. GRecMutex and GRWLock make a
 * pthread object at first use and call pthread functions, which we intercept as well: those calls are kept quiet, the
 * object of the program is GLib's. libglib may be loaded late, with a plugin: then the real functions are looked up
 * at the first call. A function that is nowhere (a weak reference found our name) does nothing. */
#include "blocking.h"
#include "cond.h"

static bool glib_late(const char *name, void **slot)
{
    return real_late(name, slot);
}
#define GLIB(name) (snarl_likely(REAL(name) != NULL) || glib_late(#name, (void **)&REAL(name)))

enum glib_kind { GLIB_MUTEX, GLIB_RECURSIVE, GLIB_WRITER, GLIB_READER };

static SNARL_HOT struct lock_rec *glib_rec(struct thread *t, void *lock, enum glib_kind kind, const u64 *fp)
{
    enum object_kind k = kind >= GLIB_WRITER ? OBJ_RWLOCK : OBJ_MUTEX;
    return engine_lock(t, (u64)lock, k, kind == GLIB_RECURSIVE ? ATTR_RECURSIVE : 0, fp);
}

static SNARL_HOT enum lock_mode glib_mode(enum glib_kind kind)
{
    return kind == GLIB_READER ? MODE_SHARED : MODE_EXCLUSIVE;
}

typedef void glib_call(void *);
typedef int glib_try(void *);

/* Inside; leaves. */
static __attribute__((noinline)) void glib_block(struct thread *t, struct lock_rec *l, void *lock, enum glib_kind kind,
                                                 glib_call *real, const u64 *fp)
{
    int r = engine_lock_wait(t, l, glib_mode(kind), HOW_BLOCK, fp);
    interceptor_leave(t);
    if (r)
        return; /* broken deadlock: its unlock will be swallowed */
    interceptor_quiet(t, fp);
    UNWOUND_THROUGH(blocked_unwound);
    real(lock);
    interceptor_again(t, fp);
    engine_wait_end(t);
    engine_acquired(t, l, glib_mode(kind), HOW_BLOCK, fp);
    interceptor_leave(t);
}

static SNARL_HOT void glib_lock(void *lock, enum glib_kind kind, glib_call *real, glib_try *try, const u64 *fp)
{
    perturb_point();
    struct thread *t = interceptor_enter(fp);
    if (snarl_unlikely(!t)) {
        real(lock);
        return;
    }
    struct lock_rec *l = glib_rec(t, lock, kind, fp);
    interceptor_quiet(t, fp);
    int taken = try(lock);
    interceptor_again(t, fp);
    if (snarl_unlikely(!taken)) {
        glib_block(t, l, lock, kind, real, fp);
        return;
    }
    engine_acquired(t, l, glib_mode(kind), HOW_BLOCK, fp);
    interceptor_leave(t);
}

static SNARL_HOT int glib_trylock(void *lock, enum glib_kind kind, glib_try *try, const u64 *fp)
{
    struct thread *t = interceptor_enter(fp);
    if (snarl_unlikely(!t))
        return try(lock);
    struct lock_rec *l = glib_rec(t, lock, kind, fp);
    interceptor_quiet(t, fp);
    int taken = try(lock);
    interceptor_again(t, fp);
    if (taken)
        engine_acquired(t, l, glib_mode(kind), HOW_TRY, fp);
    else
        engine_lock_busy(t, l, fp);
    interceptor_leave(t);
    return taken;
}

/* The real unlock neither blocks nor runs the program's code, so it is made inside. */
static SNARL_HOT void glib_unlock(void *lock, enum glib_kind kind, glib_call *real, const u64 *fp)
{
    struct thread *t = interceptor_enter(fp);
    if (snarl_unlikely(!t)) {
        real(lock);
        return;
    }
    if (!engine_release(t, glib_rec(t, lock, kind, fp), fp)) {
        interceptor_quiet(t, fp);
        real(lock);
    }
    interceptor_leave(t);
}

static void glib_init(void *lock, enum glib_kind kind, glib_call *real, const u64 *fp)
{
    struct thread *t = interceptor_enter(fp);
    if (t) {
        engine_lock_init(t, (u64)lock, kind >= GLIB_WRITER ? OBJ_RWLOCK : OBJ_MUTEX,
                         kind == GLIB_RECURSIVE ? ATTR_RECURSIVE : 0, 0, fp);
        interceptor_quiet(t, fp);
    }
    real(lock);
    if (t)
        interceptor_leave(t);
}

/* The object ends like freed memory does: what is zero at the address later is a new, valid lock. */
static void glib_clear(void *lock, glib_call *real, const u64 *fp)
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

#define LOCK(name, try, kind)                                                                                          \
    EXPORT void name(void *lock)                                                                                       \
    {                                                                                                                  \
        if (GLIB(name) && GLIB(try))                                                                                   \
            glib_lock(lock, kind, REAL(name), REAL(try), INTERCEPTOR_FP());                                            \
    }                                                                                                                  \
    EXPORT int try(void *lock)                                                                                         \
    {                                                                                                                  \
        return GLIB(try) ? glib_trylock(lock, kind, REAL(try), INTERCEPTOR_FP()) : 1;                                  \
    }
#define UNLOCK(name, kind)                                                                                             \
    EXPORT void name(void *lock)                                                                                       \
    {                                                                                                                  \
        if (GLIB(name))                                                                                                \
            glib_unlock(lock, kind, REAL(name), INTERCEPTOR_FP());                                                     \
    }
#define LIFE(init, clear, kind)                                                                                        \
    EXPORT void init(void *lock)                                                                                       \
    {                                                                                                                  \
        if (GLIB(init))                                                                                                \
            glib_init(lock, kind, REAL(init), INTERCEPTOR_FP());                                                       \
    }                                                                                                                  \
    EXPORT void clear(void *lock)                                                                                      \
    {                                                                                                                  \
        if (GLIB(clear))                                                                                               \
            glib_clear(lock, REAL(clear), INTERCEPTOR_FP());                                                           \
    }

LIFE(g_mutex_init, g_mutex_clear, GLIB_MUTEX)
LOCK(g_mutex_lock, g_mutex_trylock, GLIB_MUTEX)
UNLOCK(g_mutex_unlock, GLIB_MUTEX)

LIFE(g_rec_mutex_init, g_rec_mutex_clear, GLIB_RECURSIVE)
LOCK(g_rec_mutex_lock, g_rec_mutex_trylock, GLIB_RECURSIVE)
UNLOCK(g_rec_mutex_unlock, GLIB_RECURSIVE)

LIFE(g_rw_lock_init, g_rw_lock_clear, GLIB_WRITER)
LOCK(g_rw_lock_writer_lock, g_rw_lock_writer_trylock, GLIB_WRITER)
UNLOCK(g_rw_lock_writer_unlock, GLIB_WRITER)
LOCK(g_rw_lock_reader_lock, g_rw_lock_reader_trylock, GLIB_READER)
UNLOCK(g_rw_lock_reader_unlock, GLIB_READER)

/* ---- conditions ---- */

/* deadline: NULL for a wait without end. The real call releases and takes the mutex inside libglib. */
static __attribute__((noinline)) int glib_cond_block(struct cond_wait *w, void *cond, void *mutex,
                                                     const int64_t *deadline)
{
    if (!cond_wait_begin(w, deadline != NULL, 0))
        return 1;
    interceptor_quiet(w->thread, w->fp);
    UNWOUND_THROUGH(cond_unwound);
    int r = 1;
    if (deadline)
        r = REAL(g_cond_wait_until)(cond, mutex, *deadline);
    else
        REAL(g_cond_wait)(cond, mutex);
    cond_wait_end(w, true);
    return r;
}

EXPORT void g_cond_wait(void *cond, void *mutex)
{
    const u64 *fp = INTERCEPTOR_FP();
    if (!GLIB(g_cond_wait))
        return;
    perturb_point();
    struct thread *t = interceptor_enter(fp);
    if (!t) {
        REAL(g_cond_wait)(cond, mutex);
        return;
    }
    struct cond_wait w = {t, (u64)cond, glib_rec(t, mutex, GLIB_MUTEX, fp), 0, fp};
    glib_cond_block(&w, cond, mutex, NULL);
}

EXPORT int g_cond_wait_until(void *cond, void *mutex, int64_t deadline)
{
    const u64 *fp = INTERCEPTOR_FP();
    if (!GLIB(g_cond_wait_until))
        return 1;
    perturb_point();
    struct thread *t = interceptor_enter(fp);
    if (!t)
        return REAL(g_cond_wait_until)(cond, mutex, deadline);
    struct cond_wait w = {t, (u64)cond, glib_rec(t, mutex, GLIB_MUTEX, fp), 0, fp};
    return glib_cond_block(&w, cond, mutex, &deadline);
}

static SNARL_HOT void glib_signal(void *cond, bool all, glib_call *real, const u64 *fp)
{
    struct thread *t = interceptor_enter(fp);
    if (t) {
        engine_cond_signal(t, (u64)cond, all, fp);
        interceptor_leave(t);
    }
    real(cond);
}

EXPORT void g_cond_signal(void *cond)
{
    if (GLIB(g_cond_signal))
        glib_signal(cond, false, REAL(g_cond_signal), INTERCEPTOR_FP());
}

EXPORT void g_cond_broadcast(void *cond)
{
    if (GLIB(g_cond_broadcast))
        glib_signal(cond, true, REAL(g_cond_broadcast), INTERCEPTOR_FP());
}

EXPORT void g_cond_init(void *cond)
{
    const u64 *fp = INTERCEPTOR_FP();
    struct thread *t = interceptor_enter(fp);
    if (t) {
        engine_cond_init(t, (u64)cond, 0, fp);
        interceptor_leave(t);
    }
    if (GLIB(g_cond_init))
        REAL(g_cond_init)(cond);
}

EXPORT void g_cond_clear(void *cond)
{
    const u64 *fp = INTERCEPTOR_FP();
    struct thread *t = interceptor_enter(fp);
    if (t) {
        engine_cond_destroy(t, (u64)cond, fp);
        interceptor_leave(t);
    }
    if (GLIB(g_cond_clear))
        REAL(g_cond_clear)(cond);
}
