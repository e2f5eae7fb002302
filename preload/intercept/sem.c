/* POSIX semaphores, unnamed and named. Called by the watched program and its libraries. Takes the engine's locks in
 * slow paths only; arena records may be made at first sight of a semaphore.
 *
 * The engine decides whether a semaphore is used as a lock; here it is only told initial values, takes, waits and
 * posts. sem_wait and its timed forms are cancellation points even when they succeed at once, so cancellation is
 * tested before the try. errno stays as the program had it when a busy try is followed by a wait that succeeds. */
#include <stdarg.h>

#include "blocking.h"
#include "sem_interpreter.h"

const struct sem_interpreter *sem_interpreter;

static SNARL_HOT struct lock_rec *sem_rec(struct thread *t, u64 sem, const u64 *fp)
{
    struct lock_rec *l = lock_cached(t, sem, OBJ_SEM);
    return snarl_likely(l != NULL) ? l : engine_lock_find(t, sem, OBJ_SEM, ATTR_INIT_UNKNOWN_VALUE, fp);
}

struct sem_call {
    sem_t *sem;
    enum call_form form;
    clockid_t clock;
    const struct timespec *deadline;
};

static int real_wait(const struct sem_call *c)
{
    switch (c->form) {
    case CALL_TIMED:
        return REAL(sem_timedwait)(c->sem, c->deadline);
    case CALL_CLOCK:
        return REAL(sem_clockwait)(c->sem, c->clock, c->deadline);
    default:
        return REAL(sem_wait)(c->sem);
    }
}

/* The try found it at zero. Inside; leaves. */
static __attribute__((noinline)) int sem_block(struct thread *t, struct lock_rec *s, const struct sem_call *c,
                                               int saved_errno, const u64 *fp)
{
    u32 how = call_how(t, c->form);
    int r = engine_sem_wait(t, s, how, fp);
    interceptor_leave(t);
    if (r) {
        errno = r;
        return -1;
    }
    errno = saved_errno;
    UNWOUND_THROUGH(blocked_unwound);
    r = real_wait(c);
    interceptor_again(t, fp);
    engine_wait_end(t);
    if (r == 0)
        engine_sem_take(t, s, how, fp);
    else
        engine_wait_failed(t);
    interceptor_leave(t);
    return r;
}

static SNARL_HOT int sem_wait_until(const struct sem_call *c, const u64 *fp)
{
    perturb_point();
    pthread_testcancel();
    struct thread *t = interceptor_enter(fp);
    if (snarl_unlikely(!t))
        return real_wait(c);
    if (snarl_unlikely(sem_interpreter != NULL))
        sem_interpreter->waits(t, (u64)c->sem, fp);
    struct lock_rec *s = sem_rec(t, (u64)c->sem, fp);
    int saved_errno = errno;
    if (snarl_unlikely(REAL(sem_trywait)(c->sem)))
        return sem_block(t, s, c, saved_errno, fp);
    engine_sem_take(t, s, call_how(t, c->form), fp);
    interceptor_leave(t);
    return 0;
}

EXPORT int sem_wait(sem_t *sem)
{
    struct sem_call c = {sem, CALL_PLAIN, 0, NULL};
    return sem_wait_until(&c, INTERCEPTOR_FP());
}

/* A wrong deadline or clock is refused before the semaphore is looked at, as in glibc. */
EXPORT int sem_timedwait(sem_t *sem, const struct timespec *deadline)
{
    struct sem_call c = {sem, CALL_TIMED, 0, deadline};
    if (snarl_unlikely(!deadline_valid(deadline)))
        return real_wait(&c);
    return sem_wait_until(&c, INTERCEPTOR_FP());
}

EXPORT int sem_clockwait(sem_t *sem, clockid_t clock, const struct timespec *deadline)
{
    struct sem_call c = {sem, CALL_CLOCK, clock, deadline};
    if (snarl_unlikely(!REAL(sem_clockwait))) {
        errno = ENOSYS; /* glibc before 2.30 */
        return -1;
    }
    if (snarl_unlikely(!deadline_valid(deadline) || !clock_valid(clock)))
        return real_wait(&c);
    return sem_wait_until(&c, INTERCEPTOR_FP());
}

static SNARL_COLD void try_failed(struct thread *t, const sem_t *sem, const u64 *fp)
{
    int saved_errno = errno;
    sem_interpreter->busy(t, (u64)sem, fp);
    errno = saved_errno;
}

