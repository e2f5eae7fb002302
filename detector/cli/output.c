/* Where results go: files, logs, the terminal. Called by the verbs run and report. Takes no locks; allocates with
 * malloc. */
#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli.h"
#include "report/format.h"
#include "report/graph.h"
#include "report/label.h"

bool output_color(const struct settings *s, int fd)
{
    const char *no = getenv("NO_COLOR"), *term = getenv("TERM");
    if (s->color)
        return s->color == 1;
    return isatty(fd) && !(no && *no) && !(term && strcmp(term, "dumb") == 0);
}

struct text_options output_text_options(const struct settings *s, int fd)
{
    return (struct text_options){output_color(s, fd), s->verbose, s->quiet, cli_width(fd)};
}

/* %p is a process id, %% a percent sign; anything else stands for itself. malloc'd. */
static char *file_name(const char *pattern, json_int_t pid)
{
    struct buffer b = {0};
    for (; *pattern; pattern++) {
        if (pattern[0] == '%' && pattern[1] == 'p') {
            buffer_print(&b, "%lld", (long long)pid);
            pattern++;
        } else {
            if (pattern[0] == '%' && pattern[1] == '%')
                pattern++;
            buffer_add(&b, pattern, 1);
        }
    }
    return buffer_take(&b);
}

static bool per_process(const char *pattern)
{
    for (; pattern && *pattern; pattern++) {
        if (pattern[0] == '%' && pattern[1] == 'p')
            return true;
        pattern += pattern[0] == '%' && pattern[1] == '%';
    }
    return false;
}

/* The further outputs: a format each, and the file it goes to. */
static const struct output {
    const char *format;
    size_t file; /* offset in struct settings */
} outputs[] = {
    {"json", offsetof(struct settings, json)},   {"sarif", offsetof(struct settings, sarif)},
    {"junit", offsetof(struct settings, junit)}, {"html", offsetof(struct settings, html)},
    {"dot", offsetof(struct settings, dot)},     {"svg", offsetof(struct settings, svg)},
};

static const char *file_of(const struct settings *s, const struct output *o)
{
    return *(const char *const *)((const char *)s + o->file);
}

/* Tried now: better to hear of it than after an hour. */
static bool check_file(const char *option, const char *pattern)
{
    if (!pattern || strcmp(pattern, "-") == 0 || per_process(pattern))
        return true;
    char *name = file_name(pattern, 0);
    int err = write_check(name);
    if (err)
        cli_say("--%s: cannot write %s: %s", option, name, strerror(-err));
    free(name);
    return !err;
}

bool output_check(const struct settings *s)
{
    bool good = true;
    for (size_t i = 0; i < ARRAY_LEN(outputs); i++) {
        const char *file = file_of(s, &outputs[i]);
        good = check_file(outputs[i].format, file) && good;
        for (size_t k = 0; file && k < i; k++)
            if (file_of(s, &outputs[k]) && strcmp(file_of(s, &outputs[k]), file) == 0) {
                cli_say("--%s and --%s both want %s", outputs[k].format, outputs[i].format,
                        strcmp(file, "-") == 0 ? "standard output" : file);
                good = false;
            }
    }
    return check_file("log", s->log) && good;
}

char *output_render(const char *format, const json_t *document)
{
    if (strcmp(format, "svg") == 0) {
        char *dot = graph_dot(document), *svg = graphviz_svg(dot);
        free(dot);
        if (svg)
            return svg;
    }
    return format_find(format)->render(document);
}

static bool write_one(const char *format, const char *pattern, const json_t *document, json_int_t pid)
{
    char *name = file_name(pattern, pid), *text = output_render(format, document);
    int err = write_file(name, text, strlen(text));
    if (err)
        cli_say("--%s: cannot write %s: %s", format, strcmp(name, "-") == 0 ? "standard output" : name, strerror(-err));
    free(text);
    free(name);
    return !err;
}

static bool write_all(const char *format, const char *pattern, const json_t *document,
                      json_t *(*of_process)(unsigned, void *), void *arg)
{
    const json_t *processes = json_object_get(json_object_get(document, "run"), "process_list"), *p;
    size_t i;
    bool good = true;
    if (!pattern)
        return true;
    if (!per_process(pattern) || !of_process)
        return write_one(format, pattern, document, label_number(json_object_get(document, "run"), "pid"));
    json_array_foreach (processes, i, p) {
        json_t *part = of_process((unsigned)label_number(p, "process"), arg);
        good &= write_one(format, pattern, part, label_number(p, "pid"));
        json_decref(part);
    }
    return good;
}

bool output_wants_graph(const struct settings *s)
{
    for (size_t i = 0; i < ARRAY_LEN(outputs); i++)
        if (file_of(s, &outputs[i]) && format_find(outputs[i].format)->graph)
            return true;
    if (s->baseline)
        return true;
    const struct format *format = s->format ? format_find(s->format) : NULL;
    return s->baseline || (format && format->graph);
}

bool output_takes_stdout(const struct settings *s)
{
    for (size_t i = 0; i < ARRAY_LEN(outputs); i++)
        if (file_of(s, &outputs[i]) && strcmp(file_of(s, &outputs[i]), "-") == 0)
            return true;
    return false;
}

/* Commands begin a line, whatever the program's last words were. */
static bool write_remarks(const json_t *document)
{
    struct buffer b = {0};
    char *text = output_render("github", document);
    buffer_print(&b, "%s%s", *text ? "\n" : "", text);
    int err = write_file("-", b.text, b.length);
    if (err)
        cli_say("--github: cannot write standard output: %s", strerror(-err));
    free(text);
    free(buffer_take(&b));
    return !err;
}

bool output_files(const struct settings *s, const json_t *document, json_t *(*of_process)(unsigned, void *), void *arg)
{
    bool good = true;
    for (size_t i = 0; i < ARRAY_LEN(outputs); i++)
        good &= write_all(outputs[i].format, file_of(s, &outputs[i]), document, of_process, arg);
    return (!s->github || write_remarks(document)) && good;
}

bool output_text(const struct settings *s, const char *text, int fd, bool append)
{
    size_t n = strlen(text);
    int err = 0, log = -1;
    if (s->log) {
        char *name = file_name(s->log, getpid());
        log = open(name, O_WRONLY | O_CREAT | O_CLOEXEC | (append ? O_APPEND : O_TRUNC), 0666);
        if (log < 0)
            cli_say("--log: cannot write %s: %s", name, strerror(errno));
        free(name);
    }
    int to = log >= 0 ? log : fd;
    while (n && !err) {
        ssize_t k = write(to, text, n);
        if (k > 0) {
            text += k;
            n -= (size_t)k;
        } else if (errno != EINTR) {
            err = errno;
        }
    }
    if (log >= 0 && close(log) < 0 && !err)
        err = errno;
    if (log < 0 && fd == STDERR_FILENO && (err == EBADF || err == EPIPE))
        err = 0; /* nobody reads it: their choice, the status still tells */
    if (err)
        cli_say("%s%s: %s", log >= 0 ? "--log: cannot write " : "cannot write ",
                log >= 0              ? s->log
                : fd == STDERR_FILENO ? "standard error"
                                      : "standard output",
                strerror(err));
    return !err && (!s->log || log >= 0);
}

int output_status(const struct settings *s, size_t counting)
{
    return counting ? (int)s->run.exit_code : 0;
}
