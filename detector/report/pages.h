/* Texts that are compiled in by EmbedPages.cmake, so that the command needs no file beside it: the pages of
 * `snarl explain` (docs/explain/NAME.md), and what an HTML report is made of (html/). */
#ifndef SNARL_REPORT_PAGES_H
#define SNARL_REPORT_PAGES_H

#include <stddef.h>

struct explain_page {
    const char *name;   /* file name without its ending: a finding kind, or a rule of lock-misuse */
    const char *text;   /* ends with a zero byte */
    size_t length;      /* without it */
    const char *sha256; /* of the text, in hexadecimal digits */
};
/* By name; one entry more than the count, with name NULL. */
extern const struct explain_page explain_pages[], html_assets[];
extern const size_t explain_page_count, html_asset_count;

#endif
