/* Hooks of calls that make, duplicate and end descriptors, and what other interceptors tell of them. Called by all
 * modules. Takes the engine's locks; the table's memory comes from sys_map.
 *
 * Every call that gives out a descriptor clears what is known of its number, since libc closes descriptors in ways that
 * are not seen (closedir). A vfork child has descriptors of its own, but shares the table: it changes nothing. */
#include "descriptor.h"

#include <sys/stat.h>

#include "base/sys.h"
#include "start.h"
#include "transfer.h"

/* ---- the descriptor itself, as data: its use is a read, its end a write (docs/decisions/0011) ---- */

static bool is_open(int fd)
{
    return sys_call3(SYS_fcntl, fd, F_GETFD, 0) >= 0;
}

/* What was done with a connection comes before what is done with the next one of its number: a server's table by
 * numbers needs no lock. Only those order: files would put too much in order by accident. */
static void connection_ends(struct thread *t, int fd)
{
    struct stat st;
    if (!sys_call3(SYS_fstat, fd, &st, 0) && S_ISSOCK(st.st_mode))
        hb_release(t, fd_key_number(fd));
}

/* What was done with the number before has nothing to do with what it stands for now. */
static void begins(struct thread *t, int fd, u64 cell)
{
    fd_set_closed(fd, false);
    access_forget(t, cell, GRANULE);
}

void descriptor_opened(struct thread *t, int fd, const u64 *fp)
{
    u64 cell = fd_cell(fd);
    if (!cell)
        return;
    begins(t, fd, cell);
    fd_set_origin(fd, engine_hooks.capture ? engine_hooks.capture(t, fp) : 0, t->rec->number);
}

/* It was closed, and something that is not seen has opened it since. */
static SNARL_COLD void opened_unseen(struct thread *t, int fd, u64 cell)
{
    fd_set_origin(fd, 0, 0);
    begins(t, fd, cell);
}

void descriptor_used(struct thread *t, int fd, const u64 *fp)
{
    u64 cell = fd_cell(fd);
    if (!cell)
        return;
    if (snarl_unlikely(fd_is_closed(fd)) && is_open(fd))
        opened_unseen(t, fd, cell);
    if (!touch_known(cell, GRANULE, ACCESS_READ))
        access_range(t, cell, GRANULE, ACCESS_READ | ACCESS_USE, fp);
}

/* Also of a number that has been closed already. */
static void ends(struct thread *t, int fd, const u64 *fp)
{
    u64 cell = fd_cell(fd);
    bool again = fd_is_closed(fd), open = is_open(fd);
    if (!cell || !(open || again))
        return;
    if (again && open)
        opened_unseen(t, fd, cell);
    if (watched_call(fp, false))
        access_range(t, cell, GRANULE, ACCESS_WRITE | ACCESS_END, fp);
    else
        access_forget(t, cell, GRANULE);
    fd_set_closed(fd, true);
}

/* fd is new; made: it belongs to something that no other descriptor leads to. */
static int fresh(int fd, bool made, const u64 *fp)
{
    struct thread *t = fd >= 0 && start_same_process() ? touch_enter(fp) : NULL;
    if (fd < 0 || !start_same_process())
        return fd;
    if (made)
        fd_made(fd);
    else
        fd_forget(fd);
    if (t) {
        descriptor_opened(t, fd, fp);
        interceptor_leave(t);
    }
    return fd;
}

void descriptor_came(int fd, const u64 *fp)
{
    fresh(fd, false, fp);
}

void descriptor_closing(int fd, const u64 *fp)
{
    struct thread *t = start_same_process() ? touch_enter(fp) : NULL;
    u64 key = t ? fd_key(fd) : 0;
    if (!start_same_process())
        return;
    fd_forget(fd);
    if (t) {
        ends(t, fd, fp);
        connection_ends(t, fd);
        RELEASE(key);
        interceptor_leave(t);
    }
}

