/* Text inside of XML and HTML. Called by the renderers of these. Takes no locks; allocates with malloc. */
#include "markup.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "escape.h"

#define REPLACEMENT "\xef\xbf\xbd"

static bool allowed(unsigned c)
{
    return c == '\t' || c == '\n' || c == '\r' || (c >= 0x20 && c != 0xfffe && c != 0xffff);
}

static const char *entity(unsigned c)
{
    switch (c) {
    case '&':
        return "&amp;";
    case '<':
        return "&lt;";
    case '>':
        return "&gt;";
    case '"':
        return "&quot;";
    case '\'':
        return "&#39;";
    default:
        return NULL;
    }
}

void markup_put(struct buffer *b, const char *s)
{
    const char *plain = s; /* what waits to be copied as it is */
    for (size_t n = strlen(s), k; n; s += k, n -= k) {
        unsigned c = 0;
        size_t whole = escape_utf8(s, n, &c);
        const char *instead = whole && allowed(c) ? entity(c) : REPLACEMENT;
        k = whole ? whole : 1;
        if (!instead)
            continue;
        buffer_add(b, plain, (size_t)(s - plain));
        buffer_put(b, instead);
        plain = s + k;
    }
    buffer_put(b, plain);
}

void markup_take(struct buffer *b, char *s)
{
    markup_put(b, s);
    free(s);
}

char *markup_clip(const char *s, size_t most)
{
    static const char more[] = "…";
    struct buffer b = {0};
    size_t n = strlen(s);
    if (n <= most) {
        buffer_add(&b, s, n);
        return buffer_take(&b);
    }
    n = most > sizeof more ? most - (sizeof more - 1) : 0;
    while (n && ((unsigned char)s[n] & 0xc0) == 0x80)
        n--;
    buffer_add(&b, s, n);
    buffer_put(&b, more);
    return buffer_take(&b);
}
