/* What the rest of the preload may ask of the allocation interceptors. */
#ifndef SNARL_PRELOAD_ALLOC_H
#define SNARL_PRELOAD_ALLOC_H

#include "base/types.h"

/* Memory of the pool that served before the real functions were known; it is never given back. */
bool alloc_is_early(const void *p) __attribute__((visibility("hidden")));
struct alloc_found {
    u64 base, size; /* as asked for */
    u64 site_pc;    /* return address of the allocating call, 0: unknown */
    ref_t stack;    /* the whole stack, known while accesses are watched; then site_pc is 0 */
    u32 thread;     /* number of the allocating thread, 0: unknown */
};
/* The heap block around addr. False when it is not known. Marks it as carrying an object, so that its end is noticed.
 * While accesses are watched a freed block is found, too, until its memory can be used again. Between enter and leave;
 * takes no lock that is held across anything. */
bool alloc_find(u64 addr, struct alloc_found *out) __attribute__((visibility("hidden")));

/* From now on blocks are noted exactly and their lives are accesses: alloc_watched.c. Once. */
void alloc_watch(void) __attribute__((visibility("hidden")));

#endif
