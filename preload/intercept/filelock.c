/* File locks: flock, POSIX record locks and open-file-description locks by fcntl, lockf, and close, which ends them.
 *
 * Called by the watched program and its libraries. Takes its own lock around the list of holds (never across a real
 * call or an engine call) and the engine's locks. The list's memory comes from mmap.
 *
 * A lock's identity is the file (device and inode) and, for records, the bytes asked for; in the engine it is a
 * made-up address, the same in every process. Two records that overlap without being equal are different locks; but
 * who has to wait asks the kernel which lock is in the way, and waits for that one. The process owns a lock
 * (ATTR_PROCESS_OWNED): any of its threads may release it. */
#include <stdarg.h>
#include <sys/stat.h>

#include "analyze/access.h"
#include "base/sys.h"
#include "blocking.h"
#include "descriptor.h"
#include "fd_path.h"
#include "file_holds.h"
#include "filelock.h"
#include "mapping.h"
#include "start.h"

#define KCMP_FILE 0

static struct file_holds holds;
static struct ilock holds_lock = ILOCK_INIT(RANK_TABLE);
static ref_t holds_process; /* whose holds these are: a forked child finds its parent's */
bool filelock_ever;

/* One call of the program's. */
struct file_call {
    int fd, cmd;      /* cmd: as given to fcntl; for flock the operation */
    struct flock *fl; /* record locks */
    u8 type, mode;
    bool blocking, unlock;
    struct file_range range;
    u64 dev, ino;
};

static u64 holds_acquire(void)
{
    ref_t me = engine_process(), seen = __atomic_load_n(&holds_process, __ATOMIC_ACQUIRE);
    if (seen != me &&
        __atomic_compare_exchange_n(&holds_process, &seen, me, false, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE) && seen) {
        /* First use in a forked child: whoever held the lock at the fork is not here. */
        __atomic_store_n(&holds_lock.word, 0, __ATOMIC_RELEASE);
        u64 mask = ilock_acquire(&holds_lock);
        file_holds_after_fork(&holds);
        return mask;
    }
    return ilock_acquire(&holds_lock);
}

/* ---- identity ---- */

static u64 lock_address(const struct file_call *c, struct file_range r)
{
    u64 h = hash_combine(hash_combine(c->dev, c->ino), hash_combine(r.start, r.end));
    return MAPPING_FILE_LOCK | (hash_combine(h, c->type == FILE_FLOCK) & ~15ULL);
}

static char *text_number(char *at, u64 n)
{
    char digits[24];
    u32 i = sizeof digits;
    do
        digits[--i] = (char)('0' + n % 10);
    while (n /= 10);
    __builtin_memcpy(at, digits + i, sizeof digits - i);
    return at + (sizeof digits - i);
}

/* "PATH" or "PATH[0..99]". */
static void lock_name(struct lock_rec *l, const struct file_call *c, struct file_range r)
{
    char name[FD_PATH_MAX + 64];
    if (!fd_path(c->fd, name, FD_PATH_MAX))
        return;
    char *at = name + __builtin_strlen(name);
    if (r.start || r.end != FILE_END) {
        *at++ = '[';
        at = text_number(at, r.start);
        *at++ = '.';
        *at++ = '.';
        if (r.end != FILE_END)
            at = text_number(at, r.end);
        *at++ = ']';
        *at = 0;
    }
    engine_lock_name(l, name);
}

static struct lock_rec *lock_of(struct thread *t, const struct file_call *c, struct file_range r, const u64 *fp)
{
    enum object_kind kind = c->type == FILE_FLOCK ? OBJ_FLOCK : OBJ_FCNTL;
    u32 attrs = ATTR_SHARED | ATTR_PROCESS_OWNED | (c->type == FILE_POSIX ? ATTR_RECORD : 0);
    struct lock_rec *l = engine_lock(t, lock_address(c, r), kind, attrs, fp);
    if (!(l->head.attrs & ATTR_NAMED))
        lock_name(l, c, r);
    return l;
}

static bool file_identify(int fd, u64 *dev, u64 *ino)
{
    struct stat st;
    if (sys_call3(SYS_fstat, fd, &st, 0))
        return false;
    *dev = st.st_dev;
    *ino = st.st_ino;
    return true;
}

static bool same_description(int a, int b)
{
    long pid = sys_getpid();
    return a == b || sys_call6(SYS_kcmp, pid, pid, KCMP_FILE, a, b, 0) == 0;
}

