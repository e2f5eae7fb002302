/* The lock-order graph of a result document, drawn. Strings must be harmless, as for text.h. */
#ifndef SNARL_REPORT_GRAPH_H
#define SNARL_REPORT_GRAPH_H

#include <jansson.h>

#include "text.h"

/* Per class, which others are taken while it is held. malloc'd. */
char *graph_text(const json_t *document, const struct text_options *o);
/* For graphviz. Orders that take part in a finding are red. malloc'd. */
char *graph_dot(const json_t *document);

/* The id of a finding that this order (class taken while class is held) is a step of, or NULL. */
const char *graph_finding_of(const json_t *document, const char *from, const char *to);

#endif
