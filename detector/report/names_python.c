/* Classes of Python locks: what the program calls them, read from the line that makes them. Called by names_lock.c.
 * Takes no locks; allocates with malloc; reads .py files.
 *
 * `lock_a = threading.Lock()` at a module's top level is "file.py:lock_a", `self.lock = Lock()` in Account.__init__ is
 * "file.py:Account.lock" ("file.py:self.lock" where only the bare name of the function is known). Without a readable
 * source line the function stands with the line's rank within it: "file.py:make#1". */
#include <ctype.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "escape.h"
#include "names_internal.h"

#define MAX_SOURCE (4L << 20)

bool names_python_library(const char *file)
{
    const char *lib = strstr(file, "/lib/python");
    if (file[0] == '<')
        return strncmp(file, "<frozen", 7) == 0;
    return lib && !strstr(lib, "/site-packages/") && !strstr(lib, "/dist-packages/");
}

/* The whole file, malloc'd; NULL when it cannot be read. Never blocks: what the name stands for may be anything by
 * now. */
static char *source_text(const char *path)
{
    struct stat st;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0)
        return NULL;
    char *text = NULL;
    if (fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && st.st_size <= MAX_SOURCE) {
        text = view_alloc((size_t)st.st_size + 1);
        ssize_t got = read(fd, text, (size_t)st.st_size);
        text[got > 0 ? got : 0] = 0;
    }
    close(fd);
    return text;
}

/* The start of a line, counted from 1; NULL past the end. */
static const char *line_at(const char *text, u32 line)
{
    for (; text && line > 1; line--) {
        text = strchr(text, '\n');
        text = text ? text + 1 : NULL;
    }
    return text;
}

/* The target of the assignment on this line ("lock", "self.lock", "locks['a']"), malloc'd; NULL when there is none. */
static char *assigned_name(const char *line)
{
    while (isspace((unsigned char)*line))
        line++;
    const char *end = line;
    int depth = 0;
    for (; *end && *end != '\n' && *end != '#'; end++) {
        depth += (*end == '[') - (*end == ']');
        if (depth == 0 && (*end == '=' || *end == ':' || *end == ',' || *end == '('))
            break;
    }
    if (*end == ':' && end[1] != '=') { /* annotated: "lock: Lock = Lock()" */
        const char *equals = strchr(end, '=');
        if (!equals || equals[1] == '=')
            return NULL;
    } else if (*end != '=' || end[1] == '=') {
        return NULL;
    }
    while (end > line && isspace((unsigned char)end[-1]))
        end--;
    for (const char *p = line; p < end; p++)
        if (!isalnum((unsigned char)*p) && !strchr("_.[]'\"", *p) && !((unsigned char)*p & 0x80))
            return NULL;
    return end > line && (isalpha((unsigned char)*line) || *line == '_') ? strndup(line, (size_t)(end - line)) : NULL;
}

static bool in_line(const char *line, const char *word)
{
    const char *end = strchr(line, '\n'), *hit = strstr(line, word);
    return hit && (!end || hit < end);
}

/* Which of the function's lines that make a lock this one is, from 1: edits elsewhere do not change it. 0 without the
 * source. */
static u32 rank_in_function(const char *text, u32 line, const char *function)
{
    const char *dot = strrchr(function, '.');
    char def[256];
    snprintf(def, sizeof def, "def %s(", dot ? dot + 1 : function);
    u32 rank = 0, first = 1;
    for (u32 at = line; at > 1 && line - at < 1000 && first == 1; at--)
        if (line_at(text, at) && in_line(line_at(text, at), def))
            first = at;
    for (u32 at = first; at <= line && line_at(text, at); at++)
        rank += at == line || in_line(line_at(text, at), "Lock(");
    return rank;
}

/* Whose lock it is: the innermost frame of the program's own, unless the lock is made by importing a library, or by
 * importing as such. Without either the innermost one. */
