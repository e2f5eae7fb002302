/* Names as people write them: demangling, functions without their parameters, modules, languages, and which functions
 * are allocators. Called by frames, variable, types and sites. Takes no locks, may allocate.
 *
 * The demangler is the C++ runtime's own (__cxa_demangle), so Rust's old mangling comes out as well but for its
 * hash. */
#include "internal.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

/* Itanium C++ ABI, 3.4; in libstdc++ and libc++abi. */
extern char *__cxa_demangle(const char *mangled, char *buffer, size_t *length, int *status);

const char *base_name(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash ? slash + 1 : path;
}

static bool identifier(char c)
{
    return isalnum((unsigned char)c) || c == '_' || c == '$';
}

static bool starts(const char *s, const char *with)
{
    return strncmp(s, with, strlen(with)) == 0;
}

static bool ends(const char *s, const char *with)
{
    size_t n = strlen(s), w = strlen(with);
    return n >= w && strcasecmp(s + n - w, with) == 0;
}

/* Length of the bracketed group that s begins with, 0 if it does not close. Angle brackets count only outside of round
 * ones, where they may be comparisons, and not as part of "->". */
static size_t group_length(const char *s)
{
    char open[128];
    size_t depth = 0;
    for (size_t i = 0; s[i]; i++) {
        char c = s[i];
        bool angle = c == '<' || c == '>';
        if (angle && depth && open[depth - 1] == '(')
            continue;
        if (c == '>' && i && s[i - 1] == '-')
            continue;
        if (strchr("(<[{", c)) {
            if (depth == sizeof open)
                return 0;
            open[depth++] = c;
        } else if (strchr(")>]}", c)) {
            char want = c == ')' ? '(' : c == '>' ? '<' : c == ']' ? '[' : '{';
            if (!depth || open[depth - 1] != want)
                return 0;
            if (!--depth)
                return i + 1;
        }
    }
    return 0;
}

/* Length of "operator…" up to its parameters; s begins with "operator". */
static size_t operator_length(const char *s)
{
    size_t i = strlen("operator");
    if (starts(s + i, "()"))
        return i + 2;
    if (s[i] != ' ') { /* operator< <int>(…): the sign, then perhaps arguments, which the caller sees */
        while (s[i] && strchr("+-*/%^&|~!=<>,[]", s[i]))
            i++;
        return i;
    }
    while (s[i] && s[i] != '(') { /* operator new[], conversion to a type */
        size_t n = s[i] == '<' || s[i] == '{' ? group_length(s + i) : 1;
        if (!n)
            return 0;
        i += n;
    }
    return i;
}

/* Behind a parameter list: const, volatile, & and &&. */
static size_t qualifiers_length(const char *s)
{
    static const char *const words[] = {" const", " volatile", " restrict", " &&", " &"};
    size_t i = 0;
    for (size_t w = 0; w < ARRAY_LEN(words);) {
        size_t n = strlen(words[w]);
        if (starts(s + i, words[w]) && !identifier(s[i + n])) {
            i += n;
            w = 0;
        } else {
            w++;
        }
    }
    return i;
}

/* Lambdas are numbered by their order in the function, and written with parameters: neither belongs into a stable name.
 * g++: {lambda(int)#1}; clang++: $_0. Length of what stands for one at s, else 0. */
static size_t lambda_length(const char *s)
{
    if (starts(s, "{lambda("))
        return group_length(s);
    if (!starts(s, "$_"))
        return 0;
    size_t digits = strspn(s + 2, "0123456789");
    return digits ? 2 + digits : 0;
}

/* One left-to-right pass: groups in <> and {} belong to the name, groups in () are parameters and go, and what stood
 * before a space was a return type. */
bool name_plain(const char *s, char *out, size_t size)
{
    struct text t = {out, size, 0};
    size_t i = 0, lambda;
    if (!size)
        return false;
    *out = 0;
    while (s[i] && !starts(s + i, " [clone")) {
        size_t take = 1;
        if ((lambda = lambda_length(s + i))) {
            text_add(&t, "{lambda}");
            i += lambda;
            continue;
        }
        if (starts(s + i, "operator") && !identifier(s[i + 8]) && (i == 0 || !identifier(s[i - 1]))) {
            take = operator_length(s + i);
        } else if (starts(s + i, "(anonymous namespace)")) {
            take = strlen("(anonymous namespace)");
        } else if (s[i] == '(') {
            size_t n = group_length(s + i);
            if (!n)
                return false;
            i += n;
            i += qualifiers_length(s + i);
            continue;
        } else if (s[i] == '<' || s[i] == '{' || s[i] == '[') {
            take = group_length(s + i);
        } else if (s[i] == ' ') {
            t.len = 0;
            *out = 0;
            i++;
            while (s[i] && strchr("*&", s[i])) /* the return type's own */
                i++;
            continue;
        }
        if (!take)
            return false;
        text_add_n(&t, s + i, take);
        i += take;
    }
    return t.len > 0 && t.len + 1 < size;
}

