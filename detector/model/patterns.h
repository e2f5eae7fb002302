/* Which modules are meant: names or globs with commas between (--modules). Pure: no allocation, no libc calls, no locks. */
#ifndef SNARL_MODEL_PATTERNS_H
#define SNARL_MODEL_PATTERNS_H

#include "base/types.h"

#define PATTERNS_BYTES 512u
#define PATTERNS_MOST 31u

/* What is wrong with the list, as the end of a sentence; NULL when nothing is. at, length: of the word that is meant. */
const char *patterns_trouble(const char *list, size_t n, size_t *at, size_t *length);

/* Bits of the words that mean the module of that path; 0: it is not meant. A word with a slash is held against the path,
 * others against its last part; where they hold no * or ?, what follows ".so" need not be said, nor ".so" itself. "all"
 * means every module. */
u32 patterns_match(const char *list, const char *path);
/* Word i of the list, its length in *n; NULL: there are not so many. */
const char *patterns_word(const char *list, u32 i, size_t *n);

#endif
