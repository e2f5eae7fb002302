/* Where the boxes and arrows of a directed graph go: layers from above to below, after Sugiyama, Tagawa and Toda,
 * "Methods for visual understanding of hierarchical system structures" (1981). A pure computation. */
#ifndef SNARL_REPORT_LAYOUT_H
#define SNARL_REPORT_LAYOUT_H

#include <stdbool.h>
#include <stddef.h>

struct layout_point {
    double x, y;
};

struct layout_node {
    double w, h; /* in */
    double x, y; /* out: its middle */
};

struct layout_edge {
    unsigned from, to;       /* in: indices of nodes; both the same: a loop, which is left alone */
    struct layout_point *at; /* out: the points that its curve goes through, from `from` to `to`; malloc'd */
    size_t n;
};

struct layout {
    struct layout_node *node;
    size_t nodes;
    struct layout_edge *edge;
    size_t edges;
    double gap_x, gap_y;  /* in: least room between boxes */
    double most_width;    /* in: parts that do not hang together are set side by side up to this */
    double width, height; /* out */
};

void layout_run(struct layout *l);
/* Frees the points. */
void layout_free(struct layout *l);

#endif
