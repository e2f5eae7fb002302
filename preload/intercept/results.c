/* Hooks of functions that write results to memory of the caller's: times, files' properties, addresses, random bytes.
 * Called by watched code. Takes the engine's locks; allocates nothing but what the real functions do.
 *
 * A string that a call is given counts as read. What is written counts when the call has succeeded. */
#include <errno.h>

#include "touch.h"

#pragma GCC diagnostic ignored "-Wdeprecated-declarations"

#define STRING(s) READS(s, __builtin_strlen(s) + 1)
#define IF(condition, ...) ((condition) ? (__VA_ARGS__) : (void)0)
/* One object, where the caller wants it. */
#define WRITES_ONE(p) one(t, p, sizeof *(p), ACCESS_WRITE, fp)
#define READS_ONE(p) one(t, p, sizeof *(p), ACCESS_READ, fp)
static void one(struct thread *t, const void *p, u64 size, u32 kind, const u64 *fp)
{
    if (p)
        access_range(t, (u64)p, size, kind, fp);
}

/* ---- time ---- */

TOUCHED(int, gettimeofday, (struct timeval *restrict now, void *restrict zone), (now, zone), IF(!r, WRITES_ONE(now)),
        IF(!r && zone, WRITES(zone, sizeof(struct timezone))))
TOUCHED(int, clock_gettime, (clockid_t clock, struct timespec *now), (clock, now), IF(!r, WRITES_ONE(now)))
TOUCHED(int, clock_getres, (clockid_t clock, struct timespec *now), (clock, now), IF(!r, WRITES_ONE(now)))
TOUCHED(time_t, time, (time_t * now), (now), WRITES_ONE(now))
TOUCHED(clock_t, times, (struct tms * now), (now), WRITES_ONE(now))
TOUCHED(struct tm *, localtime_r, (const time_t *restrict when, struct tm *restrict to), (when, to), READS_ONE(when),
        IF(r, WRITES_ONE(to)))
TOUCHED(struct tm *, gmtime_r, (const time_t *restrict when, struct tm *restrict to), (when, to), READS_ONE(when),
        IF(r, WRITES_ONE(to)))
TOUCHED(char *, ctime_r, (const time_t *restrict when, char *restrict to), (when, to), READS_ONE(when),
        IF(r, WRITES(to, __builtin_strlen(to) + 1)))
TOUCHED(char *, asctime_r, (const struct tm *restrict when, char *restrict to), (when, to), READS_ONE(when),
        IF(r, WRITES(to, __builtin_strlen(to) + 1)))
TOUCHED(time_t, mktime, (struct tm * when), (when), WRITES_ONE(when))
TOUCHED(time_t, timegm, (struct tm * when), (when), WRITES_ONE(when))
TOUCHED(size_t, strftime, (char *restrict to, size_t n, const char *restrict format, const struct tm *restrict when),
        (to, n, format, when), STRING(format), READS_ONE(when), IF(r, WRITES(to, r + 1)))
TOUCHED(char *, strptime, (const char *restrict s, const char *restrict format, struct tm *restrict to),
        (s, format, to), STRING(s), STRING(format), WRITES_ONE(to))
TOUCHED(int, getitimer, (__itimer_which_t which, struct itimerval *to), (which, to), IF(!r, WRITES_ONE(to)))
TOUCHED(int, timer_gettime, (timer_t timer, struct itimerspec *to), (timer, to), IF(!r, WRITES_ONE(to)))
TOUCHED(int, nanosleep, (const struct timespec *wanted, struct timespec *left), (wanted, left), READS_ONE(wanted),
        IF(r, WRITES_ONE(left)))
TOUCHED(int, clock_nanosleep, (clockid_t clock, int flags, const struct timespec *wanted, struct timespec *left),
        (clock, flags, wanted, left), READS_ONE(wanted), IF(r == EINTR && !(flags & TIMER_ABSTIME), WRITES_ONE(left)))

/* One result for all threads. */
TOUCHED(struct tm *, localtime, (const time_t *when), (when), READS_ONE(when), WRITES_ONE(r))
TOUCHED(struct tm *, gmtime, (const time_t *when), (when), READS_ONE(when), WRITES_ONE(r))
TOUCHED(char *, ctime, (const time_t *when), (when), READS_ONE(when), IF(r, WRITES(r, __builtin_strlen(r) + 1)))
TOUCHED(char *, asctime, (const struct tm *when), (when), READS_ONE(when), IF(r, WRITES(r, __builtin_strlen(r) + 1)))

/* ---- files ---- */

TOUCHED(int, stat, (const char *restrict path, struct stat *restrict to), (path, to), STRING(path),
        IF(!r, WRITES_ONE(to)))
TOUCHED(int, lstat, (const char *restrict path, struct stat *restrict to), (path, to), STRING(path),
        IF(!r, WRITES_ONE(to)))
