/* Signals that come while the thread is in snarl's own code (signal_defer.c). For signal.c. */
#ifndef SNARL_INTERCEPT_SIGNAL_DEFER_H
#define SNARL_INTERCEPT_SIGNAL_DEFER_H

#include <signal.h>
#include <ucontext.h>

#include "model/thread.h"

#define HIDDEN __attribute__((visibility("hidden")))

#define SIGNALS 65
/* Value of t->inside while a handler runs that interrupted snarl after all: deeper than any frame, so nothing is
 * recorded. */
#define INSIDE_INTERRUPTED (~0ULL)

/* Handlers are entered through `trampoline` from now on; `other` is the second function of ours that the kernel may
 * know. */
void defer_start(void *trampoline, void *other) HIDDEN;
/* The context is one of snarl's own code, which t entered and has not left. */
bool defer_is_inside(const struct thread *t, const ucontext_t *context) HIDDEN;
/* At the begin of the trampoline. True: the signal is put off, and the trampoline is to return at once. */
bool defer_signal(struct thread *t, int sig, siginfo_t *info, ucontext_t *context) HIDDEN;
/* A handler is about to run although the thread is inside: it must not keep others off. t->inside is
 * INSIDE_INTERRUPTED. */
void defer_give_up(int sig, ucontext_t *context) HIDDEN;
/* The handler of a real-time signal is about to run: with the info of the first one that came. */
void defer_in_order(int sig, siginfo_t *info) HIDDEN;
void defer_thread_end(void) HIDDEN;

#undef HIDDEN
#endif
