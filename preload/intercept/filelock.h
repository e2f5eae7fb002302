/* For interceptors of calls that close descriptors. */
#ifndef SNARL_INTERCEPT_FILELOCK_H
#define SNARL_INTERCEPT_FILELOCK_H

#include "base/types.h"

/* This process, or the one that forked it, has taken a file lock. */
extern bool filelock_ever __attribute__((visibility("hidden")));
void filelock_closing_slow(int fd, const u64 *fp) __attribute__((visibility("hidden")));

/* Before a descriptor is closed: ends the file locks that go with it. One test as long as there are none. */
static SNARL_HOT void filelock_closing(int fd, const u64 *fp)
{
    if (snarl_unlikely(__atomic_load_n(&filelock_ever, __ATOMIC_RELAXED)))
        filelock_closing_slow(fd, fp);
}

#endif
