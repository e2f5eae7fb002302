/* A clock that is cheap enough for every lock operation: the processor's time stamp counter, in nanoseconds.
 * Thread-safe, async-signal-safe. */
#ifndef SNARL_BASE_TICKS_H
#define SNARL_BASE_TICKS_H

#include <x86intrin.h>

#include "base/sys.h"

__extension__ typedef unsigned __int128 u128;

/* Nanoseconds per tick as a fixed-point number with 32 bits behind the point, measured against CLOCK_MONOTONIC for half
 * a millisecond. 0: the counter's rate may change, or it may stop: ticks_now then asks the kernel's clock. It holds for the
 * whole machine. */
u64 ticks_calibrate(void);

/* Nanoseconds since some moment, the same for all processes. Differences may be negative by a little when the thread has moved
 * to another processor. */
static inline u64 ticks_now(u64 rate)
{
    if (snarl_unlikely(!rate))
        return sys_now();
    return (u64)((u128)__rdtsc() * rate >> 32);
}

#endif
