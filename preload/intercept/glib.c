/* GLib's locks: g_mutex_*, g_rec_mutex_*, g_rw_lock_*, g_cond_*. Called by the watched program and its libraries
 * (libglib's own calls among these are bound inside it and not seen). Takes the engine's locks in slow paths only;
 * arena records may be made at first sight.
 *
 * GMutex and GCond sit on futexes, so this is the only place where they are seen. GRecMutex and GRWLock make a
 * pthread object at first use and call pthread functions, which we intercept as well: those calls are kept quiet. */
#include "cond.h"
#include "library_lock.h"

#define GLIB_MUTEX ((struct library_lock){OBJ_MUTEX, MODE_EXCLUSIVE, 0})
#define GLIB_RECURSIVE ((struct library_lock){OBJ_MUTEX, MODE_EXCLUSIVE, ATTR_RECURSIVE})
#define GLIB_WRITER ((struct library_lock){OBJ_RWLOCK, MODE_EXCLUSIVE, 0})
#define GLIB_READER ((struct library_lock){OBJ_RWLOCK, MODE_SHARED, 0})

LIBRARY_LIFE(g_mutex_init, g_mutex_clear, GLIB_MUTEX)
LIBRARY_LOCK(g_mutex_lock, g_mutex_trylock, g_mutex_unlock, GLIB_MUTEX)

LIBRARY_LIFE(g_rec_mutex_init, g_rec_mutex_clear, GLIB_RECURSIVE)
LIBRARY_LOCK(g_rec_mutex_lock, g_rec_mutex_trylock, g_rec_mutex_unlock, GLIB_RECURSIVE)

LIBRARY_LIFE(g_rw_lock_init, g_rw_lock_clear, GLIB_WRITER)
LIBRARY_LOCK(g_rw_lock_writer_lock, g_rw_lock_writer_trylock, g_rw_lock_writer_unlock, GLIB_WRITER)
LIBRARY_LOCK(g_rw_lock_reader_lock, g_rw_lock_reader_trylock, g_rw_lock_reader_unlock, GLIB_READER)

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
    if (!LATE(g_cond_wait))
        return;
    perturb_point();
    struct thread *t = interceptor_enter(fp);
    if (!t) {
        REAL(g_cond_wait)(cond, mutex);
        return;
    }
    struct cond_wait w = {t, (u64)cond, library_rec(t, mutex, GLIB_MUTEX, fp), 0, fp};
    glib_cond_block(&w, cond, mutex, NULL);
}

EXPORT int g_cond_wait_until(void *cond, void *mutex, int64_t deadline)
{
    const u64 *fp = INTERCEPTOR_FP();
    if (!LATE(g_cond_wait_until))
        return 1;
    perturb_point();
    struct thread *t = interceptor_enter(fp);
    if (!t)
        return REAL(g_cond_wait_until)(cond, mutex, deadline);
    struct cond_wait w = {t, (u64)cond, library_rec(t, mutex, GLIB_MUTEX, fp), 0, fp};
    return glib_cond_block(&w, cond, mutex, &deadline);
}

static SNARL_HOT void glib_signal(void *cond, bool all, library_call *real, const u64 *fp)
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
    if (LATE(g_cond_signal))
        glib_signal(cond, false, REAL(g_cond_signal), INTERCEPTOR_FP());
}

EXPORT void g_cond_broadcast(void *cond)
{
    if (LATE(g_cond_broadcast))
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
    if (LATE(g_cond_init))
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
    if (LATE(g_cond_clear))
        REAL(g_cond_clear)(cond);
}
