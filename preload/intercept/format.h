/* What a format's arguments are, for hooks of formatted output and input. Inside enter/leave. */
#ifndef SNARL_INTERCEPT_FORMAT_H
#define SNARL_INTERCEPT_FORMAT_H

#include <stdarg.h>

#include "model/thread.h"

/* Output: reads the format and the strings among the arguments, which are used up. */
void format_reads(struct thread *t, const char *format, va_list *arguments, const u64 *fp)
    __attribute__((visibility("hidden")));
/* Input that has assigned to `assigned` arguments: writes them. */
void format_writes(struct thread *t, const char *format, int assigned, va_list *arguments, const u64 *fp)
    __attribute__((visibility("hidden")));

#endif
