/* Reader of /proc/self/maps. Called on slow paths (the birth of a process-shared lock, the end of a shared segment).
 * No locks, no allocation; 1 KiB of stack. */
#include "maps.h"

#include <fcntl.h>

#include "base/sys.h"

/* Reads a number and the character after it. */
static bool number(const char **at, const char *end, u32 base, char stop, u64 *out)
{
    u64 n = 0;
    const char *first = *at;
    for (; *at < end; ++*at) {
        char c = **at;
        u32 digit = c >= '0' && c <= '9' ? (u32)(c - '0') : c >= 'a' && c <= 'f' ? (u32)(c - 'a' + 10) : 16;
        if (digit >= base)
            break;
        n = n * base + digit;
    }
    if (*at == first || (stop && (*at == end || **at != stop)))
        return false;
    *at += stop != 0;
    *out = n;
    return true;
}

bool maps_parse(const char *line, u32 length, struct maps_entry *out)
{
    const char *at = line, *end = line + length;
    u64 major, minor;
    if (!number(&at, end, 16, '-', &out->lo) || !number(&at, end, 16, ' ', &out->hi) || end - at < 5 || at[4] != ' ')
        return false;
    out->shared = at[3] == 's';
    out->writable = at[1] == 'w';
    at += 5;
    if (!number(&at, end, 16, ' ', &out->offset) || !number(&at, end, 16, ':', &major) ||
        !number(&at, end, 16, ' ', &minor) || !number(&at, end, 10, 0, &out->inode))
        return false;
    out->device = major << 32 | minor;
    return out->lo < out->hi;
}

/* What follows the numbers, without the folders before it and what the kernel says of it behind. */
static void name_take(const char *line, u32 length, char *name, u32 room)
{
    static const char deleted[] = " (deleted)";
    u32 end = length, begin, n = sizeof deleted - 1;
    if (end > n && !__builtin_memcmp(line + end - n, deleted, n))
        end -= n;
    for (begin = end; begin > 0 && line[begin - 1] != '/'; begin--)
        ;
    n = begin && end - begin < room ? end - begin : 0;
    __builtin_memcpy(name, line + begin, n);
    name[n] = 0;
}

static bool find(const char *path, u64 addr, struct maps_entry *out, char *name, u32 room)
{
    char buffer[1024]; /* a line's numbers take less than 100 bytes; what is longer is its path, which is skipped */
    u32 have = 0;
    bool skipping = false, found = false;
    int fd = sys_open(path, O_RDONLY | O_CLOEXEC, 0);
    long n;
    if (fd < 0)
        return false;
    while (!found && (n = sys_read(fd, buffer + have, sizeof buffer - have)) > 0) {
        u32 begin = 0;
        have += (u32)n;
        for (;;) {
            u32 end = begin;
            while (end < have && buffer[end] != '\n')
                end++;
            if (end == have && (begin || have < sizeof buffer))
                break; /* the rest of the line comes with the next read */
            if (!skipping && maps_parse(buffer + begin, end - begin, out) && addr >= out->lo && addr < out->hi) {
                found = true;
                if (room && end < have)
                    name_take(buffer + begin, end - begin, name, room);
                break;
            }
            skipping = end == have;
            begin = end + (end < have);
            if (begin == have)
                break;
        }
        have -= begin;
        __builtin_memmove(buffer, buffer + begin, have);
    }
    if (!found && have && !skipping) /* a last line without an end */
        found = maps_parse(buffer, have, out) && addr >= out->lo && addr < out->hi;
    sys_close(fd);
    return found;
}

bool maps_find_in(const char *path, u64 addr, struct maps_entry *out)
{
    return find(path, addr, out, NULL, 0);
}

bool maps_find_named(u64 addr, struct maps_entry *out, char *name, u32 room)
{
    *name = 0;
    return find("/proc/self/maps", addr, out, name, room);
}
