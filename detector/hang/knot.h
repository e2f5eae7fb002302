/* Threads that wait only for one another. A pure function of a graph: tested against brute force. */
#ifndef SNARL_HANG_KNOT_H
#define SNARL_HANG_KNOT_H

#include <stddef.h>

#include "base/types.h"

/* Nodes 0 … n - 1. An edge from -> to: `to` may end the wait of `from`. A node that is `free` can go on. */
struct knot_graph {
    u32 n;
    bool *free;
    struct knot_edge {
        u32 from, to;
    } * edge;
    size_t nedges;
};

/* Makes free whatever has an edge to a free node. */
void knot_reduce(struct knot_graph *g);
/* After knot_reduce: numbers, from 1 on, the sets of nodes that reach one another and nothing else; 0 for all other nodes.
 * The number of sets. */
u32 knot_sets(const struct knot_graph *g, u32 *set);

#endif
