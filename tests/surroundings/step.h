/* Threads that meet at steps which make no order for the detector: step.c is not instrumented. */
#ifndef STEP_H
#define STEP_H

#ifdef __cplusplus
extern "C" {
#endif

void step_done(int n);
void step_wait(int n);
/* Addresses, told without order. */
void step_keep(void *p);
int step_kept(void *p);
void *step_last(void);
/* Until the process has one thread only. */
void step_alone(void);

#ifdef __cplusplus
}
#endif

#endif
