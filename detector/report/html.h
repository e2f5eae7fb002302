/* Between the files of the HTML renderer. A report is one file without anything from elsewhere: content that can be read
 * without its script, which adds filters and the exploring of the graph. */
#ifndef SNARL_REPORT_HTML_H
#define SNARL_REPORT_HTML_H

#include <jansson.h>
#include <stdbool.h>

#include "buffer.h"
#include "sides.h"
#include "source.h"

struct html {
    struct buffer out;
    struct source source;
};

/* One finding in full. */
void html_finding(struct html *h, const json_t *f);
/* Who does what when: a lane for each thread. Nothing when there is nothing to compare. */
void html_timeline(struct html *h, const json_t *f, const struct side *s, size_t n);
/* Frames; runs of library frames are folded. */
void html_stack(struct html *h, const json_t *stack);
/* Some lines of the source around the frame of a stack that is shown in lists, when the source can be read. */
void html_source(struct html *h, const json_t *stack, unsigned around);
/* The lock-order graph and each of its orders. */
void html_orders(struct html *h, const json_t *document);
/* Contention: its table, plots and longest holds. */
void html_contention(struct html *h, const json_t *document);
/* Markdown of a page of `snarl explain`. */
void html_markdown(struct html *h, const char *text);
/* A malloc'd label as text. */
void html_label(struct html *h, char *label);

#endif