void descriptor_copied(int from, int to, const u64 *fp)
{
    struct thread *t = to >= 0 && start_same_process() ? touch_enter(fp) : NULL;
    if (to < 0 || !start_same_process())
        return;
    fd_copied(from, to);
    if (t) {
        descriptor_opened(t, to, fp);
        interceptor_leave(t);
    }
}

/* ---- made ---- */

#define MAKES(name, made, parameters, arguments)                                                                       \
    int hook_##name parameters                                                                                         \
    {                                                                                                                  \
        return fresh(HOOKED(name) arguments, made, INTERCEPTOR_FP());                                                  \
    }
MAKES(eventfd, true, (unsigned value, int flags), (value, flags))
MAKES(timerfd_create, true, (clockid_t clock, int flags), (clock, flags))
MAKES(epoll_create, true, (int size), (size))
MAKES(epoll_create1, true, (int flags), (flags))
MAKES(inotify_init1, true, (int flags), (flags))
MAKES(memfd_create, false, (const char *name, unsigned flags), (name, flags))
MAKES(creat, false, (const char *path, mode_t mode), (path, mode))
MAKES(creat64, false, (const char *path, mode_t mode), (path, mode))
MAKES(__open_2, false, (const char *path, int flags), (path, flags))
MAKES(__open64_2, false, (const char *path, int flags), (path, flags))
MAKES(__openat_2, false, (int at, const char *path, int flags), (at, path, flags))
MAKES(__openat64_2, false, (int at, const char *path, int flags), (at, path, flags))

/* A third argument that was not passed is read, and ignored by the kernel. */
#define OPENS(name, parameters, ...)                                                                                   \
    int hook_##name parameters                                                                                         \
    {                                                                                                                  \
        va_list ap;                                                                                                    \
        va_start(ap, flags);                                                                                           \
        mode_t mode = va_arg(ap, mode_t);                                                                              \
        va_end(ap);                                                                                                    \
        return fresh(HOOKED(name)(__VA_ARGS__, flags, mode), false, INTERCEPTOR_FP());                                 \
    }
OPENS(open, (const char *path, int flags, ...), path)
OPENS(open64, (const char *path, int flags, ...), path)
OPENS(openat, (int at, const char *path, int flags, ...), at, path)
OPENS(openat64, (int at, const char *path, int flags, ...), at, path)

int hook_signalfd(int fd, const sigset_t *signals, int flags)
{
    int r = HOOKED(signalfd)(fd, signals, flags);
    if (r >= 0 && start_same_process()) {
        if (fd < 0)
            TOUCH(descriptor_opened(t, r, fp));
        fd_made_for_signals(r);
    }
    return r;
}

#define MAKES_TWO(name, parameters, arguments, note)                                                                   \
    int hook_##name parameters                                                                                         \
    {                                                                                                                  \
        int r = HOOKED(name) arguments;                                                                                \
        if (!r && start_same_process())                                                                                \
            note;                                                                                                      \
        if (!r && start_same_process())                                                                                \
            TOUCH(descriptor_opened(t, ends[0], fp), descriptor_opened(t, ends[1], fp));                               \
        if (!r)                                                                                                        \
            TOUCH(COUNTED(WRITES(ends, 2 * sizeof *ends)));                                                            \
        return r;                                                                                                      \
    }
MAKES_TWO(pipe, (int ends[2]), (ends), (fd_forget(ends[0]), fd_forget(ends[1])))
MAKES_TWO(pipe2, (int ends[2], int flags), (ends, flags), (fd_forget(ends[0]), fd_forget(ends[1])))
MAKES_TWO(socketpair, (int domain, int type, int protocol, int ends[2]), (domain, type, protocol, ends),
          fd_made_pair(ends[0], ends[1]))

/* ---- duplicates and the end ---- */

int hook_dup(int from)
{
    TOUCH(COUNTED(USES(from)));
    int r = HOOKED(dup)(from);
    descriptor_copied(from, r, INTERCEPTOR_FP());
    return r;
}

