/* --on-deadlock=break for what waits in the kernel. */
#ifndef SNARL_HANG_RELEASE_H
#define SNARL_HANG_RELEASE_H

#include "snapshot.h"

/* The thread of the set whose wait can be made to fail; -1: none. The one that was made last, as the one whose wait closed the
 * set is not known. */
int release_choose(const struct snapshot *s, const bool *part);
/* Its system call returns EDEADLK. */
void release_thread(const struct still_thread *t);

#endif
