/* The must order: which events come first in every schedule of this program (create, join, fork, wait for a child,
 * barrier). A thread's life is cut into segments; a segment is ordered after its predecessors. Kept as a graph and
 * searched when a cycle is examined, because such questions are rare and creations are not: no clock has to be copied
 * however many threads there are.
 *
 * All functions take no lock; callers of segment_new and segment_before hold RANK_GRAPH or own the thread. */
#ifndef SNARL_MODEL_SEGMENT_H
#define SNARL_MODEL_SEGMENT_H

#include "base/types.h"
#include "model/order.h"

/* A segment of `thread` after `prev` and `other` (either may be 0). When the run has too many it returns prev (or
 * other) and the run is marked: from then on segment_before errs towards "ordered". */
ref_t segment_new(ref_t thread, ref_t prev, ref_t other);

/* True when everything in segment a comes before everything in segment b in every schedule (or a == b); also when that
 * could not be decided within the search budget. Caller holds RANK_GRAPH. */
bool segment_before(ref_t a, ref_t b);

#endif
