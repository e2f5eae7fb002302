/* The static half's door: a program made of units, analysed, its findings as a result document. */
#ifndef SNARL_SCAN_SCAN_H
#define SNARL_SCAN_SCAN_H

#include "rules.h"

struct scan {
    struct program program;
    struct analysis analysis;
    struct whole whole;
    struct findings findings;
    double seconds[6]; /* of the steps, for --verbose */
};

/* The program is there; everything else is made. */
void scan_run(struct scan *s);

#endif
