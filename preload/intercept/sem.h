/* What other parts of the preload library tell the semaphore interceptors. */
#ifndef SNARL_INTERCEPT_SEM_H
#define SNARL_INTERCEPT_SEM_H

#include "base/types.h"

/* Set by the CPython adapter: is this sem_trywait the uncontended take of a lock that the program asked for without conditions? It then
 * counts as HOW_PYTRY. NULL: no such interpreter in this process. */
extern bool (*sem_try_is_blocking)(const u64 *fp) __attribute__((visibility("hidden")));

#endif
