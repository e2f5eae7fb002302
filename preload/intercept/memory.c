/* Hooks of functions on memory of a given size: mem*, wmem*, b*, qsort. Called by watched code. Takes the engine's locks;
 * allocates nothing.
 *
 * A comparison counts as reading up to the first difference, a search up to what it has found: the rest has no part in
 * the result. memcpy goes to memmove: old programs were linked to a memcpy that allowed overlap, and today's are
 * equally fast. */
#include "touch.h"

#pragma GCC diagnostic ignored "-Wdeprecated-declarations"

static u64 up_to(const void *from, const void *found, u64 n, u64 size)
{
    return found ? (u64)found - (u64)from + size : n;
}

void *hook_memcpy(void *restrict to, const void *restrict from, size_t n)
{
    TOUCH(READS(from, n), WRITES(to, n));
    return HOOKED(memmove)(to, from, n);
}
TOUCHING(void *, memmove, (void *to, const void *from, size_t n), (to, from, n), READS(from, n), WRITES(to, n))
TOUCHING(void *, mempcpy, (void *restrict to, const void *restrict from, size_t n), (to, from, n), READS(from, n),
         WRITES(to, n))
TOUCHING(void *, __mempcpy, (void *restrict to, const void *restrict from, size_t n), (to, from, n), READS(from, n),
         WRITES(to, n))
TOUCHING(void *, memset, (void *to, int c, size_t n), (to, c, n), WRITES(to, n))
/* Of n bytes: how many have been looked at when they compare with result r? */
static size_t compared(const void *a, const void *b, size_t n, int r)
{
    const char *x = a, *y = b;
    size_t i = r ? 0 : n;
    while (i < n && x[i] == y[i])
        i++;
    return i < n ? i + 1 : n;
}
#define COMPARED(n) READS(a, compared(a, b, n, r)), READS(b, compared(a, b, n, r))
TOUCHED(int, memcmp, (const void *a, const void *b, size_t n), (a, b, n), COMPARED(n))
TOUCHED(int, bcmp, (const void *a, const void *b, size_t n), (a, b, n), COMPARED(n))
TOUCHED(void *, memchr, (const void *s, int c, size_t n), (s, c, n), READS(s, up_to(s, r, n, 1)))
TOUCHED(void *, rawmemchr, (const void *s, int c), (s, c), READS(s, up_to(s, r, 0, 1)))
TOUCHED(void *, memrchr, (const void *s, int c, size_t n), (s, c, n),
        READS(r ? r : s, r ? (u64)s + n - (u64)r : (u64)n))
TOUCHED(void *, memmem, (const void *s, size_t n, const void *what, size_t size), (s, n, what, size),
        READS(s, up_to(s, r, n, size)), READS(what, size))
TOUCHED(void *, memccpy, (void *restrict to, const void *restrict from, int c, size_t n), (to, from, c, n),
        READS(from, up_to(to, r, n, 0)), WRITES(to, up_to(to, r, n, 0)))
TOUCHING_VOID(bcopy, (const void *from, void *to, size_t n), (from, to, n), READS(from, n), WRITES(to, n))
TOUCHING_VOID(bzero, (void *to, size_t n), (to, n), WRITES(to, n))
TOUCHING_VOID(explicit_bzero, (void *to, size_t n), (to, n), WRITES(to, n))
TOUCHING_VOID(swab, (const void *restrict from, void *restrict to, ssize_t n), (from, to, n),
              n > 0 ? READS(from, n & ~1) : (void)0, n > 0 ? WRITES(to, n & ~1) : (void)0)

/* ---- fortified: the real ones end the program when `room` is too small ---- */

TOUCHING(void *, __memcpy_chk, (void *to, const void *from, size_t n, size_t room), (to, from, n, room), READS(from, n),
         WRITES(to, n))
TOUCHING(void *, __memmove_chk, (void *to, const void *from, size_t n, size_t room), (to, from, n, room),
         READS(from, n), WRITES(to, n))
TOUCHING(void *, __mempcpy_chk, (void *to, const void *from, size_t n, size_t room), (to, from, n, room),
         READS(from, n), WRITES(to, n))
TOUCHING(void *, __memset_chk, (void *to, int c, size_t n, size_t room), (to, c, n, room), WRITES(to, n))
TOUCHING_VOID(__explicit_bzero_chk, (void *to, size_t n, size_t room), (to, n, room), WRITES(to, n))

/* ---- wide characters ---- */

#define WIDE(n) ((u64)(n) * sizeof(wchar_t))

TOUCHING(wchar_t *, wmemcpy, (wchar_t *restrict to, const wchar_t *restrict from, size_t n), (to, from, n),
         READS(from, WIDE(n)), WRITES(to, WIDE(n)))
TOUCHING(wchar_t *, wmemmove, (wchar_t * to, const wchar_t *from, size_t n), (to, from, n), READS(from, WIDE(n)),
         WRITES(to, WIDE(n)))
TOUCHING(wchar_t *, wmempcpy, (wchar_t *restrict to, const wchar_t *restrict from, size_t n), (to, from, n),
         READS(from, WIDE(n)), WRITES(to, WIDE(n)))
TOUCHING(wchar_t *, wmemset, (wchar_t * to, wchar_t c, size_t n), (to, c, n), WRITES(to, WIDE(n)))
TOUCHED(int, wmemcmp, (const wchar_t *a, const wchar_t *b, size_t n), (a, b, n), COMPARED(WIDE(n)))
TOUCHED(wchar_t *, wmemchr, (const wchar_t *s, wchar_t c, size_t n), (s, c, n),
        READS(s, up_to(s, r, WIDE(n), sizeof c)))
TOUCHING(wchar_t *, __wmemcpy_chk, (wchar_t * to, const wchar_t *from, size_t n, size_t room), (to, from, n, room),
         READS(from, WIDE(n)), WRITES(to, WIDE(n)))
TOUCHING(wchar_t *, __wmemmove_chk, (wchar_t * to, const wchar_t *from, size_t n, size_t room), (to, from, n, room),
         READS(from, WIDE(n)), WRITES(to, WIDE(n)))
TOUCHING(wchar_t *, __wmempcpy_chk, (wchar_t * to, const wchar_t *from, size_t n, size_t room), (to, from, n, room),
         READS(from, WIDE(n)), WRITES(to, WIDE(n)))
TOUCHING(wchar_t *, __wmemset_chk, (wchar_t * to, wchar_t c, size_t n, size_t room), (to, c, n, room),
         WRITES(to, WIDE(n)))

/* ---- sorting: what the comparison reads are copies, sometimes; one that compares moves nothing below two ---- */

TOUCHING_VOID(qsort, (void *base, size_t n, size_t size, __compar_fn_t compare), (base, n, size, compare),
              n > 1 ? WRITES(base, n *size) : (void)0)
TOUCHING_VOID(qsort_r, (void *base, size_t n, size_t size, __compar_d_fn_t compare, void *arg),
              (base, n, size, compare, arg), n > 1 ? WRITES(base, n *size) : (void)0)