TOUCHED(int, fstat, (int fd, struct stat *to), (fd, to), IF(!r, WRITES_ONE(to)))
TOUCHED(int, fstatat, (int fd, const char *restrict path, struct stat *restrict to, int flags), (fd, path, to, flags),
        STRING(path), IF(!r, WRITES_ONE(to)))
TOUCHED(int, stat64, (const char *restrict path, struct stat64 *restrict to), (path, to), STRING(path),
        IF(!r, WRITES_ONE(to)))
TOUCHED(int, lstat64, (const char *restrict path, struct stat64 *restrict to), (path, to), STRING(path),
        IF(!r, WRITES_ONE(to)))
TOUCHED(int, fstat64, (int fd, struct stat64 *to), (fd, to), IF(!r, WRITES_ONE(to)))
TOUCHED(int, fstatat64, (int fd, const char *restrict path, struct stat64 *restrict to, int flags),
        (fd, path, to, flags), STRING(path), IF(!r, WRITES_ONE(to)))
TOUCHED(int, statfs, (const char *path, struct statfs *to), (path, to), STRING(path), IF(!r, WRITES_ONE(to)))
TOUCHED(int, fstatfs, (int fd, struct statfs *to), (fd, to), IF(!r, WRITES_ONE(to)))
TOUCHED(char *, getcwd, (char *to, size_t n), (to, n), IF(r, WRITES(r, __builtin_strlen(r) + 1)))
TOUCHED(char *, __getcwd_chk, (char *to, size_t n, size_t room), (to, n, room),
        IF(r, WRITES(r, __builtin_strlen(r) + 1)))
TOUCHED(ssize_t, readlink, (const char *restrict path, char *restrict to, size_t n), (path, to, n), STRING(path),
        IF(r > 0, WRITES(to, r)))
TOUCHED(ssize_t, readlinkat, (int fd, const char *restrict path, char *restrict to, size_t n), (fd, path, to, n),
        STRING(path), IF(r > 0, WRITES(to, r)))
TOUCHED(ssize_t, __readlink_chk, (const char *path, char *to, size_t n, size_t room), (path, to, n, room), STRING(path),
        IF(r > 0, WRITES(to, r)))
TOUCHED(ssize_t, __readlinkat_chk, (int fd, const char *path, char *to, size_t n, size_t room), (fd, path, to, n, room),
        STRING(path), IF(r > 0, WRITES(to, r)))
TOUCHED(char *, realpath, (const char *restrict path, char *restrict to), (path, to), IF(path, STRING(path)),
        IF(r, WRITES(r, __builtin_strlen(r) + 1)))
TOUCHED(char *, __realpath_chk, (const char *path, char *to, size_t room), (path, to, room), IF(path, STRING(path)),
        IF(r, WRITES(r, __builtin_strlen(r) + 1)))
TOUCHED(int, mkstemp, (char *path), (path), IF(r >= 0, WRITES(path, __builtin_strlen(path) + 1)))
TOUCHED(int, mkstemp64, (char *path), (path), IF(r >= 0, WRITES(path, __builtin_strlen(path) + 1)))
TOUCHED(char *, mkdtemp, (char *path), (path), IF(r, WRITES(path, __builtin_strlen(path) + 1)))

/* ---- the system ---- */

TOUCHED(ssize_t, getrandom, (void *to, size_t n, unsigned flags), (to, n, flags), IF(r > 0, WRITES(to, r)))
TOUCHED(int, getentropy, (void *to, size_t n), (to, n), IF(!r, WRITES(to, n)))
TOUCHED(int, uname, (struct utsname * to), (to), IF(!r, WRITES_ONE(to)))
TOUCHED(int, gethostname, (char *to, size_t n), (to, n), IF(!r, WRITES(to, strnlen(to, n - 1) + 1)))
TOUCHED(int, __gethostname_chk, (char *to, size_t n, size_t room), (to, n, room),
        IF(!r, WRITES(to, strnlen(to, n - 1) + 1)))
TOUCHED(int, getrusage, (__rusage_who_t who, struct rusage *to), (who, to), IF(!r, WRITES_ONE(to)))
TOUCHED(int, sysinfo, (struct sysinfo * to), (to), IF(!r, WRITES_ONE(to)))
TOUCHED(int, sem_getvalue, (sem_t *restrict sem, int *restrict to), (sem, to), IF(!r, WRITES_ONE(to)))
TOUCHED(char *, strerror_r, (int number, char *to, size_t n), (number, to, n),
        IF(r == to && n, WRITES(to, strnlen(to, n - 1) + 1)))
TOUCHED(int, __xpg_strerror_r, (int number, char *to, size_t n), (number, to, n),
        IF(n, WRITES(to, strnlen(to, n - 1) + 1)))

/* ---- the network ---- */

