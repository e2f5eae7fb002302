/* Looking at memory that may not be there, without a fault. One raw system call that no sandbox forbids:
 * async-signal-safe, no lock. */
#ifndef SNARL_PRELOAD_UNWIND_SAFE_H
#define SNARL_PRELOAD_UNWIND_SAFE_H

#include <errno.h>

#include "base/sys.h"

/* Whether the page around addr can be read. Asks rt_sigprocmask to take a mask from there for a `how` that does not
 * exist: the kernel answers EFAULT or EINVAL and changes nothing. */
static inline bool safe_readable(u64 addr)
{
    return sys_call6(SYS_rt_sigprocmask, ~0, (long)(addr & ~7ULL), 0, sizeof(u64), 0, 0) != -EFAULT;
}

/* Reads the 8 bytes at addr if they are there. */
static inline bool safe_read(u64 addr, u64 *value)
{
    if (!safe_readable(addr) || !safe_readable(addr + 7))
        return false;
    *value = *(const u64 *)addr;
    return true;
}

#endif
