/* What the reports have in common on contention. Reads the result document only. */
#ifndef SNARL_REPORT_CONTENTION_H
#define SNARL_REPORT_CONTENTION_H

#include <jansson.h>
#include <stdbool.h>

/* "1.2 ms", three digits; malloc'd. */
char *contention_time(json_int_t ns);
/* An upper bound of the time that this share (0.5, 0.99) of a histogram's times does not exceed: a power of two, at most
 * `longest`. 0: there are none. */
json_int_t contention_quantile(const json_t *histogram, double share, json_int_t longest);
/* Percentage of the acquisitions that had to wait, of those of which that is known. */
double contention_share(const json_t *row);
/* "cache.lock", "cache.lock (reading)"; malloc'd. */
char *contention_label(const json_t *row);
/* Was it measured in this run? */
bool contention_measured(const json_t *document);

#endif
