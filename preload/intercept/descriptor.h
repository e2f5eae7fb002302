/* What interceptors that exist in all runs (close, fcntl, fclose) tell of descriptors while accesses are watched. */
#ifndef SNARL_INTERCEPT_DESCRIPTOR_H
#define SNARL_INTERCEPT_DESCRIPTOR_H

#include "model/thread.h"

/* Before the real close: who reads its end has seen what was done before. */
void descriptor_closing(int fd, const u64 *fp) __attribute__((visibility("hidden")));
/* `to` is a new duplicate; -1: the call has failed. */
void descriptor_copied(int from, int to, const u64 *fp) __attribute__((visibility("hidden")));

/* It has come from elsewhere (in a message). */
void descriptor_came(int fd, const u64 *fp) __attribute__((visibility("hidden")));
/* Inside: the number stands for something new. */
void descriptor_opened(struct thread *t, int fd, const u64 *fp) __attribute__((visibility("hidden")));
/* Inside, before the real call: code that is watched uses what the number stands for. */
void descriptor_used(struct thread *t, int fd, const u64 *fp) __attribute__((visibility("hidden")));

#endif
