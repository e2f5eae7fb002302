/* Hooks of functions on strings of wide characters. Called by watched code. Takes the engine's locks; allocates nothing
 * but what the real functions do. As string.c. */
#include "touch.h"

#define WIDE(n) ((u64)(n) * sizeof(wchar_t))
#define CHARACTERS(from, to) ((u64)((to) - (from)))

static u64 length(const wchar_t *s)
{
    u64 n = 0;
    while (s[n])
        n++;
    return n;
}

static u64 bounded(const wchar_t *s, u64 most)
{
    u64 n = 0;
    while (n < most && s[n])
        n++;
    return n < most ? n + 1 : n;
}

static u64 compared(const wchar_t *a, const wchar_t *b, u64 most)
{
    u64 i = 0;
    while (i < most && a[i] && a[i] == b[i])
        i++;
    return i < most ? i + 1 : i;
}

#define READS_WIDE(s, n) READS(s, WIDE(n))
#define WRITES_WIDE(s, n) WRITES(s, WIDE(n))

TOUCHED(size_t, wcslen, (const wchar_t *s), (s), READS_WIDE(s, r + 1))
TOUCHED(size_t, wcsnlen, (const wchar_t *s, size_t n), (s, n), READS_WIDE(s, r < n ? r + 1 : r))
TOUCHED(int, wcscmp, (const wchar_t *a, const wchar_t *b), (a, b), READS_WIDE(a, compared(a, b, ~0ULL)),
        READS_WIDE(b, compared(a, b, ~0ULL)))
TOUCHED(int, wcsncmp, (const wchar_t *a, const wchar_t *b, size_t n), (a, b, n), READS_WIDE(a, compared(a, b, n)),
        READS_WIDE(b, compared(a, b, n)))
TOUCHED(wchar_t *, wcschr, (const wchar_t *s, wchar_t c), (s, c), READS_WIDE(s, (r ? CHARACTERS(s, r) : length(s)) + 1))
TOUCHED(wchar_t *, wcsrchr, (const wchar_t *s, wchar_t c), (s, c), READS_WIDE(s, length(s) + 1))
TOUCHED(wchar_t *, wcsstr, (const wchar_t *s, const wchar_t *what), (s, what), READS_WIDE(what, length(what) + 1),
        READS_WIDE(s, r ? CHARACTERS(s, r) + length(what) : length(s) + 1))
TOUCHED(wchar_t *, wcsdup, (const wchar_t *s), (s), READS_WIDE(s, length(s) + 1),
        r ? WRITES_WIDE(r, length(r) + 1) : (void)0)

#define COPIED(from, to, n) READS_WIDE(from, n), WRITES_WIDE(to, n)

TOUCHED(wchar_t *, wcscpy, (wchar_t *restrict to, const wchar_t *restrict from), (to, from),
        COPIED(from, to, length(to) + 1))
TOUCHED(wchar_t *, __wcscpy_chk, (wchar_t * to, const wchar_t *from, size_t room), (to, from, room),
        COPIED(from, to, length(to) + 1))
TOUCHED(wchar_t *, wcpcpy, (wchar_t *restrict to, const wchar_t *restrict from), (to, from),
        COPIED(from, to, CHARACTERS(to, r) + 1))
TOUCHED(wchar_t *, wcsncpy, (wchar_t *restrict to, const wchar_t *restrict from, size_t n), (to, from, n),
        READS_WIDE(from, bounded(from, n)), WRITES_WIDE(to, n))
TOUCHED(wchar_t *, __wcsncpy_chk, (wchar_t * to, const wchar_t *from, size_t n, size_t room), (to, from, n, room),
        READS_WIDE(from, bounded(from, n)), WRITES_WIDE(to, n))

#define APPENDING(name, parameters, arguments, read)                                                                   \
    wchar_t *hook_##name parameters                                                                                    \
    {                                                                                                                  \
        u64 old = length(to);                                                                                          \
        wchar_t *r = HOOKED(name) arguments;                                                                           \
        TOUCH(READS_WIDE(from, read), READS_WIDE(to, old), WRITES_WIDE(to + old, length(to + old) + 1));               \
        return r;                                                                                                      \
    }
APPENDING(wcscat, (wchar_t *restrict to, const wchar_t *restrict from), (to, from), length(from) + 1)
APPENDING(__wcscat_chk, (wchar_t * to, const wchar_t *from, size_t room), (to, from, room), length(from) + 1)
APPENDING(wcsncat, (wchar_t *restrict to, const wchar_t *restrict from, size_t n), (to, from, n), bounded(from, n))
APPENDING(__wcsncat_chk, (wchar_t * to, const wchar_t *from, size_t n, size_t room), (to, from, n, room),
          bounded(from, n))
