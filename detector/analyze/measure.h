/* Contention: what is told to the measuring of waits and holds. Inside detector/analyze; sensors use engine.h. */
#ifndef SNARL_ANALYZE_MEASURE_H
#define SNARL_ANALYZE_MEASURE_H

#include "analyze/engine.h"

/* t takes a lock that it did not hold; last thing of the acquire. */
void measure_acquired(struct thread *t, struct lock_rec *l, enum lock_mode mode, u32 how);
/* First thing of a release: the moment. */
u64 measure_moment(void);
/* h is let go, at that moment. */
void measure_released(struct thread *t, struct lock_rec *l, const struct held_entry *h, u64 moment, const u64 *fp);
/* t has found l busy and waits. Told again before its end: goes on. */
void measure_wait_begin(struct thread *t, const struct lock_rec *l, enum lock_mode mode, const u64 *fp);
/* The published wait is over. How it ended is told by measure_acquired or engine_wait_failed. */
void measure_wait_end(struct thread *t);

/* Once in a process, before its first thread. */
void measure_start(void);
/* In a forked child: t's records are the parent's. */
void measure_forked(struct thread *t);
/* Another thread takes over a private state. */
void measure_thread_new(struct measures *m);

#endif
