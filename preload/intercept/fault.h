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
/* In a handler of that signal: the fault was one of a hook, or of rewritten code, which now goes on. */
bool fault_resume(int sig, void *context) HIDDEN;
/* SA_RESETHAND for these signals: is it asked for; the kernel's action has just been set; the handler is about to run. */
bool fault_once_of(int sig) HIDDEN;
void fault_once_keep(int sig) HIDDEN;
void fault_once_used(int sig) HIDDEN;

#undef HIDDEN
#endif
