/* Rewriting in a watched process: which modules, and what their copies and checks need. */
#ifndef SNARL_ACCESS_REWRITE_WATCH_H
#define SNARL_ACCESS_REWRITE_WATCH_H

#include "access/rewrite_module.h"
#include "modules.h"

#define HIDDEN __attribute__((visibility("hidden")))

/* Before the first module, when accesses are watched. False: this machine cannot. */
bool rewrite_watch_start(void) HIDDEN;
/* Before code of the module runs, and by one thread at a time: rewrites it by what is kept of it, or takes a slot for
 * that to be done. Its accesses are watched from now on. False: there is nothing kept that fits. */
bool rewrite_watch_cached(const struct module *m, u32 *slot) HIDDEN;
enum rewrite_result rewrite_watch_module(const struct module *m, u32 slot) HIDDEN;
/* What is kept of modules (rewrite_cache.h) is for this program and this library. Before the first module. */
void rewrite_watch_name(const struct module_rec *program, const struct module_rec *tool) HIDDEN;
/* What is made of modules is written to the cache: not while other threads could close our file. */
extern bool rewrite_keeps HIDDEN;
/* So many bytes of code came from the cache. */
extern u64 rewrite_from_cache HIDDEN;
/* The module was rewritten. */
bool rewrite_is_known(const struct module *m) HIDDEN;
/* After modules have been unloaded: what belonged to them. */
void rewrite_forget_gone(void) HIDDEN;
/* Those that were rewritten, the i-th; NULL: no more. */
const struct rewritten *rewrite_watched(u32 i) HIDDEN;

/* engine_hooks.instruction */
u32 rewrite_instruction(u64 frame, bool take) HIDDEN;

/* ---- the slow path (rewrite_slow.c) ---- */

/* Numbers of checks: the module's above the check's. */
#define REWRITE_MODULES 256u
#define REWRITE_CHECKS_SHIFT 22
extern const struct access_site *rewrite_sites[REWRITE_MODULES] HIDDEN;

/* What checks borrow: three registers and an address (struct check_target). */
#define REWRITE_WORDS 4u
extern __thread u64 rewrite_words[REWRITE_WORDS] __attribute__((tls_model("initial-exec"))) HIDDEN;

#undef HIDDEN
#endif
