/* Results of the C++ library that become ready at a thread's exit. */
#ifndef SNARL_INTERCEPT_READY_H
#define SNARL_INTERCEPT_READY_H

/* The thread's destructors begin to run. */
void ready_thread_ends(void) __attribute__((visibility("hidden")));

#endif
