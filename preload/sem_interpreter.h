/* What an interpreter's adapter (unwind/python.c) tells the semaphore interceptors (intercept/sem.c). */
#ifndef SNARL_PRELOAD_SEM_INTERPRETER_H
#define SNARL_PRELOAD_SEM_INTERPRETER_H

#include "base/types.h"
#include "model/thread.h"

/* Set by the adapter; NULL: no such interpreter in this process. All get the frame of the intercepted call. */
struct sem_interpreter {
    /* How a successful sem_trywait counts: HOW_TRY, or HOW_PYTRY for the uncontended take of a lock that the program
     * asked for without conditions, with HOW_THREAD_END when the lock stands for the life of the calling thread, or
     * HOW_SIGNAL when it is there to be released by somebody else. */
    u32 (*how)(const u64 *fp);
    /* ATTR_PYTHON for a semaphore that is the inside of an interpreter's lock. */
    u32 (*attrs)(const u64 *fp);
    /* A try has failed. The interpreter then gives up its global lock and waits for the semaphore: this is the last
     * moment at which the thread's frames can be read. */
    void (*busy)(struct thread *t, u64 sem, const u64 *fp);
    /* The blocking call begins: stacks captured until the thread's next semaphore call are of this wait or of the take
     * that ends it. */
    void (*waits)(struct thread *t, u64 sem, const u64 *fp);
};
extern const struct sem_interpreter *sem_interpreter __attribute__((visibility("hidden")));

#endif