/* What `to` led to is closed inside, unless it is the same. The number never is free meanwhile, so that counts as a
 * use. */
static void onto_begin(int from, int to, const u64 *fp)
{
    u64 key = from != to ? fd_key(to) : 0;
    struct thread *t = touch_enter(fp);
    if (!t)
        return;
    COUNTED(USES(from), USES(to));
    RELEASE(key);
    interceptor_leave(t);
}

static void onto_done(int from, int to, bool was_open, const u64 *fp)
{
    if (!was_open) {
        descriptor_copied(from, to, fp);
        return;
    }
    if (!start_same_process())
        return;
    fd_copied(from, to);
    TOUCH(fd_set_origin(to, engine_hooks.capture ? engine_hooks.capture(t, fp) : 0, t->rec->number));
}

#define ONTO(name, parameters, arguments)                                                                              \
    int hook_##name parameters                                                                                         \
    {                                                                                                                  \
        bool was_open = is_open(to);                                                                                   \
        onto_begin(from, to, INTERCEPTOR_FP());                                                                        \
        int r = HOOKED(name) arguments;                                                                                \
        if (r >= 0 && from != to)                                                                                      \
            onto_done(from, to, was_open, INTERCEPTOR_FP());                                                           \
        return r;                                                                                                      \
    }
ONTO(dup2, (int from, int to), (from, to))
ONTO(dup3, (int from, int to, int flags), (from, to, flags))

#define CLOSES_RANGE 4 /* without this flag (CLOSE_RANGE_CLOEXEC) */

int hook_close_range(unsigned first, unsigned last, int flags)
{
    if (!(flags & CLOSES_RANGE) && start_same_process())
        fd_forget_range(first, last);
    return HOOKED(close_range)(first, last, flags);
}

void hook_closefrom(int first)
{
    if (start_same_process())
        fd_forget_range(first < 0 ? 0 : (u32)first, ~0u);
    HOOKED(closefrom)(first);
}

/* ---- connections ---- */

int hook_socket(int domain, int type, int protocol)
{
    int r = fresh(HOOKED(socket)(domain, type, protocol), false, INTERCEPTOR_FP());
    if (r >= 0)
        TOUCH(hb_acquire(t, fd_key_number(r)));
    return r;
}

int hook_connect(int fd, __CONST_SOCKADDR_ARG address, socklen_t length)
{
    TOUCH(COUNTED(USES(fd), READS(address.__sockaddr__, length)), hb_release(t, fd_key_connecting()));
    int r = HOOKED(connect)(fd, address, length);
    if (start_same_process())
        fd_forget(fd);
    return r;
}

static void address_written(struct thread *t, __SOCKADDR_ARG address, socklen_t *length, const u64 *fp)
{
    if (!address.__sockaddr__ || !length)
        return;
    WRITES(length, sizeof *length);
    WRITES(address.__sockaddr__, *length);
}

#define ACCEPTS(name, parameters, arguments)                                                                           \
    int hook_##name parameters                                                                                         \
    {                                                                                                                  \
        TOUCH(COUNTED(USES(fd)));                                                                                      \
        int r = fresh(HOOKED(name) arguments, false, INTERCEPTOR_FP());                                                \
        if (r >= 0)                                                                                                    \
            TOUCH(hb_acquire(t, fd_key_connecting()), hb_acquire(t, fd_key_number(r)),                                 \
                  COUNTED(address_written(t, address, length, fp)));                                                   \
        return r;                                                                                                      \
    }
ACCEPTS(accept, (int fd, __SOCKADDR_ARG address, socklen_t *restrict length), (fd, address, length))
ACCEPTS(accept4, (int fd, __SOCKADDR_ARG address, socklen_t *restrict length, int flags), (fd, address, length, flags))

SENDING(int, shutdown, (int fd, int how), (fd, how), fd, (void)0)
