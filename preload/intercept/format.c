/* Goes through the arguments of printf and scanf as the real functions do: reads the strings that are printed, writes
 * what is scanned. Called by hooks, inside enter/leave. Takes the engine's locks; allocates nothing.
 *
 * Where a format is not understood (numbered arguments, unknown conversions) the rest of the arguments is left out. */
#include "format.h"

#include "touch.h"

/* One conversion of a format. */
struct conversion {
    char letter;    /* 's', 'd', ..., 0 at the end of the format */
    char length;    /* 'h', 'H' (hh), 'l', 'q' (ll, j, z, t), 'L', or 0 */
    bool skipped;   /* input: '*', assigns nothing */
    bool allocates; /* input: 'm' */
    int stars;      /* output: widths and precisions among the arguments */
    bool precise;   /* output: the precision is `most` or, with star_last, the last of them */
    bool star_last;
    u64 most; /* output: precision; input: width; 0: none */
};

static const char *read_number(const char *f, u64 *n)
{
    for (*n = 0; *f >= '0' && *f <= '9'; f++)
        *n = *n < 1u << 30 ? *n * 10 + (u64)(*f - '0') : *n;
    return f;
}

static const char *read_length(const char *f, char *length)
{
    *length = 0;
    if (f[0] == 'h' || f[0] == 'l') {
        *length = f[0] == f[1] ? (char)(f[0] == 'h' ? 'H' : 'q') : f[0];
        return f + (f[0] == f[1] ? 2 : 1);
    }
    if (*f == 'j' || *f == 'z' || *f == 't' || *f == 'q')
        *length = 'q';
    else if (*f == 'L')
        *length = 'L';
    else
        return f;
    return f + 1;
}

static bool is_one_of(const char *set, char c)
{
    return c && __builtin_strchr(set, c);
}

/* The next conversion at or behind f; returns what comes after it. NULL: not understood. */
static const char *next_conversion(const char *f, bool input, struct conversion *c)
{
    *c = (struct conversion){0};
    while (*f && *f != '%')
        f++;
    if (!*f)
        return f;
    for (f++; is_one_of(input ? "*'" : "-+ #0'I*", *f); f++) {
        c->skipped |= input && *f == '*';
        c->stars += !input && *f == '*';
    }
    f = read_number(f, &c->most);
    if (*f == '$')
        return NULL;
    if (!input && *f == '.') {
        c->precise = true;
        c->star_last = *++f == '*';
        c->stars += c->star_last;
        f = read_number(f + c->star_last, &c->most);
    }
    for (; input && *f == 'm'; f++)
        c->allocates = true;
    f = read_length(f, &c->length);
    c->letter = *f;
    return *f ? f + 1 : NULL;
}

static bool is_wide(const struct conversion *c)
{
    return c->length == 'l' || is_one_of("SC", c->letter);
}

static u64 string_bytes(const struct conversion *c, const void *s, u64 most)
{
    const wchar_t *w = s;
    u64 n = 0;
    if (!is_wide(c)) {
        n = most >> 62 ? __builtin_strlen(s) : strnlen(s, most);
        return n < most ? n + 1 : n;
    }
    while (n < most && w[n])
        n++;
    return (n < most ? n + 1 : n) * sizeof *w;
}

/* ---- output ---- */

static void argument_read(struct thread *t, const struct conversion *c, va_list *arguments, const u64 *fp)
{
    int star = -1;
    for (int i = 0; i < c->stars; i++)
        star = va_arg(*arguments, int);
    u64 most = c->star_last ? (star < 0 ? ~0ULL : (u64)star) : c->precise ? c->most : ~0ULL;
    if (is_one_of("sS", c->letter)) {
        const void *s = va_arg(*arguments, const void *);
        if (s)
            READS(s, string_bytes(c, s, most));
    } else if (is_one_of("eEfFgGaA", c->letter)) {
        if (c->length == 'L')
            (void)va_arg(*arguments, long double);
        else
            (void)va_arg(*arguments, double);
    } else if (is_one_of("pn", c->letter)) {
        (void)va_arg(*arguments, void *);
    } else if (is_one_of("lq", c->length)) {
        (void)va_arg(*arguments, long);
    } else {
        (void)va_arg(*arguments, int);
    }
}

void format_reads(struct thread *t, const char *format, va_list *arguments, const u64 *fp)
{
    struct conversion c;
    READS(format, __builtin_strlen(format) + 1);
    while ((format = next_conversion(format, false, &c)) && c.letter) {
        if (is_one_of("%m", c.letter))
            continue;
        if (!is_one_of("diouxXcCsSpneEfFgGaA", c.letter))
            return;
        argument_read(t, &c, arguments, fp);
    }
}

/* ---- input ---- */

/* Behind the closing bracket of a set. */
static const char *set_end(const char *f)
{
    f += *f == '^';
    for (f += *f == ']'; *f && *f != ']'; f++)
        continue;
    return *f ? f + 1 : f;
}

static u64 stored_bytes(const struct conversion *c, const void *to)
{
    if (c->allocates)
        return sizeof(char *);
    if (is_one_of("sS[", c->letter))
        return string_bytes(c, to, ~0ULL);
    if (is_one_of("cC", c->letter))
        return (c->most ? c->most : 1) * (is_wide(c) ? sizeof(wchar_t) : 1);
    if (is_one_of("eEfFgGaA", c->letter))
        return c->length == 'L' ? sizeof(long double) : c->length == 'l' ? sizeof(double) : sizeof(float);
    if (c->letter == 'p')
        return sizeof(void *);
    return c->length == 'H' ? 1 : c->length == 'h' ? 2 : is_one_of("lq", c->length) ? 8 : 4;
}

void format_writes(struct thread *t, const char *format, int assigned, va_list *arguments, const u64 *fp)
{
    struct conversion c;
    READS(format, __builtin_strlen(format) + 1);
    while ((format = next_conversion(format, true, &c)) && c.letter) {
        if (c.letter == '%')
            continue;
        if (c.letter == '[')
            format = set_end(format);
        if (!is_one_of("diouxXcCsSpneEfFgGaA[", c.letter))
            return;
        if (c.skipped)
            continue;
        if (c.letter != 'n' && assigned-- <= 0)
            return;
        const void *to = va_arg(*arguments, const void *);
        WRITES(to, stored_bytes(&c, to));
    }
}
