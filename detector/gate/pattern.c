/* Matching of patterns. Called by suppress_match.c and orders.c. Takes no locks; allocates nothing. */
#include "pattern.h"

#include <stddef.h>
#include <string.h>

/* Glob with stars alone over n characters of the pattern. On a mismatch the last star takes one character more: earlier
 * ones need not be tried again. */
static bool glob(const char *pattern, size_t n, const char *text, bool floats, bool open)
{
    const char *end = pattern + n, *p = pattern, *star = floats ? pattern : NULL, *resume = text;
    for (;;) {
        if (p < end && *p == '*') {
            star = ++p;
            resume = text;
        } else if (p == end && (open || !*text)) {
            return true;
        } else if (p < end && *p == *text && *text) {
            p++;
            text++;
        } else if (star && *resume) {
            text = ++resume;
            p = star;
        } else {
            return false;
        }
    }
}

bool pattern_template(const char *pattern, const char *text)
{
    size_t n = strlen(pattern);
    bool floats = *pattern != '^', open = true;
    if (!*text)
        return false;
    if (!floats) {
        pattern++;
        n--;
    }
    if (n && pattern[n - 1] == '$') {
        n--;
        open = false;
    }
    return glob(pattern, n, text, floats, open);
}

bool pattern_class(const char *pattern, const char *text)
{
    return glob(pattern, strlen(pattern), text, false, false);
}
