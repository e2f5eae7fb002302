/* Two threads that take a and b in opposite order, one after the other: the finding that a hazard must not hide. */
#ifndef INVERSION_H
#define INVERSION_H

#include "case.h"

static pthread_mutex_t a = PTHREAD_MUTEX_INITIALIZER, b = PTHREAD_MUTEX_INITIALIZER;

UNUSED static void *one(void *arg)
{
    lock(&a);
    lock(&b);
    unlock(&b);
    unlock(&a);
    step_done(1);
    return arg;
}

UNUSED static void *two(void *arg)
{
    step_wait(1);
    lock(&b);
    lock(&a);
    unlock(&a);
    unlock(&b);
    step_done(2);
    return arg;
}

#endif
