/* What the rest of the preload may ask of the allocation interceptors. */
#ifndef SNARL_PRELOAD_ALLOC_H
#define SNARL_PRELOAD_ALLOC_H

#include "base/types.h"

/* Memory of the pool that served before the real functions were known; it is never given back. */
bool alloc_is_early(const void *p) __attribute__((visibility("hidden")));
/* The live heap block around addr: where it begins, the size asked for, the return address of the allocating call (0:
 * unknown). False when it is not known. Marks the block as carrying an object, so that its end is noticed. Any
 * thread; takes no lock. */
bool alloc_find(u64 addr, u64 *base, u64 *size, u64 *site_pc) __attribute__((visibility("hidden")));

#endif
