/* Lists of modules: names and globs. Called by the option parser, by the preload library for each module that is loaded,
 * and by reports. Pure. */
#include "patterns.h"

static size_t length_of(const char *s)
{
    size_t n = 0;
    while (s[n])
        n++;
    return n;
}

static bool same(const char *a, size_t n, const char *b)
{
    for (size_t i = 0; i < n; i++)
        if (a[i] != b[i])
            return false;
    return true;
}

const char *patterns_word(const char *list, u32 i, size_t *n)
{
    for (;; list++) {
        const char *end = list;
        while (*end && *end != ',')
            end++;
        *n = (size_t)(end - list);
        if (i-- == 0)
            return list;
        if (!*end)
            return NULL;
        list = end;
    }
}

const char *patterns_trouble(const char *list, size_t n, size_t *at, size_t *length)
{
    u32 words = 0;
    *at = 0;
    *length = n < 40 ? n : 40;
    if (n >= PATTERNS_BYTES)
        return "is too long a list: at most 511 characters";
    for (size_t from = 0; from <= n;) {
        size_t end = from;
        while (end < n && list[end] != ',')
            end++;
        *at = from;
        *length = end - from;
        if (from == end)
            return "is no module: a name or a glob is wanted between commas";
        for (size_t k = from; k < end; k++) {
            if (list[k] == '[' || list[k] == '{')
                return "is no glob that snarl knows: only * and ? stand for others";
            if (list[k] == '\'' || list[k] == '"' || (u8)list[k] < 0x20)
                return "has a character that cannot stand in it: put ? for it";
        }
        if (++words > PATTERNS_MOST)
            return "is one too many: at most 31";
        from = end + 1;
    }
    return NULL;
}

/* A star takes as little as it can; when what follows does not fit, one character more. */
static bool glob(const char *p, size_t n, const char *s)
{
    const char *end = p + n, *star = NULL, *again = NULL;
    while (*s) {
        if (p < end && *p == '*') {
            star = ++p;
            again = s;
        } else if (p < end && (*p == *s || *p == '?')) {
            p++;
            s++;
        } else if (star) {
            p = star;
            s = ++again;
        } else {
            return false;
        }
    }
    while (p < end && *p == '*')
        p++;
    return p == end;
}

/* The rest of a library's name, behind what was given of it. */
static bool is_version(const char *word, size_t n, const char *rest)
{
    bool whole = n >= 3 && same(word + n - 3, 3, ".so");
    for (size_t i = 0; !whole && i + 4 <= n; i++)
        whole = same(word + i, 4, ".so.");
    if (whole)
        return *rest == '.';
    return same(".so", 3, rest) && (!rest[3] || rest[3] == '.');
}

static bool word_means(const char *word, size_t n, const char *path)
{
    bool has_slash = false, is_glob = false;
    const char *base = path;
    if (n == 3 && same(word, 3, "all"))
        return true;
    for (size_t i = 0; i < n; i++) {
        has_slash |= word[i] == '/';
        is_glob |= word[i] == '*' || word[i] == '?';
    }
    for (const char *s = path; !has_slash && *s; s++)
        if (*s == '/')
            base = s + 1;
    if (glob(word, n, base))
        return true;
    size_t have = length_of(base);
    return !is_glob && have > n && same(word, n, base) && is_version(word, n, base + n);
}

u32 patterns_match(const char *list, const char *path)
{
    u32 bits = 0;
    const char *word;
    size_t n;
    for (u32 i = 0; i < PATTERNS_MOST && (word = patterns_word(list, i, &n)) != NULL; i++)
        if (n && word_means(word, n, path))
            bits |= 1u << i;
    return bits;
}
