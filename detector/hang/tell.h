/* What was found, into the arena. */
#ifndef SNARL_HANG_TELL_H
#define SNARL_HANG_TELL_H

#include "stacks.h"

#define TELL_THREADS 64u

/* A finding about one of these threads' waits is there already. */
bool tell_known(const struct snapshot *s, const bool *part);
/* Writes the finding; by a child process, for the arena may be broken. False: it could not. */
bool tell(const struct snapshot *s, const bool *part, const struct outside_stack *stacks, u32 flags);

#endif
