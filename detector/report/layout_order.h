/* The layers of one part of a graph: between layout.c and layout_order.c. */
#ifndef SNARL_REPORT_LAYOUT_ORDER_H
#define SNARL_REPORT_LAYOUT_ORDER_H

#include <stdbool.h>
#include <stddef.h>

/* A node, or a joint of an arrow in a layer that it passes. */
struct layer_spot {
    unsigned layer, rank; /* rank: place within the layer */
    bool joint;
    double w, h, x, y;
    double wish; /* where its neighbours would have it */
};

/* Between spots of neighbouring layers. */
struct layer_link {
    unsigned upper, lower;
};

struct layer_arrow {
    unsigned from, to;
};

struct layers {
    struct layer_spot *spot;
    size_t spots;
    struct layer_link *link;
    size_t links;
    double gap;
    /* Made by layers_place: */
    unsigned **row, *row_size;
    unsigned rows;
    unsigned *near_start, *near; /* neighbours above (2v) and below (2v + 1) of each spot */
};

/* Gives every node its layer; says which arrows are turned round for that. */
void layers_assign(struct layers *g, const struct layer_arrow *arrow, size_t arrows, bool *turned);
/* Gives every spot its coordinates, and says how much room all take. */
void layers_place(struct layers *g, double gap_y, double *width, double *height);
void layers_free(struct layers *g);

#endif
