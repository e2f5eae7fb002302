/* Hooks of functions on strings. Called by watched code. Takes the engine's locks; allocates nothing but what the real
 * functions do.
 *
 * A comparison counts as reading up to the first difference, a search up to what it has found. Lengths are taken after
 * the real call, which has read the same bytes. */
#include "touch.h"

#pragma GCC diagnostic ignored "-Wdeprecated-declarations"

#define LENGTH(s) __builtin_strlen(s)

static u64 bounded(const char *s, u64 most)
{
    u64 n = strnlen(s, most);
    return n < most ? n + 1 : n;
}

#define PAGE 4096u
#define WORD sizeof(u64)
#define ONES 0x0101010101010101ULL

static bool word_inside_page(const char *s)
{
    return ((u64)s & (PAGE - 1)) <= PAGE - WORD;
}

static u64 word_at(const char *s)
{
    u64 w;
    __builtin_memcpy(&w, s, WORD);
    return w;
}

/* Bytes that a comparison has to read of both. Whole words, as long as they neither differ nor hold the end. */
static u64 compared(const char *a, const char *b, u64 most, bool any_case)
{
    u64 i = 0;
    for (; most - i >= WORD && word_inside_page(a + i) && word_inside_page(b + i); i += WORD) {
        u64 w = word_at(a + i);
        if (w != word_at(b + i) || ((w - ONES) & ~w & ONES << 7))
            break;
    }
    for (; i < most && a[i] && b[i]; i++)
        if (a[i] != b[i] && (!any_case || ((a[i] ^ b[i]) & ~0x20)))
            break;
    return i < most ? i + 1 : i;
}

#define COMPARES(name, parameters, arguments, most, any_case)                                                          \
    int hook_##name parameters                                                                                         \
    {                                                                                                                  \
        int r = HOOKED(name) arguments;                                                                                \
        u64 read = compared(a, b, most, any_case);                                                                     \
        TOUCH(READS(a, read), READS(b, read));                                                                         \
        return r;                                                                                                      \
    }

/* ---- length, comparison ---- */

TOUCHED(size_t, strlen, (const char *s), (s), READS(s, r + 1))
TOUCHED(size_t, strnlen, (const char *s, size_t n), (s, n), READS(s, r < n ? r + 1 : r))
COMPARES(strcmp, (const char *a, const char *b), (a, b), ~0ULL, false)
COMPARES(strncmp, (const char *a, const char *b, size_t n), (a, b, n), n, false)
COMPARES(strcasecmp, (const char *a, const char *b), (a, b), ~0ULL, true)
COMPARES(strncasecmp, (const char *a, const char *b, size_t n), (a, b, n), n, true)
TOUCHED(int, strcoll, (const char *a, const char *b), (a, b), READS(a, LENGTH(a) + 1), READS(b, LENGTH(b) + 1))
TOUCHED(size_t, strxfrm, (char *restrict to, const char *restrict from, size_t n), (to, from, n),
        READS(from, LENGTH(from) + 1), WRITES(to, r < n ? r + 1 : n))

/* ---- searches ---- */

static u64 searched(const char *s, const char *found)
{
    return found ? (u64)(found - s) + 1 : LENGTH(s) + 1;
}

TOUCHED(char *, strchr, (const char *s, int c), (s, c), READS(s, searched(s, r)))
TOUCHED(char *, index, (const char *s, int c), (s, c), READS(s, searched(s, r)))
TOUCHED(char *, strchrnul, (const char *s, int c), (s, c), READS(s, searched(s, r)))
TOUCHED(char *, strrchr, (const char *s, int c), (s, c), READS(s, LENGTH(s) + 1))
TOUCHED(char *, rindex, (const char *s, int c), (s, c), READS(s, LENGTH(s) + 1))
TOUCHED(char *, strstr, (const char *s, const char *what), (s, what), READS(what, LENGTH(what) + 1),
        READS(s, r ? (u64)(r - s) + LENGTH(what) : LENGTH(s) + 1))
TOUCHED(char *, strcasestr, (const char *s, const char *what), (s, what), READS(what, LENGTH(what) + 1),
        READS(s, r ? (u64)(r - s) + LENGTH(what) : LENGTH(s) + 1))
TOUCHED(size_t, strspn, (const char *s, const char *set), (s, set), READS(s, r + 1), READS(set, LENGTH(set) + 1))
TOUCHED(size_t, strcspn, (const char *s, const char *set), (s, set), READS(s, r + 1), READS(set, LENGTH(set) + 1))
TOUCHED(char *, strpbrk, (const char *s, const char *set), (s, set), READS(s, searched(s, r)),
        READS(set, LENGTH(set) + 1))

