/* Hooks of stdio: the caller's buffers and strings, and the order of writer and reader when a FILE leads to a pipe or a
 * socket. Called by all modules. Takes the engine's locks; allocates nothing but what the real functions do.
 *
 * What is written goes out with this call or a later one of the same FILE, which has the FILE's lock; so each write
 * releases. What a FILE holds is libc's, and protected by its lock. Regular files make no order here: a FILE's buffer
 * stands between. */
#include "stream.h"

#include <errno.h>

#include "descriptor.h"
#include "format.h"
#include "transfer.h"

static u64 stream_key(FILE *f)
{
    int saved = errno, fd = f ? fileno_unlocked(f) : -1; /* a stream in memory has none */
    errno = saved;
    u64 key = fd >= 0 ? fd_key(fd) : 0;
    return fd_key_is_file(key) ? 0 : key;
}

void stream_closing(FILE *f, const u64 *fp)
{
    int saved = errno, fd = fileno_unlocked(f);
    errno = saved;
    if (fd >= 0)
        descriptor_closing(fd, fp);
}

/* ---- input ---- */

#define GETS(type, name, parameters, arguments, f, success, ...)                                                       \
    type hook_##name parameters                                                                                        \
    {                                                                                                                  \
        u64 key = stream_key(f);                                                                                       \
        type r = HOOKED(name) arguments;                                                                               \
        if (success)                                                                                                   \
            TOUCH(ACQUIRE(key), COUNTED(__VA_ARGS__));                                                                 \
        return r;                                                                                                      \
    }
#define GETS_BLOCKS(name)                                                                                              \
    GETS(size_t, name, (void *restrict to, size_t size, size_t n, FILE *restrict f), (to, size, n, f), f, true,        \
         WRITES(to, r *size))
GETS_BLOCKS(fread)
GETS_BLOCKS(fread_unlocked)
#define GETS_CHECKED(name)                                                                                             \
    GETS(size_t, name, (void *to, size_t room, size_t size, size_t n, FILE *f), (to, room, size, n, f), f, true,       \
         WRITES(to, r *size))
GETS_CHECKED(__fread_chk)
GETS_CHECKED(__fread_unlocked_chk)
GETS(char *, fgets, (char *restrict to, int n, FILE *restrict f), (to, n, f), f, true,
     r ? WRITES(to, __builtin_strlen(to) + 1) : (void)0)
GETS(char *, __fgets_chk, (char *to, size_t room, int n, FILE *f), (to, room, n, f), f, true,
     r ? WRITES(to, __builtin_strlen(to) + 1) : (void)0)
#define LINE WRITES(line, sizeof *line), WRITES(n, sizeof *n), r >= 0 ? WRITES(*line, r + 1) : (void)0
GETS(ssize_t, getline, (char **restrict line, size_t *restrict n, FILE *restrict f), (line, n, f), f, true, LINE)
GETS(ssize_t, getdelim, (char **restrict line, size_t *restrict n, int end, FILE *restrict f), (line, n, end, f), f,
     true, LINE)
GETS(ssize_t, __getdelim, (char **restrict line, size_t *restrict n, int end, FILE *restrict f), (line, n, end, f), f,
     true, LINE)
GETS(int, fgetc, (FILE * f), (f), f, key, (void)0)
GETS(int, getc, (FILE * f), (f), f, key, (void)0)
GETS(int, getchar, (void), (), stdin, key, (void)0)

/* ---- output ---- */

#define PUTS(type, name, parameters, arguments, f, ...)                                                                \
    type hook_##name parameters                                                                                        \
    {                                                                                                                  \
        u64 key = stream_key(f);                                                                                       \
        TOUCH(COUNTED(__VA_ARGS__), RELEASE(key));                                                                     \
        return HOOKED(name) arguments;                                                                                 \
    }
#define PUTS_ONE(name, parameters, arguments, f)                                                                       \
    int hook_##name parameters                                                                                         \
    {                                                                                                                  \
        u64 key = stream_key(f);                                                                                       \
        if (key)                                                                                                       \
            TOUCH(RELEASE(key));                                                                                       \
        return HOOKED(name) arguments;                                                                                 \
    }
PUTS(size_t, fwrite, (const void *restrict from, size_t size, size_t n, FILE *restrict f), (from, size, n, f), f,
     READS(from, size *n))
PUTS(size_t, fwrite_unlocked, (const void *restrict from, size_t size, size_t n, FILE *restrict f), (from, size, n, f),
     f, READS(from, size *n))
PUTS(int, fputs, (const char *restrict s, FILE *restrict f), (s, f), f, READS(s, __builtin_strlen(s) + 1))
PUTS(int, puts, (const char *s), (s), stdout, READS(s, __builtin_strlen(s) + 1))
PUTS_ONE(fputc, (int c, FILE *f), (c, f), f)
PUTS_ONE(putc, (int c, FILE *f), (c, f), f)
PUTS_ONE(putchar, (int c), (c), stdout)
PUTS_ONE(fflush, (FILE * f), (f), f)

/* ---- formatted ---- */

#define PRINTED(f, list)                                                                                               \
    do {                                                                                                               \
        u64 key = stream_key(f);                                                                                       \
        TOUCH(COUNTED(format_reads(t, format, &list, fp)), RELEASE(key));                                              \
    } while (0)
#define VARIADIC(name, f, call, ...)                                                                                   \
    int hook_##name(__VA_ARGS__, ...)                                                                                  \
    {                                                                                                                  \
        va_list ap;                                                                                                    \
        va_start(ap, format);                                                                                          \
        PRINTED(f, ap);                                                                                                \
        va_end(ap);                                                                                                    \
        va_start(ap, format);                                                                                          \
        int r = call;                                                                                                  \
        va_end(ap);                                                                                                    \
        return r;                                                                                                      \
    }
#define WITH_LIST(name, f, call, ...)                                                                                  \
    int hook_##name(__VA_ARGS__, va_list ap)                                                                           \
    {                                                                                                                  \
        va_list copy;                                                                                                  \
        va_copy(copy, ap);                                                                                             \
        PRINTED(f, copy);                                                                                              \
        va_end(copy);                                                                                                  \
        return call;                                                                                                   \
    }
VARIADIC(printf, stdout, HOOKED(vprintf)(format, ap), const char *restrict format)
VARIADIC(fprintf, f, HOOKED(vfprintf)(f, format, ap), FILE *restrict f, const char *restrict format)
VARIADIC(__printf_chk, stdout, HOOKED(__vprintf_chk)(flag, format, ap), int flag, const char *format)
VARIADIC(__fprintf_chk, f, HOOKED(__vfprintf_chk)(f, flag, format, ap), FILE *f, int flag, const char *format)
WITH_LIST(vprintf, stdout, HOOKED(vprintf)(format, ap), const char *restrict format)
WITH_LIST(vfprintf, f, HOOKED(vfprintf)(f, format, ap), FILE *restrict f, const char *restrict format)
WITH_LIST(__vprintf_chk, stdout, HOOKED(__vprintf_chk)(flag, format, ap), int flag, const char *format)
WITH_LIST(__vfprintf_chk, f, HOOKED(__vfprintf_chk)(f, flag, format, ap), FILE *f, int flag, const char *format)
