/* flockfile, ftrylockfile, funlockfile, fclose: the lock inside a FILE, which threads take for several stdio calls in
 * a row.
 *
 * Called by the watched program and its libraries. Takes the engine's locks in slow paths only; arena records may be
 * made at first sight of a FILE. The lock that stdio takes around a single call of its own is not visible; it is held
 * across nothing of the program's. */
#include "analyze/access.h"
#include "base/sys.h"
#include "blocking.h"
#include "fd_path.h"
#include "filelock.h"
#include "stream.h"

static void file_name(struct lock_rec *l, FILE *f)
{
    char path[FD_PATH_MAX + 8] = "FILE";
    int fd = fileno_unlocked(f);
    if (f == stdin || f == stdout || f == stderr)
        engine_lock_name(l, f == stdin ? "stdin" : f == stdout ? "stdout" : "stderr");
    else if (fd >= 0 && fd_path(fd, path + 5, FD_PATH_MAX)) {
        path[4] = ' ';
        engine_lock_name(l, path);
    } else
        engine_lock_name(l, path);
}

static SNARL_COLD struct lock_rec *file_find(struct thread *t, FILE *f, const u64 *fp)
{
    struct lock_rec *l = engine_lock_find(t, (u64)f, OBJ_CUSTOM, ATTR_FILE | ATTR_RECURSIVE, fp);
    if (!(l->head.attrs & ATTR_NAMED)) {
        int saved = errno; /* fileno of a memory stream */
        file_name(l, f);
        errno = saved;
    }
    return l;
}

static SNARL_HOT struct lock_rec *file_rec(struct thread *t, FILE *f, const u64 *fp)
{
    struct lock_rec *l = lock_cached(t, (u64)f, OBJ_CUSTOM);
    return snarl_likely(l != NULL) ? l : file_find(t, f, fp);
}

/* Inside; leaves. */
static __attribute__((noinline)) void file_block(struct thread *t, struct lock_rec *l, FILE *f, const u64 *fp)
{
    int r = engine_lock_wait(t, l, MODE_EXCLUSIVE, HOW_BLOCK, fp);
    interceptor_leave(t);
    if (r)
        return; /* broken deadlock: its funlockfile will be swallowed */
    UNWOUND_THROUGH(blocked_unwound);
    REAL(flockfile)(f);
    interceptor_again(t, fp);
    engine_wait_end(t);
    engine_acquired(t, l, MODE_EXCLUSIVE, HOW_BLOCK, fp);
    interceptor_leave(t);
}

EXPORT void flockfile(FILE *f)
{
    const u64 *fp = INTERCEPTOR_FP();
    perturb_point();
    struct thread *t = interceptor_enter(fp);
    if (snarl_unlikely(!t)) {
        REAL(flockfile)(f);
        return;
    }
    struct lock_rec *l = file_rec(t, f, fp);
    if (snarl_unlikely(REAL(ftrylockfile)(f))) {
        file_block(t, l, f, fp);
        return;
    }
    engine_acquired(t, l, MODE_EXCLUSIVE, HOW_BLOCK, fp);
    interceptor_leave(t);
}
EXPORT_ALIAS(_IO_flockfile, flockfile);

EXPORT int ftrylockfile(FILE *f)
{
    const u64 *fp = INTERCEPTOR_FP();
    struct thread *t = interceptor_enter(fp);
    if (snarl_unlikely(!t))
        return REAL(ftrylockfile)(f);
    struct lock_rec *l = file_rec(t, f, fp);
    int r = REAL(ftrylockfile)(f);
    if (r == 0)
        engine_acquired(t, l, MODE_EXCLUSIVE, HOW_TRY, fp);
    else
        engine_lock_busy(t, l, fp);
    interceptor_leave(t);
    return r;
}
EXPORT_ALIAS(_IO_ftrylockfile, ftrylockfile);

EXPORT void funlockfile(FILE *f)
{
    const u64 *fp = INTERCEPTOR_FP();
    struct thread *t = interceptor_enter(fp);
    if (snarl_likely(t != NULL)) {
        int swallow = engine_release(t, file_rec(t, f, fp), fp);
        interceptor_leave(t);
        if (snarl_unlikely(swallow))
            return;
    }
    REAL(funlockfile)(f);
}
EXPORT_ALIAS(_IO_funlockfile, funlockfile);

/* Another thread has locked the FILE: fclose would wait for it. Inside, and inside again at the end. False: broken
 * deadlock. */
static __attribute__((noinline)) bool file_wait(struct thread *t, struct lock_rec *l, FILE *f, const u64 *fp)
{
    int r = engine_lock_wait(t, l, MODE_EXCLUSIVE, HOW_BLOCK, fp);
    if (r) {
        engine_release(t, l, fp); /* nobody will: drops the phantom */
        return false;
    }
    interceptor_leave(t);
    UNWOUND_THROUGH(blocked_unwound);
    REAL(flockfile)(f);
    REAL(funlockfile)(f);
    interceptor_again(t, fp);
    engine_wait_end(t);
    engine_wait_failed(t);
    return true;
}

EXPORT int fclose(FILE *f)
{
    const u64 *fp = INTERCEPTOR_FP();
    if (snarl_unlikely(access_on) && f)
        stream_closing(f, fp);
    if (snarl_unlikely(filelock_ever) && f)
        filelock_closing(fileno_unlocked(f), fp); /* glibc's own close is not visible */
    struct thread *t = f ? interceptor_enter(fp) : NULL;
    if (t) {
        struct lock_rec *l = engine_lock_peek((u64)f);
        if (l && (l->head.attrs & ATTR_FILE)) {
            if (l->owner && l->owner != t->ref && !file_wait(t, l, f, fp)) {
                interceptor_leave(t);
                errno = EDEADLK;
                return EOF;
            }
            /* Closing what oneself has locked is allowed; the memory is freed inside, so the object ends before. */
            for (u32 i = 0; l->owner == t->ref && i < UINT16_MAX; i++)
                engine_release(t, l, fp);
            engine_memory_gone(t, (u64)f, 1, fp);
        }
        interceptor_leave(t);
    }
    return REAL(fclose)(f);
}
EXPORT_ALIAS(_IO_fclose, fclose);
