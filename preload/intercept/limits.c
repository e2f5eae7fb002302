/* The memory that snarl has mapped must not show in what the program does about its own: the limit of address space,
 * and locking all memory. The run's arena is a sparse file mapping of many gigabytes of which little is ever touched.
 * Called by the watched program; takes no lock, allocates nothing.
 *
 * A limit that the program sets is meant for its own memory, so ours comes on top of it, and is taken off when the
 * limit is read back. mlockall would fill the whole mapping: it locks on fault only, then every mapping but ours is
 * locked as asked. */
#include <errno.h>
#include <fcntl.h>

#include "base/arena.h"
#include "base/reserve.h"
#include "interceptor.h"
#include "maps.h"
#include "start.h"

static bool raised; /* the present limit includes our share */

static rlim_t ours(void)
{
    return (rlim_t)(arena_header()->size + reserve_total());
}

static rlim_t with_ours(rlim_t limit, rlim_t most)
{
    if (limit == RLIM_INFINITY)
        return limit;
    rlim_t sum = limit + ours();
    return sum < limit || sum > most ? most : sum;
}

static rlim_t without_ours(rlim_t limit)
{
    return limit == RLIM_INFINITY || limit < ours() ? limit : limit - ours();
}

/* The pid of prlimit may be our own in two ways. */
static bool concerns_us(pid_t pid, int resource)
{
    return snarl_on && resource == RLIMIT_AS && (pid == 0 || (u32)pid == snarl_pid) && start_same_process();
}

static int limit_of_ours(pid_t pid, const struct rlimit *fresh, struct rlimit *old)
{
    struct rlimit before, raise;
    int r = REAL(prlimit)(pid, RLIMIT_AS, NULL, &before);
    bool was_raised = raised;
    if (r == 0 && fresh) {
        raise.rlim_max = with_ours(fresh->rlim_max, RLIM_INFINITY);
        raise.rlim_cur = with_ours(fresh->rlim_cur, raise.rlim_max);
        r = REAL(prlimit)(pid, RLIMIT_AS, &raise, NULL);
        if (r && errno == EPERM && raise.rlim_max > before.rlim_max) { /* may not go above the old hard limit */
            raise.rlim_max = fresh->rlim_max > before.rlim_max ? fresh->rlim_max : before.rlim_max;
            raise.rlim_cur = with_ours(fresh->rlim_cur, raise.rlim_max);
            r = REAL(prlimit)(pid, RLIMIT_AS, &raise, NULL);
        }
        if (r == 0)
            raised = raise.rlim_cur != RLIM_INFINITY;
    }
    if (r == 0 && old) {
        old->rlim_cur = was_raised ? without_ours(before.rlim_cur) : before.rlim_cur;
        old->rlim_max = was_raised ? without_ours(before.rlim_max) : before.rlim_max;
    }
    return r;
}

static int set_limit(int resource, const struct rlimit *limit)
{
    return concerns_us(0, resource) ? limit_of_ours(0, limit, NULL) : REAL(setrlimit)(resource, limit);
}

static int get_limit(int resource, struct rlimit *limit)
{
    return concerns_us(0, resource) ? limit_of_ours(0, NULL, limit) : REAL(getrlimit)(resource, limit);
}

static int both_limits(pid_t pid, int resource, const struct rlimit *fresh, struct rlimit *old)
{
    if (concerns_us(pid, resource))
        return limit_of_ours(pid, fresh, old);
    return REAL(prlimit)(pid, (enum __rlimit_resource)resource, fresh, old);
}

/* struct rlimit64 is the same on this machine, but another type. */
EXPORT int setrlimit(__rlimit_resource_t resource, const struct rlimit *limit)
{
    return set_limit((int)resource, limit);
}
EXPORT int setrlimit64(__rlimit_resource_t resource, const struct rlimit64 *limit)
{
    return set_limit((int)resource, (const struct rlimit *)limit);
}
EXPORT int getrlimit(__rlimit_resource_t resource, struct rlimit *limit)
{
    return get_limit((int)resource, limit);
}
EXPORT int getrlimit64(__rlimit_resource_t resource, struct rlimit64 *limit)
{
    return get_limit((int)resource, (struct rlimit *)limit);
}
EXPORT int prlimit(pid_t pid, enum __rlimit_resource resource, const struct rlimit *fresh, struct rlimit *old)
{
    return both_limits(pid, (int)resource, fresh, old);
}
EXPORT int prlimit64(pid_t pid, enum __rlimit_resource resource, const struct rlimit64 *fresh, struct rlimit64 *old)
{
    return both_limits(pid, (int)resource, (const struct rlimit *)fresh, (struct rlimit *)old);
}

/* ---- locking all memory ---- */

static void lock_mapping(const struct maps_entry *m)
{
    u64 lo = (u64)arena_base, hi = lo + arena_header()->size;
    if ((m->hi <= lo || m->lo >= hi) && !reserve_meets(m->lo, m->hi))
        sys_call3(SYS_mlock, m->lo, m->hi - m->lo, 0); /* some cannot be, as with mlockall */
}

static void lock_all_but_ours(void)
{
    char buf[1024];
    u32 n = 0;
    int fd = sys_open("/proc/self/maps", O_RDONLY | O_CLOEXEC, 0);
    for (long got = 1; fd >= 0 && got > 0;) {
        got = sys_read(fd, buf + n, sizeof buf - n);
        n += got > 0 ? (u32)got : 0;
        char *at = buf, *end;
        struct maps_entry m;
        while ((end = __builtin_memchr(at, '\n', n - (u32)(at - buf)))) {
            if (maps_parse(at, (u32)(end - at), &m))
                lock_mapping(&m);
            at = end + 1;
        }
        n -= (u32)(at - buf);
        __builtin_memmove(buf, at, n);
        if (n == sizeof buf)
            n = 64; /* a very long path: what counts is in the line's beginning */
    }
    if (fd >= 0)
        sys_close(fd);
    sys_call3(SYS_munlock, arena_base, arena_header()->size, 0);
    reserve_unlock();
}

EXPORT int mlockall(int flags)
{
    if (!snarl_on || !(flags & MCL_CURRENT) || (flags & MCL_ONFAULT))
        return REAL(mlockall)(flags);
    int r = REAL(mlockall)(MCL_CURRENT | MCL_ONFAULT);
    if (r == 0)
        lock_all_but_ours();
    if (r == 0 && (flags & MCL_FUTURE))
        r = REAL(mlockall)(MCL_FUTURE);
    return r;
}
