/* Races that are known, and known to do no harm. */
#ifndef SNARL_PRELOAD_HARMLESS_H
#define SNARL_PRELOAD_HARMLESS_H

#include "base/types.h"

/* Is a race for the byte at addr one? */
bool harmless_race(u64 addr) __attribute__((visibility("hidden")));

#endif
