/* The path behind a file descriptor. Called by the interceptors of FILE and file locks at the first sight of one. No
 * locks, no allocation, errno untouched. */
#include "fd_path.h"

#include "base/sys.h"

/* Writes a number in front of `end`; returns where it begins. */
static char *digits_before(char *end, u64 n)
{
    do
        *--end = (char)('0' + n % 10);
    while (n /= 10);
    return end;
}

bool fd_path(int fd, char *out, u32 size)
{
    static const char prefix[] = "/proc/self/fd/";
    char link[sizeof prefix + 12];
    char number[12], *end = number + sizeof number - 1;
    *end = 0;
    if (fd < 0)
        return false;
    const char *n = digits_before(end, (u32)fd);
    __builtin_memcpy(link, prefix, sizeof prefix - 1);
    __builtin_memcpy(link + sizeof prefix - 1, n, (size_t)(end - n) + 1);
    long len = sys_call3(SYS_readlink, link, out, size - 1);
    if (len <= 0)
        return false;
    out[len] = 0;
    if (out[0] != '/') /* "pipe:[4711]" */
        for (char *c = out; *c; c++)
            if (*c == ':')
                *c = 0;
    return true;
}
