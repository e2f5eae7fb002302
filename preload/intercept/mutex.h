/* The record of a pthread_mutex_t, or of an mtx_t, which is one: for the families that take or release mutexes. */
#ifndef SNARL_INTERCEPT_MUTEX_H
#define SNARL_INTERCEPT_MUTEX_H

#include "blocking.h"

/* Not in this thread's cache: reads the type. mutex.c */
struct lock_rec *mutex_find(struct thread *t, const pthread_mutex_t *m, const u64 *fp)
    __attribute__((visibility("hidden")));

static SNARL_HOT struct lock_rec *mutex_record(struct thread *t, const pthread_mutex_t *m, const u64 *fp)
{
    struct lock_rec *l = lock_cached(t, (u64)m, OBJ_MUTEX);
    return snarl_likely(l != NULL) ? l : mutex_find(t, m, fp);
}

#endif
