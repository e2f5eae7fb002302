/* Threads that meet at steps which make no order for the detector: step.c is not instrumented. */
#ifndef STEP_H
#define STEP_H

void step_done(int n);
void step_wait(int n);

#endif
