/* Declarations that give __typeof__(name) a meaning for every row of hooked.h. Included by hooked.h only.
 * Addresses of sockets are passed as transparent unions of pointers there (__SOCKADDR_ARG). */
#ifndef SNARL_PRELOAD_HOOKED_PROTOTYPES_H
#define SNARL_PRELOAD_HOOKED_PROTOTYPES_H

#include "real_prototypes.h"

#include <aio.h>
#include <arpa/inet.h>
#include <inttypes.h>
#include <math.h>
#include <mqueue.h>
#include <netdb.h>
#include <poll.h>
#include <stdarg.h>
#include <string.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/inotify.h>
#include <sys/msg.h>
#include <sys/random.h>
#include <sys/select.h>
#include <sys/sem.h>
#include <sys/sendfile.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/sysinfo.h>
#include <sys/time.h>
#include <sys/timerfd.h>
#include <sys/times.h>
#include <sys/uio.h>
#include <sys/utsname.h>
#include <wchar.h>

/* In headers only when _FORTIFY_SOURCE is on, if at all; the last size is the destination's. */
void *__memcpy_chk(void *, const void *, size_t, size_t);
void *__memmove_chk(void *, const void *, size_t, size_t);
void *__memset_chk(void *, int, size_t, size_t);
void *__mempcpy_chk(void *, const void *, size_t, size_t);
void __explicit_bzero_chk(void *, size_t, size_t);
wchar_t *__wmemcpy_chk(wchar_t *, const wchar_t *, size_t, size_t);
wchar_t *__wmemmove_chk(wchar_t *, const wchar_t *, size_t, size_t);
wchar_t *__wmemset_chk(wchar_t *, wchar_t, size_t, size_t);
wchar_t *__wmempcpy_chk(wchar_t *, const wchar_t *, size_t, size_t);
char *__strcpy_chk(char *, const char *, size_t);
char *__stpcpy_chk(char *, const char *, size_t);
char *__strncpy_chk(char *, const char *, size_t, size_t);
char *__stpncpy_chk(char *, const char *, size_t, size_t);
char *__strcat_chk(char *, const char *, size_t);
char *__strncat_chk(char *, const char *, size_t, size_t);
wchar_t *__wcscpy_chk(wchar_t *, const wchar_t *, size_t);
wchar_t *__wcsncpy_chk(wchar_t *, const wchar_t *, size_t, size_t);
wchar_t *__wcscat_chk(wchar_t *, const wchar_t *, size_t);
wchar_t *__wcsncat_chk(wchar_t *, const wchar_t *, size_t, size_t);
int __sprintf_chk(char *, int, size_t, const char *, ...);
int __snprintf_chk(char *, size_t, int, size_t, const char *, ...);
int __vsprintf_chk(char *, int, size_t, const char *, va_list);
int __vsnprintf_chk(char *, size_t, int, size_t, const char *, va_list);
int __asprintf_chk(char **, int, const char *, ...);
int __vasprintf_chk(char **, int, const char *, va_list);
int __fprintf_chk(FILE *, int, const char *, ...);
int __printf_chk(int, const char *, ...);
int __vprintf_chk(int, const char *, va_list);
int __vfprintf_chk(FILE *, int, const char *, va_list);
size_t __fread_chk(void *, size_t, size_t, size_t, FILE *);
size_t __fread_unlocked_chk(void *, size_t, size_t, size_t, FILE *);
char *__fgets_chk(char *, size_t, int, FILE *);
char *__getcwd_chk(char *, size_t, size_t);
ssize_t __readlink_chk(const char *, char *, size_t, size_t);
ssize_t __readlinkat_chk(int, const char *, char *, size_t, size_t);
char *__realpath_chk(const char *, char *, size_t);
int __gethostname_chk(char *, size_t, size_t);
int __poll_chk(struct pollfd *, nfds_t, int, size_t);
ssize_t __read_chk(int, void *, size_t, size_t);
ssize_t __pread_chk(int, void *, size_t, off_t, size_t);
ssize_t __pread64_chk(int, void *, size_t, off64_t, size_t);
ssize_t __recv_chk(int, void *, size_t, size_t, int);
ssize_t __recvfrom_chk(int, void *, size_t, size_t, int, __SOCKADDR_ARG, socklen_t *);
int __open_2(const char *, int);
int __open64_2(const char *, int);
int __openat_2(int, const char *, int);
int __openat64_2(int, const char *, int);

