/* What interceptors that exist in all runs (close, fcntl, fclose) tell of descriptors while accesses are watched. */
#ifndef SNARL_INTERCEPT_DESCRIPTOR_H
#define SNARL_INTERCEPT_DESCRIPTOR_H

#include "base/types.h"

/* Before the real close: who reads its end has seen what was done before. */
void descriptor_closing(int fd, const u64 *fp) __attribute__((visibility("hidden")));
/* `to` is a new duplicate; -1: the call has failed. */
void descriptor_copied(int from, int to) __attribute__((visibility("hidden")));

#endif
