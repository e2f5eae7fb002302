/* How much of a module's accesses is watched when its code is rewritten. Kept with the module's record; written by the
 * process that rewrites it (preload/access/rewrite_coverage.c), read by the report. */
#ifndef SNARL_MODEL_COVERAGE_H
#define SNARL_MODEL_COVERAGE_H

#include "base/types.h"

/* Why accesses are not watched. X(name, text) */
#define COVERAGE_REASONS(X)                                                                                            \
    X(undecoded, "instructions that are not known, or data between code")                                              \
    X(barred, "instructions that cannot be moved, such as transactions")                                               \
    X(overlapping, "functions that lie over each other in the unwind table")                                           \
    X(entangled, "branches into the midst of instructions")                                                            \
    X(crowded, "entries without room for a jump")                                                                      \
    X(unmeasured, "instructions of which it is not known which bytes they access")                                     \
    X(unplaced, "no room near the module, or its code may not be changed")

enum coverage_reason {
#define X(n, t) COVERAGE_##n,
    COVERAGE_REASONS(X)
#undef X
        COVERAGE_REASON_COUNT
};

struct coverage_left {
    u32 functions; /* left alone as a whole; 0 where single accesses are meant */
    u32 accesses;  /* instructions */
};

struct coverage {
    u32 functions;         /* that the module has; 0: it was not rewritten */
    u32 eligible, watched; /* instructions that access memory which other threads may reach */
    u32 unlisted;          /* bytes of code that belong to no function in the unwind table */
    struct coverage_left left[COVERAGE_REASON_COUNT];
};

#endif
