/* Copies of functions with checks in them. */
#ifndef SNARL_ACCESS_REWRITE_COPY_H
#define SNARL_ACCESS_REWRITE_COPY_H

#include "access/rewrite_arena.h"
#include "access/rewrite_check.h"

/* Copies every function that has a check. to->cells and to->slow are set. Check number i gets first + i. False when the
 * arena is too small, or an operand out of reach: nothing has been changed but the arena. */
bool rewrite_copy(struct rewrite *r, struct arena *a, struct check_target *to, u32 first)
    __attribute__((visibility("hidden")));

#endif
