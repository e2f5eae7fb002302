/* Which units there are: files named, or those of a compile_commands.json. Called by the command. Takes no locks; allocates
 * with malloc. */
#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "front.h"

static bool ends_with(const char *text, const char *end)
{
    size_t n = strlen(text), m = strlen(end);
    return n >= m && strcmp(text + n - m, end) == 0;
}

static bool ends_with_any(const char *text, const char *const *ends, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (ends_with(text, ends[i]))
            return true;
    return false;
}

static bool is_source(const char *file)
{
    static const char *const ends[] = {".c", ".i", ".cc", ".cpp", ".cxx", ".c++", ".C", ".ii"};
    return ends_with_any(file, ends, ARRAY_LEN(ends));
}

static bool is_bitcode(const char *file)
{
    static const char *const ends[] = {".bc", ".ll"};
    return ends_with_any(file, ends, ARRAY_LEN(ends));
}

static void add_arg(struct unit *u, const char *arg)
{
    if (u->nargs + 1 >= u->cap)
        u->args = store_grow(u->args, &u->cap, u->nargs + 2, sizeof *u->args);
    u->args[u->nargs++] = strdup(arg);
    u->args[u->nargs] = NULL;
}

static struct unit *add_unit(struct units *u, const char *folder, const char *file)
{
    if (u->n == u->cap)
        u->at = store_grow(u->at, &u->cap, u->n + 1, sizeof *u->at);
    u->at[u->n] = (struct unit){.folder = strdup(folder), .file = strdup(file), .bitcode = is_bitcode(file)};
    return &u->at[u->n++];
}

int units_add_file(struct units *u, const char *file, char *err, size_t errlen)
{
    if (!is_source(file) && !is_bitcode(file)) {
        snprintf(err, errlen, "%s: neither C, C++ nor LLVM bitcode, by its name", file);
        return -EINVAL;
    }
    struct unit *unit = add_unit(u, ".", file);
    if (ends_with(file, ".c"))
        add_arg(unit, "-D_GNU_SOURCE");
    return 0;
}

/* What says where results go, how they are optimised, instrumented, or which warnings end the work; `with` is set when the
 * next argument belongs to it. */
static bool is_dropped(const char *arg, bool *with)
{
    static const char *const alone[] = {"-c", "-S", "-E", "-pipe", "-MD", "-MMD", "-MP", "-MG", "-M", "-MM", "-Werror"};
    static const char *const paired[] = {"-o", "-MF", "-MT", "-MQ", "--param", "-aux-info", "-dumpdir", "-dumpbase"};
    static const char *const begins[] = {"-O",         "-o",        "-MF",    "-Werror=",   "-fsanitize",
                                         "-flto",      "-fprofile", "-ftest", "-fplugin",   "-gdwarf",
                                         "--coverage", "-fuse-ld",  "-Wl,",   "-save-temps"};
    for (size_t i = 0; i < ARRAY_LEN(alone); i++)
        if (strcmp(arg, alone[i]) == 0)
            return true;
    for (size_t i = 0; i < ARRAY_LEN(paired); i++)
        if (strcmp(arg, paired[i]) == 0)
            return *with = true;
    for (size_t i = 0; i < ARRAY_LEN(begins); i++)
        if (strncmp(arg, begins[i], strlen(begins[i])) == 0)
            return true;
    return false;
}

static void take_args(struct unit *u, char **words, u32 n)
{
    for (u32 i = 1; i < n; i++) {
        bool with = false;
        if (is_dropped(words[i], &with))
            i += with;
        else if (strcmp(words[i], u->file) != 0)
            add_arg(u, words[i]);
    }
}

/* A command line cut into words as a shell does: quotes and backslashes, nothing else. */
static char **split(const char *line, u32 *n)
{
    char **words = NULL;
    u32 cap = 0;
    *n = 0;
    while (*line) {
        char *word = store_alloc(strlen(line) + 1), *to = word, quote = 0;
        while (isspace((unsigned char)*line))
            line++;
        if (!*line) {
            free(word);
            break;
        }
        for (; *line && (quote || !isspace((unsigned char)*line)); line++) {
            if (*line == '\\' && line[1] && quote != '\'')
                *to++ = *++line;
            else if (quote ? *line == quote : *line == '"' || *line == '\'')
                quote = quote ? 0 : *line;
            else
                *to++ = *line;
        }
        if (*n == cap)
            words = store_grow(words, &cap, *n + 1, sizeof *words);
        words[(*n)++] = word;
    }
    return words;
}

/* Wrappers like ccache stand before the compiler. */
static u32 skip_wrapper(char **words, u32 n)
{
    const char *slash = n ? strrchr(words[0], '/') : NULL, *name = slash ? slash + 1 : n ? words[0] : "";
    return n > 1 && (strcmp(name, "ccache") == 0 || strcmp(name, "distcc") == 0) && words[1][0] != '-' ? 1 : 0;
}

static void add_entry(struct units *u, const json_t *entry)
{
    const char *folder = json_string_value(json_object_get(entry, "directory"));
    const char *file = json_string_value(json_object_get(entry, "file"));
    const char *command = json_string_value(json_object_get(entry, "command"));
    const json_t *arguments = json_object_get(entry, "arguments"), *word;
    char **words = NULL;
    u32 n = 0, cap = 0;
    size_t i;
    if (!folder || !file)
        return;
    struct unit *unit = add_unit(u, folder, file);
    if (!is_source(file)) {
        unit->state = UNIT_LEFT_OUT;
        unit->problem = strdup("neither C nor C++");
        return;
    }
    if (command) {
        words = split(command, &n);
    } else {
        json_array_foreach (arguments, i, word) {
            if (n == cap)
                words = store_grow(words, &cap, n + 1, sizeof *words);
            words[n++] = strdup(json_is_string(word) ? json_string_value(word) : "");
        }
    }
    u32 skip = skip_wrapper(words, n);
    take_args(unit, words + skip, n - skip);
    for (i = 0; i < n; i++)
        free(words[i]);
    free(words);
}

int units_add_database(struct units *u, const char *folder, char *err, size_t errlen)
{
    char *path;
    json_error_t e;
    if (asprintf(&path, "%s/compile_commands.json", folder) < 0)
        abort();
    json_t *list = json_load_file(path, JSON_REJECT_DUPLICATES, &e), *entry;
    size_t i;
    int failed = 0;
    if (!list && e.line <= 0)
        snprintf(err, errlen,
                 "%s: not there; cmake writes one with -DCMAKE_EXPORT_COMPILE_COMMANDS=ON, meson always, and "
                 "`bear -- make` for the rest",
                 path);
    else if (!list)
        snprintf(err, errlen, "%s:%d:%d: %s", path, e.line, e.column, e.text);
    else if (!json_is_array(list))
        snprintf(err, errlen, "%s: should be a list of commands", path);
    if (!json_is_array(list))
        failed = -EINVAL;
    json_array_foreach (list, i, entry)
        add_entry(u, entry);
    json_decref(list);
    free(path);
    return failed;
}

void units_free(struct units *u)
{
    for (u32 i = 0; i < u->n; i++) {
        struct unit *unit = &u->at[i];
        for (u32 k = 0; k < unit->nargs; k++)
            free(unit->args[k]);
        free(unit->args);
        free(unit->folder);
        free(unit->file);
        free(unit->result);
        free(unit->problem);
    }
    free(u->at);
    *u = (struct units){0};
}
