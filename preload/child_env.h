/* The environment of child processes: what makes them join the run, or keeps them out of it. No allocation where the
 * environment is right already, which is the usual case; usable in vfork children. */
#ifndef SNARL_PRELOAD_CHILD_ENV_H
#define SNARL_PRELOAD_CHILD_ENV_H

#include "base/types.h"

/* Little enough for a stack of one page, where a child that clone() has made calls exec. */
#define CHILD_ENV_INLINE 48
#define CHILD_ENV_TEXT 256

struct child_env {
    char *inline_slots[CHILD_ENV_INLINE];
    char inline_text[CHILD_ENV_TEXT]; /* LD_PRELOAD=… */
    void *mapped;
    size_t mapped_bytes;
};

/* Once at start. run_folder NULL: children are never watched. options: value of SNARL_OPTIONS or NULL; owner: process
 * id that reports in a run of its own, 0 under `snarl run`. */
void child_env_start(const char *run_folder, const char *options, u32 owner) __attribute__((visibility("hidden")));

/* The value of SNARL_OPTIONS at the start; "" when there was none. The program may have overwritten its own. */
const char *child_env_options(void) __attribute__((visibility("hidden")));
/* The process that reports, 0 under `snarl run`. */
u32 child_env_owner(void) __attribute__((visibility("hidden")));

/* What to start a program with instead of envp: itself when nothing has to change (or memory is refused). Give back
 * with child_env_end when the exec has failed or the child was spawned. */
char *const *child_env_make(struct child_env *e, char *const *envp, bool watch) __attribute__((visibility("hidden")));
void child_env_end(struct child_env *e) __attribute__((visibility("hidden")));

/* Makes `environ` right for what libc starts by itself (system, popen). Not while another thread changes the
 * environment, as with any reader of it. */
void child_env_own(void) __attribute__((visibility("hidden")));

/* Takes everything of snarl out of an environment in place: at start when children are not to be watched. */
void child_env_scrub(char **envp) __attribute__((visibility("hidden")));

#endif
