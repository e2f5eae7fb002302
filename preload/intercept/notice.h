/* Order that signals and threads of libc's own make; for interceptors that exist in all runs. */
#ifndef SNARL_INTERCEPT_NOTICE_H
#define SNARL_INTERCEPT_NOTICE_H

#include "analyze/access.h"

/* Released by who sends the signal or sets its handler, acquired at the handler's start. */
static inline u64 notice_key(int sig)
{
    return hb_key(HB_PROCESS, (u64)sig);
}
/* The same from another process: of the receiver's number, 0: of many. */
static inline u64 notice_key_to(u32 process, int sig)
{
    return hb_key(HB_PROCESS, (u64)process << 8 | (u32)sig) | HB_WIDE;
}
void notice_taken(struct thread *t, int sig) __attribute__((visibility("hidden")));
/* Signals of any number that a timer or the like will send, and threads that libc starts by itself. */
#define NOTICE_ANY hb_key(HB_PROCESS, 0)

#endif
