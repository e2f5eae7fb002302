/* What fclose, which is intercepted in all runs, tells while accesses are watched. */
#ifndef SNARL_INTERCEPT_STREAM_H
#define SNARL_INTERCEPT_STREAM_H

#include "real_prototypes.h"

#include "base/types.h"

/* Before the real close. */
void stream_closing(FILE *f, const u64 *fp) __attribute__((visibility("hidden")));

#endif
