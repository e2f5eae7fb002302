/* Lines of source files. Called by the HTML renderer. Takes no locks; allocates with malloc. */
#include "source.h"

#include <fcntl.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "buffer.h"
#include "escape.h"
#include "markup.h"
#include "place.h"

#define MAX_FILE (8u << 20)
#define MAX_BYTES (256u << 20) /* of all files together */
#define MAX_COLUMNS 400
#define TAB 4

static bool named_like_source(const char *path)
{
    static const char *const endings[] = {".c", ".h",  ".cc",  ".hh",  ".cpp", ".hpp", ".cxx", ".hxx", ".c++", ".h++",
                                          ".C", ".H",  ".inc", ".inl", ".ipp", ".tcc", ".py",  ".pyx", ".rs",  ".go",
                                          ".m", ".mm", ".cu",  ".s",   ".S",   ".l",   ".y",   ".f90", ".d",   ".zig"};
    const char *slash = strrchr(path, '/'), *dot = strrchr(slash ? slash : path, '.');
    for (size_t i = 0; dot && i < sizeof endings / sizeof *endings; i++)
        if (strcmp(dot, endings[i]) == 0)
            return true;
    return false;
}

/* malloc'd, ended by a zero byte; NULL when it cannot be read. */
static char *read_text(const char *path, size_t *n)
{
    struct stat st;
    int fd = named_like_source(path) ? open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY) : -1;
    if (fd < 0)
        return NULL;
    char *text = NULL;
    if (fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && st.st_size > 0 && (size_t)st.st_size <= MAX_FILE) {
        size_t size = (size_t)st.st_size;
        ssize_t k = 1;
        text = malloc(size + 1);
        if (!text)
            abort();
        for (*n = 0; *n < size && (k = read(fd, text + *n, size - *n)) > 0;)
            *n += (size_t)k;
        text[*n] = 0;
        if (k < 0 || memchr(text, 0, *n)) {
            free(text);
            text = NULL;
        }
    }
    close(fd);
    return text;
}

static void split(struct source_file *f)
{
    size_t lines = 1;
    for (const char *p = f->text; *p; p++)
        lines += *p == '\n';
    f->line = calloc(lines + 1, sizeof *f->line);
    if (!f->line)
        abort();
    for (char *p = f->text; p;) {
        char *end = strchr(p, '\n');
        if (*p || end)
            f->line[f->lines++] = p;
        if (end)
            *end++ = 0;
        p = end;
    }
}

static struct source_file *file_of(struct source *s, const char *path)
{
    for (size_t i = s->files; i-- > 0;) /* the latest first: findings of one file stand together */
        if (strcmp(s->file[i].path, path) == 0)
            return &s->file[i];
    s->file = realloc(s->file, (s->files + 1) * sizeof *s->file);
    if (!s->file)
        abort();
    struct source_file *f = &s->file[s->files++];
    *f = (struct source_file){.path = strdup(path)};
    size_t n = 0;
    char *full = NULL;
    if (path[0] != '/') { /* as the compiler was told it, from the root of the sources */
        struct buffer b = {0};
        buffer_print(&b, "%s/%s", place_root(), path);
        full = buffer_take(&b);
    }
    f->text = s->bytes < MAX_BYTES ? read_text(full ? full : path, &n) : NULL;
    free(full);
    if (f->text)
        split(f);
    s->bytes += n;
    return f;
}

char *source_line(struct source *s, const char *path, size_t number)
{
    const struct source_file *f = file_of(s, path);
    struct buffer b = {0};
    if (!number || number > f->lines)
        return NULL;
    for (const char *p = f->line[number - 1]; *p && b.length < (size_t)MAX_COLUMNS * 4; p++) {
        if (*p == '\t')
            buffer_print(&b, "%*s", (int)(TAB - b.length % TAB), "");
        else if (*p != '\r' || p[1])
            buffer_add(&b, p, 1);
    }
    char *raw = buffer_take(&b), *safe = escape_text(raw, strlen(raw)), *line = markup_clip(safe, MAX_COLUMNS);
    free(raw);
    free(safe);
    return line;
}

void source_free(struct source *s)
{
    for (size_t i = 0; i < s->files; i++) {
        free(s->file[i].path);
        free(s->file[i].text);
        free(s->file[i].line);
    }
    free(s->file);
}
