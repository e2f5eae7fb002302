/* Text from outside (file names, symbols, thread names, result files) made harmless: what is printed can neither move
 * the cursor nor break a line nor reorder what stands beside it. */
#ifndef SNARL_REPORT_ESCAPE_H
#define SNARL_REPORT_ESCAPE_H

#include <stddef.h>

/* A malloc'd UTF-8 copy: control characters, invalid bytes and characters that change the direction or are invisible
 * become \xNN or \u{NNNN}. A plain text comes back as it is. Never NULL. */
char *escape_text(const char *text, size_t n);

/* Length in bytes of the well-formed UTF-8 character at p (of n bytes), and its code point; 0 when it is not well
 * formed. */
size_t escape_utf8(const char *p, size_t n, unsigned *code);

/* Columns that the text takes on a terminal, counting one per character. */
size_t escape_columns(const char *text);

#endif
