/* The lock-order graph of a result document, drawn. Strings must be harmless, as for text.h. */
#ifndef SNARL_REPORT_GRAPH_H
#define SNARL_REPORT_GRAPH_H

#include <jansson.h>

#include "text.h"

/* Per class, which others are taken while it is held. malloc'd. */
char *graph_text(const json_t *document, const struct text_options *o);
/* For graphviz. Orders that take part in a finding are red. malloc'd. */
char *graph_dot(const json_t *document);

/* Which orders (a class taken while a class is held) are steps of findings: an object for graph_mark; the caller lets
 * go of it. */
json_t *graph_marks(const json_t *document);
/* The id of a finding that this edge is a step of, or NULL. */
const char *graph_mark(const json_t *marks, const json_t *edge);

#endif
