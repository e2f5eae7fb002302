/* Strongly connected components of a graph: what lies on a cycle together. */
#ifndef SNARL_SCAN_CYCLES_H
#define SNARL_SCAN_CYCLES_H

#include "store.h"

#define CYCLES_END UINT32_MAX

struct walk {
    u32 n;
    u32 *number, *low;
    bool *open;
    struct list_u32 stack, path, next; /* path: nodes being walked; next: which edge of theirs */
    u32 count;
};

void walk_begin(struct walk *w, u32 n);
void walk_end(struct walk *w);
/* From one node on, what was not reached before: close() gets each component when it is complete, successors first.
 * edge() tells the i-th node that follows, CYCLES_END when there are no more. */
void walk_components(struct walk *w, u32 from, u32 (*edge)(const void *arg, u32 node, u32 i), const void *arg,
                     void (*close)(void *out, const u32 *members, u32 n), void *out);

#endif