/* The hold that this call would change: the same lock by the same owner. holds_lock held. */
static int hold_find(const struct file_call *c)
{
    for (u32 i = 0; i < holds.n; i++) {
        const struct file_hold *h = &holds.item[i];
        if (h->type == c->type && h->ino == c->ino && h->dev == c->dev && h->asked.start == c->range.start &&
            h->asked.end == c->range.end && (c->type == FILE_POSIX || same_description(h->fd, c->fd)))
            return (int)i;
    }
    return -1;
}

/* ---- the real calls ---- */

static int real_record(const struct file_call *c, int cmd, struct flock *fl)
{
    return REAL(fcntl64) ? REAL(fcntl64)(c->fd, cmd, fl) : REAL(fcntl)(c->fd, cmd, fl);
}

static int real_try(const struct file_call *c)
{
    if (c->type == FILE_FLOCK)
        return REAL(flock)(c->fd, c->cmd | LOCK_NB);
    return real_record(c, c->type == FILE_OFD ? F_OFD_SETLK : F_SETLK, c->fl);
}

static int real_block(const struct file_call *c)
{
    return c->type == FILE_FLOCK ? REAL(flock)(c->fd, c->cmd) : real_record(c, c->cmd, c->fl);
}

/* The lock that is in the way: its range, as the kernel tells it. */
static struct file_range blocking_range(const struct file_call *c)
{
    struct flock q = {.l_type = c->fl ? c->fl->l_type : (short)0, .l_whence = SEEK_SET};
    struct file_range r = c->range;
    if (c->type == FILE_FLOCK)
        return r;
    q.l_start = (off_t)r.start;
    q.l_len = r.end == FILE_END ? 0 : (off_t)(r.end - r.start + 1);
    if (sys_call3(SYS_fcntl, c->fd, c->type == FILE_OFD ? F_OFD_GETLK : F_GETLK, &q) || q.l_type == F_UNLCK ||
        !file_range_of(q.l_start, q.l_len, &r))
        return c->range;
    return r;
}

/* ---- acquire ---- */

/* What the process holds after a call that took, converted, or (mode -1) lost the lock. asked: the lock's identity. */
static void hold_note(const struct file_call *c, int mode, struct file_range asked)
{
    struct file_hold fresh = {c->dev, c->ino, c->range, asked, c->fd, c->type, (u8)mode, false};
    u64 mask = holds_acquire();
    __atomic_store_n(&filelock_ever, true, __ATOMIC_RELAXED);
    int i = hold_find(c);
    if (i >= 0 && mode < 0)
        file_holds_remove(&holds, (u32)i);
    else if (i >= 0)
        holds.item[i] = fresh;
    else if (mode >= 0 && file_holds_add(&holds, &fresh))
        run_lost(LOSS_arena_full);
    ilock_release(&holds_lock, mask);
}

/* Inside; leaves. Returns as the real call does. before: errno at the program's call. */
static __attribute__((noinline)) int file_block(struct thread *t, struct lock_rec *l, const struct file_call *c,
                                                int before, const u64 *fp)
{
    struct file_range obstacle = blocking_range(c);
    int r = engine_lock_wait(t, lock_of(t, c, obstacle, fp), c->mode, HOW_BLOCK, fp);
    if (r)
        hold_note(c, c->mode, obstacle); /* broken deadlock: its release will be swallowed */
    interceptor_leave(t);
    if (r) {
        errno = r;
        return -1;
    }
    UNWOUND_THROUGH(blocked_unwound);
    r = real_block(c);
    interceptor_again(t, fp);
    engine_wait_end(t);
    if (r == 0) {
        engine_acquired(t, l, c->mode, HOW_BLOCK, fp);
        hold_note(c, c->mode, c->range);
        errno = before;
    } else {
        engine_wait_failed(t);
    }
    interceptor_leave(t);
    return r;
}

/* Inside; leaves. */
static int file_acquire(struct thread *t, const struct file_call *c, const u64 *fp)
{
    u64 mask = holds_acquire();
    int held = hold_find(c), mode = held >= 0 ? holds.item[held].mode : -1;
    ilock_release(&holds_lock, mask);
    struct lock_rec *l = lock_of(t, c, c->range, fp);
    if (mode >= 0 && mode != c->mode && c->type == FILE_FLOCK) {
        /* The kernel gives the old one up first, even if it then refuses. */
        engine_release(t, l, fp);
        hold_note(c, -1, c->range);
    }
    int before = errno, r = real_try(c);
    bool busy = r && (errno == EAGAIN || errno == EACCES);
    if (busy && c->blocking)
        return file_block(t, l, c, before, fp);
    if (r == 0 && mode != c->mode) {
        engine_acquired(t, l, c->mode, c->blocking ? HOW_BLOCK : HOW_TRY, fp);
        hold_note(c, c->mode, c->range);
    }
    interceptor_leave(t);
    return r;
}

