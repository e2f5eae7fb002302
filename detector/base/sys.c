/* Raw system calls. Called by everything that runs inside the watched program.
 * Takes no lock, allocates nothing (sys_map is the allocator of others). */
#include "sys.h"

#include <errno.h>
#include <linux/futex.h>
#include <signal.h>
#include <sys/mman.h>
#include <time.h>

void *sys_map(size_t bytes)
{
    long r =
        sys_call6(SYS_mmap, 0, (long)bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    return r < 0 && r > -4096 ? NULL : (void *)r;
}

void sys_unmap(void *p, size_t bytes)
{
    if (p)
        sys_call3(SYS_munmap, p, bytes, 0);
}

int sys_open(const char *path, int flags, int mode)
{
    return (int)sys_call6(SYS_openat, -100 /* AT_FDCWD */, (long)path, flags, mode, 0, 0);
}

int sys_close(int fd)
{
    return (int)sys_call3(SYS_close, fd, 0, 0);
}

long sys_read(int fd, void *buf, size_t n)
{
    long r;
    do {
        r = sys_call3(SYS_read, fd, buf, n);
    } while (r == -EINTR);
    return r;
}

int sys_write_all(int fd, const void *buf, size_t n)
{
    const char *p = buf;
    while (n) {
        long r = sys_call3(SYS_write, fd, p, n);
        if (r == -EINTR)
            continue;
        if (r <= 0)
            return r ? (int)r : -EIO;
        p += r;
        n -= (size_t)r;
    }
    return 0;
}

u32 sys_gettid(void)
{
    return (u32)sys_call3(SYS_gettid, 0, 0, 0);
}

u32 sys_getpid(void)
{
    return (u32)sys_call3(SYS_getpid, 0, 0, 0);
}

u64 sys_now(void)
{
    struct timespec ts = {0, 0};
    clock_gettime(CLOCK_MONOTONIC, &ts); /* vDSO: no lock, no errno on success */
    return (u64)ts.tv_sec * 1000000000ULL + (u64)ts.tv_nsec;
}

void sys_sleep_ns(u64 ns)
{
    struct timespec ts = {(time_t)(ns / 1000000000ULL), (long)(ns % 1000000000ULL)};
    while (sys_call6(SYS_clock_nanosleep, CLOCK_MONOTONIC, 0, (long)&ts, (long)&ts, 0, 0) == -EINTR)
        ;
}

int sys_futex_wait(u32 *word, u32 expected, u64 timeout_ns)
{
    struct timespec ts = {(time_t)(timeout_ns / 1000000000ULL), (long)(timeout_ns % 1000000000ULL)};
    return (int)sys_call6(SYS_futex, (long)word, FUTEX_WAIT, expected, timeout_ns ? (long)&ts : 0, 0, 0);
}

int sys_futex_wake(u32 *word, int count)
{
    return (int)sys_call6(SYS_futex, (long)word, FUTEX_WAKE, count, 0, 0, 0);
}

u64 sys_signals_block(void)
{
    u64 all = ~0ULL, old = 0;
    sys_call6(SYS_rt_sigprocmask, SIG_BLOCK, (long)&all, (long)&old, sizeof(u64), 0, 0);
    return old;
}

void sys_signals_restore(u64 saved)
{
    sys_call6(SYS_rt_sigprocmask, SIG_SETMASK, (long)&saved, 0, sizeof(u64), 0, 0);
}
