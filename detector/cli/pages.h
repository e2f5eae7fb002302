/* The pages of `snarl explain`, compiled in from docs/explain/NAME.md by cmake/EmbedPages.cmake. */
#ifndef SNARL_CLI_PAGES_H
#define SNARL_CLI_PAGES_H

#include <stddef.h>

struct explain_page {
    const char *name; /* file name without .md: a finding kind, or kind.rule */
    const char *text; /* Markdown, ends with a zero byte */
    size_t length;    /* without it */
};
extern const struct explain_page explain_pages[]; /* by name; one entry more than the count, with name NULL */
extern const size_t explain_page_count;

#endif
