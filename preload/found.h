/* What follows in the program when something is found: gdb stops, or --halt ends the run. */
#ifndef SNARL_PRELOAD_FOUND_H
#define SNARL_PRELOAD_FOUND_H

#include "base/arena.h"

/* engine_hooks.found */
void found(ref_t finding) __attribute__((visibility("hidden")));

#endif