TOUCHED(int, getaddrinfo,
        (const char *restrict node, const char *restrict service, const struct addrinfo *restrict hints,
         struct addrinfo **restrict to),
        (node, service, hints, to), IF(node, STRING(node)), IF(service, STRING(service)), READS_ONE(hints),
        IF(!r, WRITES(to, sizeof(void *))))
TOUCHED(int, getnameinfo,
        (const struct sockaddr *restrict address, socklen_t length, char *restrict host, socklen_t nhost,
         char *restrict service, socklen_t nservice, int flags),
        (address, length, host, nhost, service, nservice, flags), READS(address, length),
        IF(!r && host && nhost, WRITES(host, strnlen(host, nhost - 1) + 1)),
        IF(!r && service && nservice, WRITES(service, strnlen(service, nservice - 1) + 1)))
TOUCHED(const char *, inet_ntop, (int family, const void *restrict from, char *restrict to, socklen_t n),
        (family, from, to, n), IF(r, READS(from, family == AF_INET ? 4 : 16), WRITES(to, __builtin_strlen(to) + 1)))
TOUCHED(int, inet_pton, (int family, const char *restrict from, void *restrict to), (family, from, to),
        IF(r == 1, STRING(from), WRITES(to, family == AF_INET ? 4 : 16)))
TOUCHED(int, inet_aton, (const char *from, struct in_addr *to), (from, to), STRING(from), IF(r, WRITES_ONE(to)))

/* An address whose length is given with the room for it. */
#define ADDRESSED(name, parameters, arguments, at)                                                                     \
    int hook_##name parameters                                                                                         \
    {                                                                                                                  \
        socklen_t room = length ? *length : 0;                                                                         \
        int r = HOOKED(name) arguments;                                                                                \
        TOUCH(IF(!r, WRITES(length, sizeof *length), WRITES(at, *length < room ? *length : room)));                    \
        return r;                                                                                                      \
    }
ADDRESSED(getsockname, (int fd, __SOCKADDR_ARG to, socklen_t *restrict length), (fd, to, length), to.__sockaddr__)
ADDRESSED(getpeername, (int fd, __SOCKADDR_ARG to, socklen_t *restrict length), (fd, to, length), to.__sockaddr__)
ADDRESSED(getsockopt, (int fd, int level, int option, void *restrict to, socklen_t *restrict length),
          (fd, level, option, to, length), to)

/* ---- descriptors: waiting makes no order by itself ---- */

#define POLLED READS(fds, n * sizeof *fds), IF(r > 0, WRITES(fds, n * sizeof *fds))

TOUCHED(int, poll, (struct pollfd * fds, nfds_t n, int timeout), (fds, n, timeout), POLLED)
TOUCHED(int, __poll_chk, (struct pollfd * fds, nfds_t n, int timeout, size_t room), (fds, n, timeout, room), POLLED)
TOUCHED(int, ppoll, (struct pollfd * fds, nfds_t n, const struct timespec *timeout, const sigset_t *mask),
        (fds, n, timeout, mask), POLLED)
TOUCHED(int, select,
        (int n, fd_set *restrict in, fd_set *restrict out, fd_set *restrict err, struct timeval *restrict timeout),
        (n, in, out, err, timeout),
        IF(n > 0, IF(in, WRITES(in, (n + 7) / 8)), IF(out, WRITES(out, (n + 7) / 8)),
           IF(err, WRITES(err, (n + 7) / 8))),
        WRITES_ONE(timeout))

/* ---- sets of signals ---- */

TOUCHED(int, sigemptyset, (sigset_t * to), (to), IF(!r, WRITES_ONE(to)))
TOUCHED(int, sigfillset, (sigset_t * to), (to), IF(!r, WRITES_ONE(to)))
TOUCHED(int, sigaddset, (sigset_t * to, int sig), (to, sig), IF(!r, WRITES((u64 *)to + (sig - 1) / 64, 8)))
TOUCHED(int, sigdelset, (sigset_t * to, int sig), (to, sig), IF(!r, WRITES((u64 *)to + (sig - 1) / 64, 8)))
TOUCHED(int, sigpending, (sigset_t * to), (to), IF(!r, WRITES(to, 8)))

/* ---- numbers ---- */

TOUCHED(double, frexp, (double x, int *to), (x, to), WRITES_ONE(to))
TOUCHED(double, modf, (double x, double *to), (x, to), WRITES_ONE(to))
TOUCHED(double, remquo, (double x, double y, int *to), (x, y, to), WRITES_ONE(to))
TOUCHED(double, lgamma_r, (double x, int *to), (x, to), WRITES_ONE(to))
void hook_sincos(double x, double *sine, double *cosine)
{
    HOOKED(sincos)(x, sine, cosine);
    TOUCH(WRITES_ONE(sine), WRITES_ONE(cosine));
}
