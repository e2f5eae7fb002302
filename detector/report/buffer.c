/* Growing text for everything that composes sentences. Takes no locks; allocates with malloc. */
#include "buffer.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void buffer_add(struct buffer *b, const char *text, size_t n)
{
    if (b->length + n + 1 > b->size) {
        b->size = (b->length + n + 1) * 2;
        b->text = realloc(b->text, b->size);
        if (!b->text)
            abort();
    }
    memcpy(b->text + b->length, text, n);
    b->length += n;
    b->text[b->length] = 0;
}

void buffer_put(struct buffer *b, const char *text)
{
    buffer_add(b, text, strlen(text));
}

void buffer_print(struct buffer *b, const char *format, ...)
{
    va_list args;
    char *text = NULL;
    va_start(args, format);
    int n = vasprintf(&text, format, args);
    va_end(args);
    if (n < 0)
        abort();
    buffer_add(b, text, (size_t)n);
    free(text);
}

char *buffer_take(struct buffer *b)
{
    if (!b->text)
        buffer_put(b, "");
    char *text = b->text;
    *b = (struct buffer){0};
    return text;
}
