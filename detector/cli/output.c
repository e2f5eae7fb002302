/* Where results go: files, logs, the terminal. Called by the verbs run and report. Takes no locks; allocates with
 * malloc. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli.h"
#include "report/document.h"
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

/* Opened and closed again: better to hear of it now than after an hour. */
static bool check_file(const char *option, const char *pattern)
{
    if (!pattern || strcmp(pattern, "-") == 0 || per_process(pattern))
        return true;
    char *name = file_name(pattern, 0);
    int fd = open(name, O_WRONLY | O_CREAT | O_CLOEXEC, 0666);
    if (fd < 0)
        cli_say("--%s: cannot write %s: %s", option, name, strerror(errno));
    else
        close(fd);
    free(name);
    return fd >= 0;
}

bool output_check(const struct settings *s)
{
    return check_file("json", s->json) && check_file("dot", s->dot) && check_file("log", s->log);
}

static bool write_one(const char *option, const char *pattern, const json_t *document, json_int_t pid, bool dot)
{
    char *name = file_name(pattern, pid);
    int err;
    if (dot) {
        char *text = graph_dot(document);
        err = document_write_text(text, strlen(text), name);
        free(text);
    } else {
        err = document_write(document, name);
    }
    if (err)
        cli_say("--%s: cannot write %s: %s", option, name, strerror(-err));
    free(name);
    return !err;
}

static bool write_all(const char *option, const char *pattern, const json_t *document, bool dot,
                      json_t *(*of_process)(unsigned, void *), void *arg)
{
    const json_t *processes = json_object_get(json_object_get(document, "run"), "process_list"), *p;
    size_t i;
    bool good = true;
    if (!pattern)
        return true;
    if (!per_process(pattern) || !of_process)
        return write_one(option, pattern, document, label_number(json_object_get(document, "run"), "pid"), dot);
    json_array_foreach (processes, i, p) {
        json_t *part = of_process((unsigned)label_number(p, "process"), arg);
        good &= write_one(option, pattern, part, label_number(p, "pid"), dot);
        json_decref(part);
    }
    return good;
}

bool output_wants_graph(const struct settings *s)
{
    return s->json || s->dot || s->baseline || (s->format && strcmp(s->format, "text") != 0);
}

bool output_files(const struct settings *s, const json_t *document, json_t *(*of_process)(unsigned, void *), void *arg)
{
    bool json = write_all("json", s->json, document, false, of_process, arg);
    return write_all("dot", s->dot, document, true, of_process, arg) && json;
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
    if (log >= 0)
        close(log);
    else if (fd == STDERR_FILENO && (err == EBADF || err == EPIPE))
        err = 0; /* nobody reads it: their choice, the status still tells */
    return !err && (!s->log || log >= 0);
}

int output_status(const struct settings *s, size_t counting)
{
    return counting ? (int)s->run.exit_code : 0;
}
