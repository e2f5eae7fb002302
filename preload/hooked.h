/* The rows of hooks.h. W(name): calls from watched modules. E(name): calls from everywhere, since threads are ordered by
 * them whoever makes the call. A function that some glibc does not have has a row all the same: it is never found. */
#ifndef SNARL_PRELOAD_HOOKED_H
#define SNARL_PRELOAD_HOOKED_H

#include "hooked_prototypes.h"

#include "base/types.h"

/* clang-format off */
#define HOOKED_FUNCTIONS(W, E)                                                                                         \
    /* intercept/memory.c */                                                                                           \
    W(memcpy) W(memmove) W(memset) W(memcmp) W(bcmp) W(memchr) W(memrchr) W(rawmemchr) W(memmem) W(mempcpy)            \
    W(__mempcpy) W(memccpy) W(bcopy) W(bzero) W(explicit_bzero) W(swab) W(__memcpy_chk) W(__memmove_chk)               \
    W(__memset_chk) W(__mempcpy_chk) W(__explicit_bzero_chk) W(wmemcpy) W(wmemmove) W(wmemset) W(wmemcmp) W(wmemchr)   \
    W(wmempcpy) W(__wmemcpy_chk) W(__wmemmove_chk) W(__wmemset_chk) W(__wmempcpy_chk) W(qsort) W(qsort_r)              \
    /* intercept/string.c */                                                                                           \
    W(strlen) W(strnlen) W(strcmp) W(strncmp) W(strcasecmp) W(strncasecmp) W(strcoll) W(strxfrm) W(strchr)             \
    W(strrchr) W(strchrnul) W(index) W(rindex) W(strstr) W(strcasestr) W(strspn) W(strcspn) W(strpbrk) W(strdup)       \
    W(__strdup) W(strndup) W(__strndup) W(strtok_r) W(__strtok_r) W(strsep) W(strcpy) W(stpcpy) W(strncpy)             \
    W(stpncpy) W(strcat) W(strncat) W(strlcpy) W(strlcat) W(__strcpy_chk) W(__stpcpy_chk) W(__strncpy_chk)             \
    W(__stpncpy_chk) W(__strcat_chk) W(__strncat_chk)                                                                  \
    /* intercept/number.c */                                                                                           \
    W(atoi) W(atol) W(atoll) W(atof) W(strtol) W(strtoll) W(strtoul) W(strtoull) W(strtoimax) W(strtoumax) W(strtod)   \
    W(strtof) W(strtold) W(__isoc23_strtol) W(__isoc23_strtoll) W(__isoc23_strtoul) W(__isoc23_strtoull)               \
    /* intercept/wide.c */                                                                                             \
    W(wcslen) W(wcsnlen) W(wcscmp) W(wcsncmp) W(wcschr) W(wcsrchr) W(wcsstr) W(wcsdup) W(wcscpy) W(wcpcpy)             \
    W(wcsncpy) W(wcscat) W(wcsncat) W(__wcscpy_chk) W(__wcsncpy_chk) W(__wcscat_chk) W(__wcsncat_chk)                  \
    /* intercept/printf.c */                                                                                           \
    W(sprintf) W(snprintf) W(vsprintf) W(vsnprintf) W(asprintf) W(vasprintf) W(__sprintf_chk) W(__snprintf_chk)        \
    W(__vsprintf_chk) W(__vsnprintf_chk) W(__asprintf_chk) W(__vasprintf_chk) W(sscanf) W(__isoc99_sscanf)             \
    W(__isoc23_sscanf) W(vsscanf) W(__isoc99_vsscanf) W(__isoc23_vsscanf)                                              \
    /* intercept/results.c */                                                                                          \
    W(gettimeofday) W(clock_gettime) W(clock_getres) W(time) W(times) W(localtime_r) W(gmtime_r) W(ctime_r)            \
    W(asctime_r) W(mktime) W(timegm) W(strftime) W(strptime) W(nanosleep) W(clock_nanosleep) W(getitimer)              \
    W(timer_gettime) W(stat) W(stat64) W(lstat) W(lstat64) W(fstat) W(fstat64) W(fstatat) W(fstatat64)                 \
    W(statfs) W(fstatfs) W(getcwd) W(__getcwd_chk) W(readlink) W(readlinkat) W(__readlink_chk) W(__readlinkat_chk)     \
    W(realpath) W(__realpath_chk) W(getrandom) W(getentropy) W(uname) W(gethostname) W(__gethostname_chk)              \
    W(getrusage) W(sysinfo) W(sem_getvalue) W(getaddrinfo) W(getnameinfo) W(inet_ntop) W(inet_pton) W(inet_aton)       \
    W(getsockname) W(getpeername) W(getsockopt) W(poll) W(__poll_chk) W(ppoll) W(select) W(frexp) W(modf) W(sincos)    \
    W(remquo) W(lgamma_r) W(strerror_r) W(__xpg_strerror_r) W(sigemptyset) W(sigfillset) W(sigaddset) W(sigdelset)     \
    W(sigpending) W(mkstemp) W(mkstemp64) W(mkdtemp) W(localtime) W(gmtime) W(ctime) W(asctime)                        \
    /* intercept/environment.c */                                                                                      \
    W(getenv) W(secure_getenv) W(setenv) W(unsetenv) W(putenv) W(clearenv) W(__cxa_atexit) W(strtok)                   \
    /* intercept/stream.c */                                                                                           \
    E(fread) E(fread_unlocked) E(__fread_chk) E(__fread_unlocked_chk) E(fgets) E(__fgets_chk) E(getline) E(getdelim)   \
    E(__getdelim) E(fgetc) E(getc) E(getchar) E(fwrite) E(fwrite_unlocked) E(fputs) E(puts) E(fputc) E(putc)           \
    E(putchar) E(fflush) E(printf) E(vprintf) E(fprintf) E(vfprintf) E(__printf_chk) E(__vprintf_chk)                  \
    E(__fprintf_chk) E(__vfprintf_chk)                                                                                 \
    /* intercept/descriptor.c */                                                                                       \
    E(pipe) E(pipe2) E(socketpair) E(socket) E(accept) E(accept4) E(connect) E(eventfd) E(timerfd_create)              \
    E(signalfd) E(inotify_init1) E(epoll_create) E(epoll_create1) E(memfd_create) E(dup) E(dup2) E(dup3) E(open)       \
    E(open64) E(openat) E(openat64) E(__open_2) E(__open64_2) E(__openat_2) E(__openat64_2) E(creat) E(creat64)        \
    E(close_range) E(closefrom) E(shutdown)                                                                            \
    /* intercept/transfer.c */                                                                                         \
    E(read) E(__read_chk) E(pread) E(pread64) E(__pread_chk) E(__pread64_chk) E(readv) E(preadv) E(preadv64)           \
    E(preadv2) E(preadv64v2) E(write) E(pwrite) E(pwrite64) E(writev) E(pwritev) E(pwritev64) E(pwritev2)              \
    E(pwritev64v2) E(recv) E(__recv_chk) E(recvfrom) E(__recvfrom_chk) E(recvmsg) E(recvmmsg) E(send) E(sendto)        \
    E(sendmsg) E(sendmmsg) E(sendfile) E(sendfile64) E(splice) E(tee) E(vmsplice) E(copy_file_range) E(eventfd_read)   \
    E(eventfd_write)                                                                                                   \
    /* intercept/queue.c */                                                                                            \
    E(epoll_ctl) E(epoll_wait) E(epoll_pwait) E(epoll_pwait2) E(timerfd_settime) E(mq_send) E(mq_timedsend)            \
    E(mq_receive) E(mq_timedreceive) E(msgsnd) E(msgrcv) E(semop) E(semtimedop)                                        \
    /* intercept/notice.c */                                                                                           \
    E(kill) E(killpg) E(tgkill) E(pthread_kill) E(pthread_sigqueue) E(sigqueue) E(sigwait) E(sigwaitinfo)              \
    E(sigtimedwait) E(timer_settime) E(mq_notify) E(getaddrinfo_a) E(aio_read) E(aio_read64)     \
    E(aio_write) E(aio_write64) E(lio_listio) E(lio_listio64) E(aio_return) E(aio_return64) E(sbrk) E(shmat)           \
    /* intercept/openmp_order.c */                                                                                     \
    E(GOMP_parallel) E(GOMP_parallel_sections) E(GOMP_parallel_reductions) E(GOMP_teams_reg)                           \
    E(GOMP_parallel_loop_static) E(GOMP_parallel_loop_dynamic) E(GOMP_parallel_loop_guided)                            \
    E(GOMP_parallel_loop_runtime) E(GOMP_parallel_loop_nonmonotonic_dynamic)                                           \
    E(GOMP_parallel_loop_nonmonotonic_guided) E(GOMP_parallel_loop_nonmonotonic_runtime)                               \
    E(GOMP_parallel_loop_maybe_nonmonotonic_runtime) E(GOMP_barrier) E(GOMP_loop_end) E(GOMP_sections_end)             \
    E(GOMP_barrier_cancel) E(GOMP_loop_end_cancel) E(GOMP_sections_end_cancel) E(GOMP_single_copy_start)               \
    E(GOMP_single_copy_end) E(GOMP_ordered_start) E(GOMP_ordered_end) E(GOMP_atomic_start) E(GOMP_atomic_end)          \
    E(GOMP_task) E(GOMP_taskwait) E(GOMP_taskwait_depend) E(GOMP_taskgroup_start) E(GOMP_taskgroup_end)                \
    E(GOMP_taskloop) E(GOMP_taskloop_ull)                                                                              \
    /* intercept/openmp_tool.c */                                                                                      \
    E(__kmpc_omp_task_alloc) E(__kmpc_ordered) E(__kmpc_end_ordered) E(__kmpc_omp_wait_deps) E(__kmpc_omp_taskwait_deps_51)                                                 \
    /* intercept/exception.c */                                                                                        \
    E(__cxa_end_catch) E(_ZNSt15__exception_ptr13exception_ptr10_M_releaseEv)                                          \
    /* intercept/ready.c */                                                                                            \
    E(_ZNSt13__future_base13_State_baseV211_Make_ready6_M_setEv)
/* clang-format on */

#endif
