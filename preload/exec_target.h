/* What kind of program an exec would start: can our library be loaded into it? Raw system calls only; safe in a vfork
 * child. */
#ifndef SNARL_PRELOAD_EXEC_TARGET_H
#define SNARL_PRELOAD_EXEC_TARGET_H

#include "base/types.h"

enum exec_target {
    TARGET_UNKNOWN, /* not found, not readable, not executable: exec itself will say */
    TARGET_WATCHABLE,
    TARGET_STATIC,     /* no loader: nothing is preloaded, but its own children may be */
    TARGET_FOREIGN,    /* another architecture or C library: its loader would complain about ours */
    TARGET_SANITIZED,  /* brings its own runtime that takes over the same functions, and refuses company */
    TARGET_PRIVILEGED, /* exec would raise AT_SECURE: its loader ignores ours */
};

/* path relative to dirfd (or AT_FDCWD). */
enum exec_target exec_target_at(int dirfd, const char *path) __attribute__((visibility("hidden")));
/* As execvp finds it; search is the value of PATH, NULL for the default. */
enum exec_target exec_target_search(const char *file, const char *search) __attribute__((visibility("hidden")));

#endif