static bool maker_frame(const struct view_stack *s, struct py_frame *out)
{
    bool found = false, final = false;
    for (u32 i = 0; i < s->n && !final; i++) {
        struct py_frame p;
        if (!(s->frame[i] & FRAME_PYTHON) || !view_get((ref_t)s->frame[i], &p, sizeof p))
            continue;
        char *file = view_string_raw(p.file), *function = view_string_raw(p.function);
        bool library = names_python_library(file), importing = strncmp(file, "<frozen importlib", 17) == 0;
        final = !library || importing || strcmp(function, "<module>") == 0;
        if (!found || (final && !importing))
            *out = p;
        found = true;
        free(function);
        free(file);
    }
    return found;
}

static size_t indent_of(const char *line)
{
    size_t n = 0;
    while (line[n] == ' ' || line[n] == '\t')
        n++;
    return n;
}

/* The class that the method of this line stands in, for interpreters that do not tell (before 3.11): the nearest
 * "class" line above that is indented less than the "def" above. NULL without one. */
static char *enclosing_class(const char *text, u32 line)
{
    size_t def = 0;
    for (u32 at = line; at > 1 && line - at < 1000; at--) {
        const char *s = line_at(text, at - 1);
        size_t indent = s ? indent_of(s) : 0;
        if (s && !def && strncmp(s + indent, "def ", 4) == 0) {
            def = indent;
            if (!def)
                return NULL;
        } else if (s && def && indent < def && strncmp(s + indent, "class ", 6) == 0) {
            s += indent + 6;
            size_t n = 0;
            while (isalnum((unsigned char)s[n]) || s[n] == '_' || ((unsigned char)s[n] & 0x80))
                n++;
            return n ? strndup(s, n) : NULL;
        }
    }
    return NULL;
}

/* "make.<locals>.<listcomp>" -> "make": what a comprehension makes belongs to the function that it stands in. In
 * place. */
static void plain_function(char *name)
{
    static const char *const inner[] = {"<listcomp>", "<setcomp>", "<dictcomp>", "<genexpr>", "<locals>"};
    for (bool again = true; again;) {
        char *dot = strrchr(name, '.'), *last = dot ? dot + 1 : name;
        again = false;
        for (size_t i = 0; i < sizeof inner / sizeof *inner && !again; i++)
            again = strcmp(last, inner[i]) == 0;
        if (again && !dot)
            again = false, strcpy(name, "<module>"); /* no longer than the shortest of them */
        else if (again)
            *dot = 0;
    }
}

bool names_python_lock(const struct view_stack *stack, char **class, char **file, u32 *line)
{
    struct py_frame p = {0};
    if (!maker_frame(stack, &p))
        return false;
    char *path = view_string_raw(p.file), *function = view_string_raw(p.function);
    plain_function(function);
    const char *base = strrchr(path, '/') ? strrchr(path, '/') + 1 : path;
    char *source = p.line ? source_text(path) : NULL, *text = NULL;
    const char *made = line_at(source, p.line);
    char *target = made ? assigned_name(made) : NULL;
    bool top = strcmp(function, "<module>") == 0;
    int length;
    char *method = strrchr(function, '.'); /* qualified: Account.__init__ */
    bool of_self = target && strncmp(target, "self.", 5) == 0;
    char *class_name = !of_self ? NULL
                       : method ? strndup(function, (size_t)(method - function))
                                : enclosing_class(source, p.line);
    if (of_self)
        length = asprintf(&text, "%s:%s%s", base, class_name ? class_name : "", target + (class_name ? 4 : 0));
    else if (target)
        length = asprintf(&text, "%s:%s%s%s", base, top ? "" : function, top ? "" : ".", target);
    else
        length = asprintf(&text, "%s:%s#%u", base, function, made ? rank_in_function(source, p.line, function) : 0);
    if (length < 0)
        abort();
    *class = escape_text(text, strlen(text));
    *file = escape_text(path, strlen(path));
    *line = p.line;
    free(text);
    free(class_name);
    free(target);
    free(source);
    free(function);
    free(path);
    return true;
}
