/* Faults of hooks that look at the shadow of a wild pointer (fault.c). For signal.c and what turns watching on. */
#ifndef SNARL_PRELOAD_FAULT_H
#define SNARL_PRELOAD_FAULT_H

#include <signal.h>

#include "base/types.h"

#define HIDDEN __attribute__((visibility("hidden")))

/* Accesses are watched from now on. */
void fault_watch(void) HIDDEN;
/* What the kernel is given when the program wants the default action: itself, or our handler for a fault. */
void *fault_default_in(int sig, void *handler) HIDDEN;
/* That handler. */
void *fault_default_function(void) HIDDEN;
/* The other way round. */
void *fault_default_of(void *handler) HIDDEN;
void fault_default_restore(struct sigaction *old) HIDDEN;
/* In a handler of that signal, which the kernel knows as `handler`: the fault was one of a hook, which now goes on. */
bool fault_resume(int sig, void *context, void *handler) HIDDEN;

#undef HIDDEN
#endif
