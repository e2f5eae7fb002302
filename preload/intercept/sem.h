/* What other parts of the preload library tell the semaphore interceptors. */
#ifndef SNARL_INTERCEPT_SEM_H
#define SNARL_INTERCEPT_SEM_H

#include "base/types.h"

/* Set by the CPython adapter; NULL: no such interpreter in this process. Both get the frame of the intercepted call. */
struct sem_interpreter {
    /* How a successful sem_trywait counts: HOW_TRY, or HOW_PYTRY for the uncontended take of a lock that the program asked for without
     * conditions, with HOW_THREAD_END when the lock stands for the life of the calling thread. */
    u32 (*how)(const u64 *fp);
    /* ATTR_PYTHON for a semaphore that is the inside of an interpreter's lock. */
    u32 (*attrs)(const u64 *fp);
};
extern const struct sem_interpreter *sem_interpreter __attribute__((visibility("hidden")));

#endif
