/* The lock-order graph of a result document, drawn. Strings must be harmless, as for text.h. */
#ifndef SNARL_REPORT_GRAPH_H
#define SNARL_REPORT_GRAPH_H

#include <jansson.h>

#include "text.h"

/* Per class, which others are taken while it is held. malloc'd. */
char *graph_text(const json_t *document, const struct text_options *o);
/* For graphviz. Orders that take part in a finding are red. malloc'd. */
char *graph_dot(const json_t *document);

/* The document's "lock_graph" and the steps of its findings: in a deadlock that has happened the second locks were
 * never taken, so the run itself has no such orders. Each edge that is a step of a finding has its id as "finding".
 * Nodes and edges are sorted by class. The caller lets go of it. */
json_t *graph_of(const json_t *document);
/* At most so many nodes and edges of such a graph: the findings', then what is next to these, then what was taken most.
 * Whole when it fits. "left_out" counts the nodes that are not there, "left_out_edges" the edges. */
json_t *graph_part(const json_t *graph, size_t most_nodes, size_t most_edges);

/* Drawn by ourselves, see layout.h; a page of its own. malloc'd. */
char *graph_svg(const json_t *document);
/* The same as a part of an HTML page: without style, every edge with its number in `graph` as data-edge. */
void graph_svg_inside(struct buffer *b, const json_t *graph);

#endif