/* ---- copies ---- */

#define COPIED(from, to, n) READS(from, n), WRITES(to, n)
#define COPIED_STRING(from, to) COPIED(from, to, LENGTH(to) + 1)

TOUCHED(char *, strdup, (const char *s), (s), r ? (COPIED_STRING(s, r)) : (void)0)
TOUCHED(char *, __strdup, (const char *s), (s), r ? (COPIED_STRING(s, r)) : (void)0)
TOUCHED(char *, strndup, (const char *s, size_t n), (s, n), READS(s, bounded(s, n)),
        r ? WRITES(r, LENGTH(r) + 1) : (void)0)
TOUCHED(char *, __strndup, (const char *s, size_t n), (s, n), READS(s, bounded(s, n)),
        r ? WRITES(r, LENGTH(r) + 1) : (void)0)
TOUCHED(char *, strcpy, (char *restrict to, const char *restrict from), (to, from), COPIED_STRING(from, to))
TOUCHED(char *, __strcpy_chk, (char *to, const char *from, size_t room), (to, from, room), COPIED_STRING(from, to))
TOUCHED(char *, stpcpy, (char *restrict to, const char *restrict from), (to, from), COPIED(from, to, r - to + 1))
TOUCHED(char *, __stpcpy_chk, (char *to, const char *from, size_t room), (to, from, room), COPIED(from, to, r - to + 1))
TOUCHED(char *, strncpy, (char *restrict to, const char *restrict from, size_t n), (to, from, n),
        READS(from, bounded(from, n)), WRITES(to, n))
TOUCHED(char *, __strncpy_chk, (char *to, const char *from, size_t n, size_t room), (to, from, n, room),
        READS(from, bounded(from, n)), WRITES(to, n))
TOUCHED(char *, stpncpy, (char *restrict to, const char *restrict from, size_t n), (to, from, n),
        READS(from, bounded(from, n)), WRITES(to, n))
TOUCHED(char *, __stpncpy_chk, (char *to, const char *from, size_t n, size_t room), (to, from, n, room),
        READS(from, bounded(from, n)), WRITES(to, n))
TOUCHED(size_t, strlcpy, (char *to, const char *from, size_t n), (to, from, n), READS(from, r + 1),
        WRITES(to, r < n ? r + 1 : n))
TOUCHED(size_t, strlcat, (char *to, const char *from, size_t n), (to, from, n), READS(from, LENGTH(from) + 1),
        WRITES(to, r < n ? r + 1 : n))

/* The old end of `to` is read up to where the writing begins. */
#define APPENDING(name, parameters, arguments, read)                                                                   \
    char *hook_##name parameters                                                                                       \
    {                                                                                                                  \
        u64 old = LENGTH(to);                                                                                          \
        char *r = HOOKED(name) arguments;                                                                              \
        TOUCH(READS(from, read), READS(to, old), WRITES(to + old, LENGTH(to + old) + 1));                              \
        return r;                                                                                                      \
    }
APPENDING(strcat, (char *restrict to, const char *restrict from), (to, from), LENGTH(from) + 1)
APPENDING(__strcat_chk, (char *to, const char *from, size_t room), (to, from, room), LENGTH(from) + 1)
APPENDING(strncat, (char *restrict to, const char *restrict from, size_t n), (to, from, n), bounded(from, n))
APPENDING(__strncat_chk, (char *to, const char *from, size_t n, size_t room), (to, from, n, room), bounded(from, n))

/* ---- tokens ---- */

/* Read from where the search began; the token's end was written over, unless it was the string's. */
#define TOKEN(name, parameters, arguments, begin, rest)                                                                \
    char *hook_##name parameters                                                                                       \
    {                                                                                                                  \
        const char *from = begin;                                                                                      \
        char *r = HOOKED(name) arguments;                                                                              \
        TOUCH(READS(set, LENGTH(set) + 1), WRITES(rest, sizeof(char *)),                                               \
              r ? READS(from, (u64)(r - from) + LENGTH(r) + 1) : (void)0,                                              \
              r &&*rest &&*rest == r + LENGTH(r) + 1 ? WRITES(*rest - 1, 1) : (void)0);                                \
        return r;                                                                                                      \
    }
TOKEN(strtok_r, (char *restrict s, const char *restrict set, char **restrict save), (s, set, save), s ? s : *save, save)
TOKEN(__strtok_r, (char *restrict s, const char *restrict set, char **restrict save), (s, set, save), s ? s : *save,
      save)
TOKEN(strsep, (char **restrict s, const char *restrict set), (s, set), *s, s)
