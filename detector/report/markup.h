/* Text inside of XML, HTML and lists of limited width. */
#ifndef SNARL_REPORT_MARKUP_H
#define SNARL_REPORT_MARKUP_H

#include "buffer.h"

/* The five characters that mean something become entities; what XML does not allow becomes U+FFFD. Fit for content and
 * for quoted attributes. */
void markup_put(struct buffer *b, const char *s);
/* The same for a malloc'd text, which is freed. */
void markup_take(struct buffer *b, char *s);

/* A malloc'd copy of at most `most` bytes, cut at the end of a character and then ended by "…". */
char *markup_clip(const char *s, size_t most);

#endif
