/* Looking at memory that may not be there, without a fault. Raw system calls only: async-signal-safe, no lock. */
#ifndef SNARL_PRELOAD_UNWIND_SAFE_H
#define SNARL_PRELOAD_UNWIND_SAFE_H

#include <errno.h>
#include <sys/uio.h>

#include "base/sys.h"

/* Whether the 8 bytes at addr (not crossing a page) can be read. Asks rt_sigprocmask to read a mask there for a `how` that does not
 * exist: the kernel answers EFAULT or EINVAL and changes nothing; no sandbox forbids that call. */
static inline bool safe_readable(u64 addr)
{
    return sys_call6(SYS_rt_sigprocmask, ~0, (long)addr, 0, sizeof(u64), 0, 0) != -EFAULT;
}

/* Copies n bytes if all of them can be read. */
static inline bool safe_copy(void *to, u64 from, size_t n)
{
    struct iovec local = {to, n}, remote = {(void *)from, n};
    return sys_call6(SYS_process_vm_readv, sys_getpid(), (long)&local, 1, (long)&remote, 1, 0) == (long)n;
}

#endif
