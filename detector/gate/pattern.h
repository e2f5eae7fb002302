/* Patterns of suppressions and baselines. */
#ifndef SNARL_GATE_PATTERN_H
#define SNARL_GATE_PATTERN_H

#include <stdbool.h>

/* ThreadSanitizer's templates: the pattern may stand anywhere in the text; `*` is any text, `^` in front anchors the
 * start, `$` behind the end. Nothing matches the empty text. */
bool pattern_template(const char *pattern, const char *text);

/* A class of locks: the whole text, `*` is any text, any other character itself. */
bool pattern_class(const char *pattern, const char *text);

#endif
