/* Text in fixed buffers, without libc's formatting: what does not fit is cut, the result always ends with NUL.
 * Thread-safe, async-signal-safe. */
#ifndef SNARL_PRELOAD_TEXT_H
#define SNARL_PRELOAD_TEXT_H

#include <string.h>

#include "base/types.h"

struct text {
    char *buf;
    size_t cap, len;
    bool cut;
};

static inline struct text text_in(char *buf, size_t cap)
{
    buf[0] = 0;
    return (struct text){buf, cap, 0, false};
}
static inline void text_bytes(struct text *t, const char *s, size_t n)
{
    if (n > t->cap - 1 - t->len) {
        n = t->cap - 1 - t->len;
        t->cut = true;
    }
    memcpy(t->buf + t->len, s, n);
    t->len += n;
    t->buf[t->len] = 0;
}
static inline void text_add(struct text *t, const char *s)
{
    text_bytes(t, s, strlen(s));
}
static inline void text_number(struct text *t, u64 n, unsigned base)
{
    char digits[24];
    size_t at = sizeof digits;
    do {
        digits[--at] = "0123456789abcdef"[n % base];
        n /= base;
    } while (n);
    text_bytes(t, digits + at, sizeof digits - at);
}

#endif
