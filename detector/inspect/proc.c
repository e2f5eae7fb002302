/* Small files of /proc. Called by far_end.c and those who look at runs from outside. Takes no locks; allocates nothing of its own. */
#include <dirent.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "proc.h"

bool proc_read(char *to, size_t size, const char *format, ...)
{
    char path[128];
    va_list ap;
    va_start(ap, format);
    vsnprintf(path, sizeof path, format, ap);
    va_end(ap);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    size_t n = 0;
    to[0] = 0;
    if (fd < 0)
        return false;
    for (ssize_t got; n < size - 1 && (got = read(fd, to + n, size - 1 - n)) > 0;)
        n += (size_t)got;
    close(fd);
    to[n] = 0;
    return n != 0;
}

bool proc_numbers(const char *folder, void (*f)(u32 number, void *arg), void *arg)
{
    DIR *d = opendir(folder);
    if (!d)
        return false;
    for (const struct dirent *e; (e = readdir(d));) {
        char *end;
        unsigned long n = strtoul(e->d_name, &end, 10);
        if (!*end && end != e->d_name && n < 0x7fffffff)
            f((u32)n, arg);
    }
    closedir(d);
    return true;
}