/* Names that calls of standard functions are compiled to. */
int __isoc99_sscanf(const char *, const char *, ...);
int __isoc23_sscanf(const char *, const char *, ...);
int __isoc99_vsscanf(const char *, const char *, va_list);
int __isoc23_vsscanf(const char *, const char *, va_list);
long __isoc23_strtol(const char *, char **, int);
long long __isoc23_strtoll(const char *, char **, int);
unsigned long __isoc23_strtoul(const char *, char **, int);
unsigned long long __isoc23_strtoull(const char *, char **, int);
int __xpg_strerror_r(int, char *, size_t);
char *__strdup(const char *);
char *__strndup(const char *, size_t);
ssize_t __getdelim(char **, size_t *, int, FILE *);
int __cxa_atexit(void (*)(void *), void *, void *);

/* Newer than some glibc. */
size_t strlcpy(char *, const char *, size_t);
size_t strlcat(char *, const char *, size_t);
int epoll_pwait2(int, struct epoll_event *, int, const struct timespec *, const __sigset_t *);

/* libstdc++; the second is std::exception_ptr::_M_release. */
void __cxa_end_catch(void);
void _ZNSt15__exception_ptr13exception_ptr10_M_releaseEv(void **);
void _ZNSt13__future_base13_State_baseV211_Make_ready6_M_setEv(void *);

/* libomp */
void *__kmpc_omp_task_alloc(void *, int, int, size_t, size_t, void *);
void __kmpc_omp_wait_deps(void *, int, int, void *, int, void *);
void __kmpc_omp_taskwait_deps_51(void *, int, int, void *, int, void *, int);
void __kmpc_ordered(void *, int);
void __kmpc_end_ordered(void *, int);

/* libgomp. What an older compiler does not pass to GOMP_task is not used. */
#define GOMP_LOOP(name) void name(void (*)(void *), void *, unsigned, long, long, long, unsigned);
#define GOMP_LOOP_CHUNKS(name) void name(void (*)(void *), void *, unsigned, long, long, long, long, unsigned);
void GOMP_parallel(void (*)(void *), void *, unsigned, unsigned);
void GOMP_parallel_sections(void (*)(void *), void *, unsigned, unsigned, unsigned);
unsigned GOMP_parallel_reductions(void (*)(void *), void *, unsigned, unsigned);
void GOMP_teams_reg(void (*)(void *), void *, unsigned, unsigned, unsigned);
GOMP_LOOP_CHUNKS(GOMP_parallel_loop_static)
GOMP_LOOP_CHUNKS(GOMP_parallel_loop_dynamic)
GOMP_LOOP_CHUNKS(GOMP_parallel_loop_guided)
GOMP_LOOP_CHUNKS(GOMP_parallel_loop_nonmonotonic_dynamic)
GOMP_LOOP_CHUNKS(GOMP_parallel_loop_nonmonotonic_guided)
GOMP_LOOP(GOMP_parallel_loop_runtime)
GOMP_LOOP(GOMP_parallel_loop_nonmonotonic_runtime)
GOMP_LOOP(GOMP_parallel_loop_maybe_nonmonotonic_runtime)
void GOMP_barrier(void);
void GOMP_loop_end(void);
void GOMP_sections_end(void);
_Bool GOMP_barrier_cancel(void);
_Bool GOMP_loop_end_cancel(void);
_Bool GOMP_sections_end_cancel(void);
void *GOMP_single_copy_start(void);
void GOMP_single_copy_end(void *);
void GOMP_ordered_start(void);
void GOMP_ordered_end(void);
void GOMP_atomic_start(void);
void GOMP_atomic_end(void);
void GOMP_task(void (*)(void *), void *, void (*)(void *, void *), long, long, _Bool, unsigned, void **, int, void *);
void GOMP_taskwait(void);
void GOMP_taskwait_depend(void **);
void GOMP_taskgroup_start(void);
void GOMP_taskgroup_end(void);
void GOMP_taskloop(void (*)(void *), void *, void (*)(void *, void *), long, long, unsigned, unsigned long, int, long,
                   long, long);
void GOMP_taskloop_ull(void (*)(void *), void *, void (*)(void *, void *), long, long, unsigned, unsigned long, int,
                       unsigned long long, unsigned long long, unsigned long long);

#endif
