/* Functions that are intercepted while accesses are watched, and only then: what touches memory on the caller's behalf
 * (memcpy, strlen, ...), and what orders threads through descriptors and signals (read, write, kill, ...).
 *
 * They are not exported: then every program's every call would go through libsnarl, watched or not. Instead the slots
 * through which modules call them (the PLT's part of the GOT) are made to point here: of watched modules for the
 * first kind, of all modules for the second. A slot is changed only when it leads to the function that HOOKED() calls:
 * a program's own function of the same name stays its own.
 *
 * Rows stand in hooked.h; a row `name` calls hook_name, which calls HOOKED(name). Why: docs/decisions/0008. */
#ifndef SNARL_PRELOAD_HOOKS_H
#define SNARL_PRELOAD_HOOKS_H

#include "hooked.h"
#include "watched.h"

struct hooked_table {
#define X(name) __typeof__(name) *name;
    HOOKED_FUNCTIONS(X, X)
#undef X
};
enum hooked_row {
#define X(name) HOOKED_ROW_##name,
    HOOKED_FUNCTIONS(X, X)
#undef X
        HOOKED_ROWS
};
union hooked_functions {
    struct hooked_table row;
    void *slot[HOOKED_ROWS];
};
extern union hooked_functions hooked_functions __attribute__((visibility("hidden")));
#define HOOKED(name) (hooked_functions.row.name)

#define X(name) extern __typeof__(name) hook_##name __attribute__((visibility("hidden")));
HOOKED_FUNCTIONS(X, X)
#undef X

/* Finds the real functions and changes the slots of all modules. Once, when accesses begin to be watched. */
void hooks_start(void) __attribute__((visibility("hidden")));
/* Changes the slots of modules that have come, or have become watched. */
void hooks_update(void) __attribute__((visibility("hidden")));
/* A module has gone from these addresses or has come to them (loader's thread, before relocation). */
void hooks_change(u64 lo, u64 hi) __attribute__((visibility("hidden")));
/* In a forked child: who was changing slots is not here. */
void hooks_after_fork(void) __attribute__((visibility("hidden")));
/* There is something to do for hooks_update. */
extern bool hooks_pending __attribute__((visibility("hidden")));

#endif