/* ::h0123456789abcdef at the end of Rust's names. */
static size_t without_rust_hash(const char *s, size_t n)
{
    if (n < 20 || strncmp(s + n - 19, "::h", 3) != 0)
        return n;
    for (size_t i = n - 16; i < n; i++) {
        if (!isxdigit((unsigned char)s[i]))
            return n;
    }
    return n - 19;
}

void name_from_linkage(struct pool *p, const char *linkage, struct function_name *out)
{
    size_t n = strnlen(linkage, NAME_MAX_LENGTH);
    char mangled[NAME_MAX_LENGTH + 1], plain[NAME_MAX_LENGTH];
    out->linkage = pool_string_n(p, linkage, n);
    /* Clones (.constprop.0, .isra.0, .part.0, .cold) are still that function; what a version script appends goes
     * too. */
    size_t root = strcspn(linkage, ".@");
    if (!root || n == NAME_MAX_LENGTH)
        root = n;
    out->function = out->name = pool_string_n(p, linkage, root);
    if (!starts(linkage, "_Z") || n == NAME_MAX_LENGTH)
        return;
    memcpy(mangled, linkage, root);
    mangled[root] = 0;
    int status = -1;
    char *text = __cxa_demangle(mangled, NULL, NULL, &status);
    if (text && status == 0 && strlen(text) < 16 * NAME_MAX_LENGTH) {
        text[without_rust_hash(text, strlen(text))] = 0;
        out->function = pool_string(p, text);
        out->name = name_plain(text, plain, sizeof plain) ? pool_string(p, plain) : out->function;
    }
    free(text);
}

bool name_is_allocator(const char *name)
{
    static const char *const prefixes[] = {"std::",    "__gnu_cxx::", "boost::",     "operator new",
                                           "g_malloc", "g_slice_",    "g_try_malloc"};
    static const char *const suffixes[] = {"alloc",         "alloc0", "alloc0_n", "alloc_n",   "memalign",
                                           "aligned_alloc", "memdup", "memdup2",  "allocarray"};
    for (size_t i = 0; i < ARRAY_LEN(prefixes); i++) {
        if (starts(name, prefixes[i]))
            return true;
    }
    for (size_t i = 0; i < ARRAY_LEN(suffixes); i++) {
        if (ends(name, suffixes[i]))
            return true;
    }
    return false;
}

bool name_makes_object(const char *linkage)
{
    static const char *const parts[] = {"alloc", "_Znw", "_Zna", "new", "create", "init", "memalign", "make_", "mmap"};
    for (size_t i = 0; i < ARRAY_LEN(parts); i++) {
        if (strcasestr(linkage, parts[i]))
            return true;
    }
    return false;
}

const char *language_name(int language)
{
    switch (language) {
    case DW_LANG_C89:
    case DW_LANG_C:
    case DW_LANG_C99:
    case DW_LANG_C11:
        return "c";
    case DW_LANG_C_plus_plus:
    case DW_LANG_C_plus_plus_03:
    case DW_LANG_C_plus_plus_11:
    case DW_LANG_C_plus_plus_14:
    case 0x2b: /* C++17 */
    case 0x2c: /* C17 */
    case 0x3a: /* C++20 */
    case 0x3e: /* C23 */
        return language == 0x2c || language == 0x3e ? "c" : "c++";
    case DW_LANG_ObjC:
        return "objective-c";
    case DW_LANG_ObjC_plus_plus:
        return "objective-c++";
    case DW_LANG_Rust:
        return "rust";
    case DW_LANG_Go:
        return "go";
    case DW_LANG_D:
        return "d";
    case DW_LANG_Ada83:
    case DW_LANG_Ada95:
        return "ada";
    case DW_LANG_Fortran77:
    case DW_LANG_Fortran90:
    case DW_LANG_Fortran95:
    case DW_LANG_Fortran03:
    case DW_LANG_Fortran08:
        return "fortran";
    case DW_LANG_Mips_Assembler:
        return "assembler";
    default:
        return NULL;
    }
}

/* libfoo.so.1.2 -> libfoo; libfoo-2.31.so -> libfoo-2.31 (there the version is part of the name). */
static size_t without_version(const char *name)
{
    for (const char *at = name; (at = strstr(at, ".so")); at++) {
        if (at != name && (at[3] == 0 || at[3] == '.'))
            return (size_t)(at - name);
    }
    return strlen(name);
}

void module_name(const char *path, const char *soname, bool is_main, char *out, size_t size)
{
    struct text t = {out, size, 0};
    const char *name = path ? base_name(path) : "";
    if (!size)
        return;
    *out = 0;
    if (!is_main && soname && *soname)
        name = base_name(soname);
    if (!*name) {
        text_add(&t, "?");
        return;
    }
    text_add_n(&t, name, is_main ? strlen(name) : without_version(name));
}
