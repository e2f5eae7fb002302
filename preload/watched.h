/* Whose code's accesses are watched: the modules that were compiled for it (each calls __tsan_init), or rewritten.
 *
 * What an intercepted function does to memory counts as the caller's access only when the caller is watched: other code
 * may order its accesses in ways that snarl does not see, libc by its internal locks for one. C++'s standard library,
 * which allocates and frees on behalf of inline functions, stands for whoever calls it. */
#ifndef SNARL_PRELOAD_WATCHED_H
#define SNARL_PRELOAD_WATCHED_H

#include <stddef.h>

#include "base/types.h"

enum code { CODE_FOREIGN = 0, CODE_RUNTIME, CODE_WATCHED };

/* For __tsan_init: accesses of the module around pc are watched from now on (access_on is set); the first such call turns
 * all that surrounds accesses on. Cheap when the module is known. Any thread, outside of enter/leave. */
void watched_module(u64 pc) __attribute__((visibility("hidden")));

/* What is to be done when accesses begin to matter, that is before a second thread is made or another process shares
 * memory; NULL: nothing, or it is done. */
extern void (*watched_first)(void) __attribute__((visibility("hidden")));
static inline void watched_begin(void)
{
    if (__builtin_expect(watched_first != NULL, 0))
        watched_first();
}

struct module;
/* Built for being watched. */
bool watched_is_compiled(const struct module *m) __attribute__((visibility("hidden")));

/* As watched_module, for code that was rewritten: it does not tell of its entries. */
void watched_rewritten(u64 pc) __attribute__((visibility("hidden")));

/* Watched code that tells of its entries itself made the call of that frame. */
bool watched_directly(const u64 *fp) __attribute__((visibility("hidden")));
enum code watched_code(u64 pc) __attribute__((visibility("hidden")));
/* The intercepted call whose frame is fp (analyze/engine.h) was made by watched code; or, where it may be, by C++'s
 * standard library for watched code. Inside enter/leave. */
bool watched_call(const u64 *fp, bool or_runtime) __attribute__((visibility("hidden")));
/* engine_hooks.watches; C++'s standard library is good enough for a pc. */
bool watched_caller(u64 pc, const u64 *fp) __attribute__((visibility("hidden")));
#endif
