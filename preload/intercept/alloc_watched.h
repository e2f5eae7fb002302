/* Allocation while accesses are watched; alloc.c calls these instead of the real functions. `fp`: of the interceptor
 * that the program called. `or_runtime`: a call by C++'s standard library counts as its caller's. */
#ifndef SNARL_INTERCEPT_ALLOC_WATCHED_H
#define SNARL_INTERCEPT_ALLOC_WATCHED_H

#include "base/types.h"

#define HIDDEN_ALLOC __attribute__((visibility("hidden")))

void *alloc_watched_malloc(size_t n, const u64 *fp) HIDDEN_ALLOC;
void *alloc_watched_calloc(size_t n, size_t size, const u64 *fp) HIDDEN_ALLOC;
void *alloc_watched_realloc(void *p, size_t n, const u64 *fp) HIDDEN_ALLOC;
void alloc_watched_free(void *p, const u64 *fp) HIDDEN_ALLOC;
/* operator new and delete, where they are nothing but malloc and free. align 0: none asked for. NULL: take the usual
 * way, which calls the program's new handler or throws. */
void *alloc_watched_cxx_new(size_t n, size_t align, const u64 *fp) HIDDEN_ALLOC;
void alloc_watched_cxx_delete(void *p, const u64 *fp) HIDDEN_ALLOC;

/* A block that came in another way; one that leaves at once in another way. */
void alloc_watched_new(void *p, u64 n, const u64 *fp, bool or_runtime) HIDDEN_ALLOC;
void alloc_watched_gone(void *p, const u64 *fp, bool or_runtime) HIDDEN_ALLOC;

/* alloc.c: bytes that the program may use of a block of the real allocator's, 0 if that cannot be told. */
u64 alloc_usable(void *p) HIDDEN_ALLOC;

#endif