/* ---- release ---- */

/* Ends every hold of the file that `ends` says ends; engine calls are made without the list's lock, one hold at a
 * time. Returns 1 when all that ended were phantoms. Inside. */
static int file_release(struct thread *t, const struct file_call *c,
                        bool (*ends)(struct file_hold *, const struct file_call *), const u64 *fp)
{
    u32 real = 0, phantoms = 0;
    for (;;) {
        struct file_hold h = {0};
        bool found = false;
        u64 mask = holds_acquire();
        for (u32 i = 0; i < holds.n && !found; i++) {
            if (holds.item[i].ino != c->ino || holds.item[i].dev != c->dev || !ends(&holds.item[i], c))
                continue;
            h = holds.item[i];
            file_holds_remove(&holds, i);
            found = true;
        }
        ilock_release(&holds_lock, mask);
        if (!found)
            return phantoms && !real;
        struct file_call was = *c;
        was.type = h.type;
        if (h.inherited && c->cmd < 0) {
            real++; /* closed here, the parent's goes on */
        } else if (engine_release(t, lock_of(t, &was, h.asked, fp), fp)) {
            phantoms++;
        } else {
            real++;
        }
    }
}

static bool ends_by_unlock(struct file_hold *h, const struct file_call *c)
{
    return h->type == c->type && (c->type == FILE_POSIX || same_description(h->fd, c->fd)) &&
           file_hold_cut(h, c->range);
}

/* Is there another descriptor of the description behind fd? -1 if not. */
static int other_descriptor(int fd)
{
    char entries[1024];
    int dir = sys_open("/proc/self/fd", O_RDONLY | O_DIRECTORY | O_CLOEXEC, 0), found = -1;
    long n;
    if (dir < 0)
        return -1;
    while (found < 0 && (n = sys_call3(SYS_getdents64, dir, entries, sizeof entries)) > 0) {
        for (long at = 0; at < n && found < 0;) {
            const char *e = entries + at; /* ino, offset, u16 record length, u8 type, name */
            u16 length;
            int other = 0;
            __builtin_memcpy(&length, e + 16, sizeof length);
            for (const char *d = e + 19; *d >= '0' && *d <= '9'; d++)
                other = other * 10 + (*d - '0');
            if (e[19] >= '0' && e[19] <= '9' && other != fd && other != dir && same_description(fd, other))
                found = other;
            at += length;
        }
    }
    sys_close(dir);
    return found;
}

static bool ends_by_close(struct file_hold *h, const struct file_call *c)
{
    if (h->type == FILE_POSIX)
        return true;
    if (h->fd != c->fd)
        return false;
    int other = other_descriptor(c->fd);
    if (other >= 0)
        h->fd = other;
    return other < 0;
}

SNARL_COLD void filelock_closing_slow(int fd, const u64 *fp)
{
    struct file_call c = {.fd = fd, .cmd = -1};
    /* A vfork child closes descriptors of its own, but shares this memory. */
    if (!holds.n || !start_same_process() || !file_identify(fd, &c.dev, &c.ino))
        return;
    struct thread *t = interceptor_enter(fp);
    if (!t)
        return;
    file_release(t, &c, ends_by_close, fp);
    interceptor_leave(t);
}

EXPORT int close(int fd)
{
    filelock_closing(fd, INTERCEPTOR_FP());
    if (snarl_unlikely(access_on))
        descriptor_closing(fd, INTERCEPTOR_FP());
    return REAL(close)(fd);
}
EXPORT_ALIAS(__close, close);

/* ---- what the program calls ---- */

/* A call that is understood; t may be NULL. */
static int file_call(struct file_call *c, const u64 *fp)
{
    if (c->blocking && !c->unlock) {
        if (c->type != FILE_FLOCK)
            pthread_testcancel(); /* fcntl is a cancellation point when it may wait */
        perturb_point();
    }
    struct thread *t = file_identify(c->fd, &c->dev, &c->ino) ? interceptor_enter(fp) : NULL;
    if (!t)
        return real_block(c);
    if (!c->unlock)
        return file_acquire(t, c, fp);
    int swallow = file_release(t, c, ends_by_unlock, fp);
    interceptor_leave(t);
    return swallow ? 0 : real_block(c);
}

