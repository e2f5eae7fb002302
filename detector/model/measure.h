/* What is measured of locks with --detect=contention: how often they are taken, how long threads wait for them and hold
 * them.
 *
 * One record for each thread and kind of lock ("class": same birth, hence the same name in reports), written by that thread
 * alone and added up by the report. Readers of a reader-writer lock have a record of their own. */
#ifndef SNARL_MODEL_MEASURE_H
#define SNARL_MODEL_MEASURE_H

#include "base/types.h"

/* Times by powers of two: bucket i counts those of 2^i ns and more, but less than twice that; the last one also all longer
 * ones (over nine minutes), the first also 0. */
#define MEASURE_BUCKETS 40u
#define MEASURE_HOLDERS 4u
#define MEASURE_CLASSES 16384u

/* The longest hold, or wait, that began at a place in the program. */
struct measure_longest {
    u64 ns;
    u64 site_pc;     /* return address of the acquiring call */
    ref_t stack;     /* of that call; 0: not captured */
    ref_t end_stack; /* of the call that let go; holds only */
    u64 end_ns;      /* the hold that end_stack is of */
    u32 thread;      /* number */
    u32 reserved;
};

struct measure_rec {
    ref_t lock; /* one of the class, kept for its name */
    ref_t process;
    u32 mode; /* enum lock_mode */
    u32 reserved;
    u64 acquisitions; /* by a thread that did not hold it; all kinds of acquire that succeeded */
    u64 contended;    /* of these: had to wait */
    u64 reacquired;   /* of these: by the end of a condition wait. Whether they had to wait is not known. */
    u64 given_up;     /* waits that ended without it (time-outs) */
    u64 wait_ns, hold_ns;
    struct measure_longest wait;
    struct measure_longest hold[MEASURE_HOLDERS]; /* by place; unused ones have ns 0 */
    u64 waits[MEASURE_BUCKETS];
    u64 holds[MEASURE_BUCKETS]; /* that have ended */
};

static inline u32 measure_bucket(u64 ns)
{
    u32 b = ns < 2 ? 0 : 63u - (u32)__builtin_clzll(ns);
    return b < MEASURE_BUCKETS ? b : MEASURE_BUCKETS - 1;
}

#endif
