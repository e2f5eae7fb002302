/* Text that grows. Aborts on out-of-memory, like everything in the command. */
#ifndef SNARL_REPORT_BUFFER_H
#define SNARL_REPORT_BUFFER_H

#include <stddef.h>

struct buffer {
    char *text; /* NUL-terminated; NULL while empty */
    size_t length, size;
};

void buffer_add(struct buffer *b, const char *text, size_t n);
void buffer_put(struct buffer *b, const char *text);
void buffer_print(struct buffer *b, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* The text, "" when nothing was added; the caller frees it. The buffer is empty afterwards. */
char *buffer_take(struct buffer *b);

#endif
