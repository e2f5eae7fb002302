/* The clocks of threads, for those who outlive them: a process that is killed releases nothing, but whoever has waited for
 * its end comes after all that it did. And for processes that somebody makes who is not watched. Nothing outside
 * detector/analyze includes this. */
#ifndef SNARL_ANALYZE_LIVES_H
#define SNARL_ANALYZE_LIVES_H

#include "analyze/accesses.h"

/* The thread begins, on its lane. */
void lives_begin(struct accesses *a);
/* It ends; a->clock still runs. */
void lives_end(struct accesses *a);
/* The thread comes after what these have done: those that have ended; and what all others had let others know. */
enum lives_who { LIVES_ENDED, LIVES_ALL };
void lives_learn(struct accesses *a, enum lives_who who);
/* p has ended. The lanes of threads that were killed are not used again. */
void lives_process_ended(struct accesses *a, struct process_rec *p);
/* So has this thread, in the middle. */
void lives_thread_ended(struct accesses *a, ref_t thread);
void lives_each(void (*f)(const struct thread_rec *r, void *arg), void *arg);

#endif
