/* A static result joined with runs: what the runs have confirmed, and what they never came to. */
#ifndef SNARL_REPORT_WITH_SCAN_H
#define SNARL_REPORT_WITH_SCAN_H

#include "text.h"

/* The scan's document with, for each finding, what the runs say of it; what the runs have found stands in front. Borrows both;
 * the result is new. */
json_t *with_scan_join(const json_t *scan, const json_t *runs);

/* One line of a finding: what the runs say of it. */
void with_scan_text(struct text *t, const json_t *finding);
/* The places that no run came to. */
void with_scan_gaps(struct text *t, const json_t *document);

#endif
