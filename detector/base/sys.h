/* Raw system calls: no errno, no cancellation, nothing that another library can interpose.
 * Every function returns the kernel's answer: >= 0, or a negative errno. Thread-safe, async-signal-safe. */
#ifndef SNARL_BASE_SYS_H
#define SNARL_BASE_SYS_H

#include <sys/syscall.h>

#include "types.h"

static inline long sys_call6(long n, long a, long b, long c, long d, long e, long f)
{
    long ret;
    register long r10 __asm__("r10") = d;
    register long r8 __asm__("r8") = e;
    register long r9 __asm__("r9") = f;
    __asm__ volatile("syscall"
                     : "=a"(ret)
                     : "a"(n), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8), "r"(r9)
                     : "rcx", "r11", "memory");
    return ret;
}
#define sys_call3(n, a, b, c) sys_call6(n, (long)(a), (long)(b), (long)(c), 0, 0, 0)

/* Anonymous private memory, zeroed, page granular; NULL when refused. */
void *sys_map(size_t bytes);
void sys_unmap(void *p, size_t bytes);

int sys_open(const char *path, int flags, int mode);
int sys_close(int fd);
long sys_read(int fd, void *buf, size_t n);
/* Writes all of it or returns the error. */
int sys_write_all(int fd, const void *buf, size_t n);

u32 sys_gettid(void);
u32 sys_getpid(void);
/* CLOCK_MONOTONIC in nanoseconds. */
u64 sys_now(void);
void sys_sleep_ns(u64 ns);

/* Shared futexes (they work between processes). timeout_ns 0 means none. */
int sys_futex_wait(u32 *word, u32 expected, u64 timeout_ns);
int sys_futex_wake(u32 *word, int count);

/* Blocks every signal of the calling thread, libc's internal ones included; give the result back to
 * sys_signals_restore. */
u64 sys_signals_block(void);
void sys_signals_restore(u64 saved);

#endif