EXPORT int flock(int fd, int operation)
{
    struct file_call c = {.fd = fd, .cmd = operation, .type = FILE_FLOCK, .range = {0, FILE_END}};
    c.mode = (operation & ~LOCK_NB) == LOCK_SH ? MODE_SHARED : MODE_EXCLUSIVE;
    c.unlock = (operation & ~LOCK_NB) == LOCK_UN;
    c.blocking = !(operation & LOCK_NB);
    if (!c.unlock && (operation & ~LOCK_NB) != LOCK_SH && (operation & ~LOCK_NB) != LOCK_EX)
        return REAL(flock)(fd, operation);
    return file_call(&c, INTERCEPTOR_FP());
}

/* Fills in the absolute range. False where the kernel will refuse the call. */
static bool record_range(struct file_call *c)
{
    const struct flock *fl = c->fl;
    int64_t base = 0, start;
    if (fl->l_whence == SEEK_CUR) {
        base = sys_call3(SYS_lseek, c->fd, 0, SEEK_CUR);
    } else if (fl->l_whence == SEEK_END) {
        struct stat st;
        base = sys_call3(SYS_fstat, c->fd, &st, 0) ? -1 : st.st_size;
    } else if (fl->l_whence != SEEK_SET) {
        return false;
    }
    return base >= 0 && !__builtin_add_overflow(base, (int64_t)fl->l_start, &start) &&
           file_range_of(start, fl->l_len, &c->range);
}

/* True when it is a call that sets or removes a record lock; then *result is what it returned. */
static bool record_call(int fd, int cmd, void *arg, int *result, const u64 *fp)
{
    struct file_call c = {.fd = fd, .cmd = cmd, .fl = arg};
    if ((cmd != F_SETLK && cmd != F_SETLKW && cmd != F_OFD_SETLK && cmd != F_OFD_SETLKW) || !arg)
        return false;
    c.type = cmd == F_OFD_SETLK || cmd == F_OFD_SETLKW ? FILE_OFD : FILE_POSIX;
    c.blocking = cmd == F_SETLKW || cmd == F_OFD_SETLKW;
    c.unlock = c.fl->l_type == F_UNLCK;
    c.mode = c.fl->l_type == F_RDLCK ? MODE_SHARED : MODE_EXCLUSIVE;
    if ((!c.unlock && c.fl->l_type != F_RDLCK && c.fl->l_type != F_WRLCK) || !record_range(&c))
        return false;
    *result = file_call(&c, fp);
    return true;
}

static SNARL_HOT int duplicated(int fd, int cmd, int r, const u64 *fp)
{
    if (snarl_unlikely(access_on) && (cmd == F_DUPFD || cmd == F_DUPFD_CLOEXEC))
        descriptor_copied(fd, r, fp);
    return r;
}

/* Every command has at most one argument of at most pointer size, and reading one that was not passed does no harm. */
EXPORT int fcntl(int fd, int cmd, ...)
{
    va_list ap;
    va_start(ap, cmd);
    void *arg = va_arg(ap, void *);
    va_end(ap);
    int r;
    return record_call(fd, cmd, arg, &r, INTERCEPTOR_FP())
               ? r
               : duplicated(fd, cmd, REAL(fcntl)(fd, cmd, arg), INTERCEPTOR_FP());
}
EXPORT_ALIAS(__fcntl, fcntl);

EXPORT int fcntl64(int fd, int cmd, ...)
{
    va_list ap;
    va_start(ap, cmd);
    void *arg = va_arg(ap, void *);
    va_end(ap);
    int r;
    if (record_call(fd, cmd, arg, &r, INTERCEPTOR_FP()))
        return r;
    return duplicated(fd, cmd, REAL(fcntl64) ? REAL(fcntl64)(fd, cmd, arg) : REAL(fcntl)(fd, cmd, arg),
                      INTERCEPTOR_FP());
}

static SNARL_HOT int lockf_call(int fd, int cmd, off_t len, const u64 *fp)
{
    struct flock fl = {.l_type = cmd == F_ULOCK ? F_UNLCK : F_WRLCK, .l_whence = SEEK_CUR, .l_len = len};
    int r;
    if (cmd != F_LOCK && cmd != F_TLOCK && cmd != F_ULOCK)
        return REAL(lockf)(fd, cmd, len);
    return record_call(fd, cmd == F_LOCK ? F_SETLKW : F_SETLK, &fl, &r, fp) ? r : REAL(lockf)(fd, cmd, len);
}

EXPORT int lockf(int fd, int cmd, off_t len)
{
    return lockf_call(fd, cmd, len, INTERCEPTOR_FP());
}

EXPORT int lockf64(int fd, int cmd, off64_t len)
{
    return lockf_call(fd, cmd, len, INTERCEPTOR_FP());
}
