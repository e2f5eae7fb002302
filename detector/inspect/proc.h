/* Small files of /proc. */
#ifndef SNARL_INSPECT_PROC_H
#define SNARL_INSPECT_PROC_H

#include <stddef.h>

#include "base/types.h"

/* The whole file, cut at size - 1, terminated. False: it is not there. */
bool proc_read(char *to, size_t size, const char *format, ...) __attribute__((format(printf, 3, 4)));
/* Runs f for each entry of /proc/... that is a number. False: no such folder. */
bool proc_numbers(const char *folder, void (*f)(u32 number, void *arg), void *arg);

#endif
