/* Blocks of glibc's malloc. */
#ifndef SNARL_INSPECT_HEAP_H
#define SNARL_INSPECT_HEAP_H

#include "subject.h"

struct heap_block {
    u64 begin;
    u64 size; /* as it can be used: up to 8 bytes more than was asked for, for objects with pointers. 0: a mapping of its own */
};

/* The block with this address in the mapping from lo to hi. False: none that can be made out. */
bool heap_find(const struct subject *s, u64 lo, u64 hi, u64 address, struct heap_block *out);

#endif
