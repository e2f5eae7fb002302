/* Makes foreign text harmless. Called wherever text enters a document and again where it leaves for a terminal, since
 * documents are loaded from files too. Takes no locks; allocates with malloc. */
#include "escape.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

size_t escape_utf8(const char *text, size_t n, unsigned *code)
{
    const unsigned char *p = (const unsigned char *)text;
    static const unsigned least[5] = {0, 0, 0x80, 0x800, 0x10000};
    size_t k = p[0] < 0x80                   ? 1
               : p[0] >= 0xc2 && p[0] < 0xe0 ? 2
               : p[0] >= 0xe0 && p[0] < 0xf0 ? 3
               : p[0] >= 0xf0 && p[0] < 0xf5 ? 4
                                             : 0;
    if (!k || k > n)
        return 0;
    unsigned c = k == 1 ? p[0] : p[0] & (0x7fu >> k);
    for (size_t i = 1; i < k; i++) {
        if ((p[i] & 0xc0) != 0x80)
            return 0;
        c = c << 6 | (p[i] & 0x3f);
    }
    if (c < least[k] || c > 0x10ffff || (c >= 0xd800 && c <= 0xdfff))
        return 0;
    *code = c;
    return k;
}

static bool harmful(unsigned c)
{
    return c < 0x20 || (c >= 0x7f && c <= 0x9f) || (c >= 0x200b && c <= 0x200f) || (c >= 0x2028 && c <= 0x202e) ||
           (c >= 0x2060 && c <= 0x206f) || c == 0x61c || c == 0xfeff || (c >= 0xfff9 && c <= 0xfffb) || c >= 0xe0000;
}

char *escape_text(const char *text, size_t n)
{
    char *out = malloc(n * 10 + 1);
    size_t used = 0;
    if (!out)
        abort();
    for (size_t i = 0; i < n;) {
        unsigned c = 0;
        size_t k = escape_utf8(text + i, n - i, &c);
        if (k && !harmful(c)) {
            memcpy(out + used, text + i, k);
            used += k;
        } else if (k > 1) {
            used += (size_t)sprintf(out + used, "\\u{%x}", c);
        } else {
            used += (size_t)sprintf(out + used, "\\x%02x", (unsigned char)text[i]);
        }
        i += k ? k : 1;
    }
    out[used] = 0;
    char *fit = realloc(out, used + 1);
    return fit ? fit : out;
}

size_t escape_columns(const char *text)
{
    size_t columns = 0;
    for (; *text; text++)
        columns += ((unsigned char)*text & 0xc0) != 0x80;
    return columns;
}