EXPORT int sem_trywait(sem_t *sem)
{
    const u64 *fp = INTERCEPTOR_FP();
    struct thread *t = interceptor_enter(fp);
    if (snarl_unlikely(!t))
        return REAL(sem_trywait)(sem);
    struct lock_rec *s = sem_rec(t, (u64)sem, fp);
    int r = REAL(sem_trywait)(sem);
    t->wait_frames.sem = 0;
    if (r == 0)
        engine_sem_take(t, s, how_here(t, snarl_unlikely(sem_interpreter != NULL) ? sem_interpreter->how(fp) : HOW_TRY),
                        fp);
    else if (snarl_unlikely(sem_interpreter != NULL))
        try_failed(t, sem, fp);
    interceptor_leave(t);
    return r;
}

EXPORT int sem_post(sem_t *sem)
{
    const u64 *fp = INTERCEPTOR_FP();
    struct thread *t = interceptor_enter(fp);
    int swallow = 0;
    if (snarl_likely(t != NULL)) {
        t->wait_frames.sem = 0;
        swallow = engine_sem_give(t, sem_rec(t, (u64)sem, fp), fp);
        interceptor_leave(t);
    }
    return snarl_unlikely(swallow) ? 0 : REAL(sem_post)(sem);
}

EXPORT int sem_init(sem_t *sem, int shared, unsigned value)
{
    const u64 *fp = INTERCEPTOR_FP();
    int r = REAL(sem_init)(sem, shared, value);
    struct thread *t = r ? NULL : interceptor_enter(fp);
    if (t) {
        u32 attrs = sem_interpreter ? sem_interpreter->attrs(fp) : 0;
        engine_lock_init(t, (u64)sem, OBJ_SEM, attrs | (shared ? ATTR_SHARED : 0), value, fp);
        interceptor_leave(t);
    }
    return r;
}

EXPORT int sem_destroy(sem_t *sem)
{
    const u64 *fp = INTERCEPTOR_FP();
    struct thread *t = interceptor_enter(fp);
    if (t) {
        engine_lock_destroy(t, (u64)sem, OBJ_SEM, fp);
        interceptor_leave(t);
    }
    return REAL(sem_destroy)(sem);
}

/* Opens, and tells whether this call made the semaphore, which only O_EXCL says: so that is tried first. */
static sem_t *open_or_make(const char *name, int flags, mode_t mode, unsigned value, bool *made)
{
    sem_t *s = SEM_FAILED;
    int saved_errno = errno;
    *made = false;
    if (flags & O_CREAT) {
        s = REAL(sem_open)(name, flags | O_EXCL, mode, value);
        *made = s != SEM_FAILED;
        if (*made || (flags & O_EXCL))
            return s;
        errno = saved_errno;
    }
    return REAL(sem_open)(name, flags, mode, value);
}

/* The same address may have belonged to another semaphore, closed since: the thread's cache is not to be trusted. */
static void sem_opened(struct thread *t, u64 sem, const char *name, bool made, unsigned value, const u64 *fp)
{
    struct lock_slot *slot = &t->lock_cache[lock_cache_index(sem)];
    if (slot->addr == sem)
        slot->addr = 0;
    if (made)
        engine_lock_init(t, sem, OBJ_SEM, ATTR_SHARED | (sem_interpreter ? sem_interpreter->attrs(fp) : 0), value, fp);
    engine_lock_name(engine_lock_find(t, sem, OBJ_SEM, ATTR_SHARED | ATTR_INIT_UNKNOWN_VALUE, fp), name);
}

EXPORT sem_t *sem_open(const char *name, int flags, ...)
{
    const u64 *fp = INTERCEPTOR_FP();
    mode_t mode = 0;
    unsigned value = 0;
    if (flags & O_CREAT) {
        va_list list;
        va_start(list, flags);
        mode = va_arg(list, mode_t);
        value = va_arg(list, unsigned);
        va_end(list);
    }
    if (!interceptor_enter(fp))
        return REAL(sem_open)(name, flags, mode, value);
    interceptor_leave(snarl_thread); /* the real one allocates and opens files */
    bool made;
    sem_t *s = open_or_make(name, flags, mode, value, &made);
    struct thread *t = s == SEM_FAILED ? NULL : interceptor_enter(fp);
    if (t) {
        int saved_errno = errno;
        sem_opened(t, (u64)s, name, made, value, fp);
        errno = saved_errno;
        interceptor_leave(t);
    }
    return s;
}

/* Opens of one name share the address and are counted inside glibc. The engine forgets the address at each close:
 * while it is still open elsewhere, its next use finds the same record by file and offset. */
EXPORT int sem_close(sem_t *sem)
{
    const u64 *fp = INTERCEPTOR_FP();
    struct thread *t = interceptor_enter(fp);
    if (t) {
        const struct lock_rec *l = engine_lock_peek((u64)sem);
        if (l && l->head.kind == OBJ_SEM && (l->head.attrs & ATTR_SHARED))
            engine_memory_gone(t, (u64)sem, sizeof *sem, fp);
        interceptor_leave(t);
    }
    return REAL(sem_close)(sem);
}
