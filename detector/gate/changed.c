/* Lines changed since a revision. Called by gate.c and the verb check. Takes no locks; allocates with malloc; starts
 * git. */
#include "changed.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "report/buffer.h"
#include "report/escape.h"
#include "report/label.h"
#include "report/view.h"
#include "tree.h"

#define MAX_ANSWER (256u << 20)
#define MAX_LINE 1000000000L

extern char **environ;

struct span {
    size_t file;
    long from, to;
};

struct changed {
    char *root;
    char **file;
    struct span *span;
    size_t nfiles, nspans;
};

/* ---- git ---- */

static char *read_all(int fd, size_t *n)
{
    size_t room = 65536;
    char *text = view_alloc(room);
    ssize_t got;
    *n = 0;
    while ((got = read(fd, text + *n, room - *n - 1)) > 0 || (got < 0 && errno == EINTR)) {
        *n += got > 0 ? (size_t)got : 0;
        if (*n + 1 == room && room < MAX_ANSWER) {
            room *= 2;
            text = realloc(text, room);
            if (!text)
                abort();
        }
        if (*n + 1 >= room)
            break;
    }
    text[*n] = 0;
    return text;
}

/* What git says to these arguments; NULL when it fails or is not there. */
static char *ask_git(const char *const *arguments, size_t *n)
{
    int ends[2], status;
    pid_t pid;
    posix_spawn_file_actions_t actions;
    if (pipe2(ends, O_CLOEXEC) < 0)
        return NULL;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_adddup2(&actions, ends[1], 1);
    posix_spawn_file_actions_addopen(&actions, 2, "/dev/null", O_WRONLY, 0);
    posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0);
    int err = posix_spawnp(&pid, "git", &actions, NULL, (char *const *)(uintptr_t)arguments, environ);
    posix_spawn_file_actions_destroy(&actions);
    close(ends[1]);
    char *text = err ? NULL : read_all(ends[0], n);
    close(ends[0]);
    while (!err && waitpid(pid, &status, 0) < 0)
        if (errno != EINTR)
            err = errno;
    if (!err && WIFEXITED(status) && WEXITSTATUS(status) == 0)
        return text;
    free(text);
    return NULL;
}

/* The answer's first line, malloc'd, or NULL. */
static char *ask_line(const char *const *arguments)
{
    size_t n;
    char *text = ask_git(arguments, &n);
    if (text)
        text[strcspn(text, "\n")] = 0;
    return text;
}

char *changed_root(void)
{
    static const char *const top[] = {"git", "rev-parse", "--show-toplevel", NULL};
    return ask_line(top);
}

/* ---- a diff ---- */

static size_t add_file(struct changed *c, const char *name, size_t n)
{
    c->file = realloc(c->file, (c->nfiles + 1) * sizeof *c->file);
    if (!c->file)
        abort();
    c->file[c->nfiles] = view_alloc(n + 1);
    memcpy(c->file[c->nfiles], name, n);
    return c->nfiles++;
}

static void add_span(struct changed *c, size_t file, long from, long to)
{
    c->span = realloc(c->span, (c->nspans + 1) * sizeof *c->span);
    if (!c->span)
        abort();
    c->span[c->nspans++] = (struct span){file, from, to};
}

static long line_number(const char *text, char **end)
{
    long n = strtol(text, end, 10);
    return n < 0 ? 0 : n < MAX_LINE ? n : MAX_LINE;
}

/* "@@ -1,2 +3,4 @@": lines 3 to 6 are new. Of lines that went away the ones around them tell. */
static void add_hunk(struct changed *c, const char *line)
{
    const char *plus = strchr(line, '+');
    char *end;
    if (!plus || !c->nfiles)
        return;
    long from = line_number(plus + 1, &end), count = *end == ',' ? line_number(end + 1, &end) : 1;
    add_span(c, c->nfiles - 1, from, count > 0 ? from + count - 1 : from + 1);
}

/* Lines of the hunk at hand that are text, not heads. */
static long hunk_lines(const char *line)
{
    long n = 0;
    for (const char *p = line + 3; *p == '-' || *p == '+';) {
        char *end;
        line_number(p + 1, &end);
        n += *end == ',' ? line_number(end + 1, &end) : 1;
        p = *end == ' ' ? end + 1 : end;
        if (p == end)
            break;
    }
    return n;
}

static void parse_line(struct changed *c, const char *line, long *text_lines)
{
    if (*text_lines > 0 && strchr("+- ", *line)) {
        --*text_lines;
    } else if (strncmp(line, "+++ ", 4) == 0) {
        const char *name = line + 4;
        add_file(c, name, strcspn(name, "\t"));
    } else if (strncmp(line, "@@ ", 3) == 0) {
        add_hunk(c, line);
        *text_lines = hunk_lines(line);
    }
}

struct changed *changed_parse(const char *text, size_t n, const char *root)
{
    struct changed *c = view_alloc(sizeof *c);
    const char *end = text + n;
    long text_lines = 0;
    c->root = strdup(root);
    if (!c->root)
        abort();
    for (const char *p = text; p < end;) {
        const char *newline = memchr(p, '\n', (size_t)(end - p)), *stop = newline ? newline : end;
        char *line = strndup(p, (size_t)(stop - p));
        if (!line)
            abort();
        parse_line(c, line, &text_lines);
        free(line);
        p = stop + 1;
    }
    return c;
}

/* Files that are in no commit. */
static void add_unknown(struct changed *c)
{
    const char *const arguments[] = {"git", "-C", c->root, "ls-files", "--others", "--exclude-standard", "-z", NULL};
    size_t n = 0;
    char *text = ask_git(arguments, &n);
    for (size_t at = 0; text && at < n; at += strlen(text + at) + 1)
        add_span(c, add_file(c, text + at, strlen(text + at)), 1, MAX_LINE);
    free(text);
}

static struct changed *fail(const char *revision, const char *why, char *err, size_t errlen)
{
    char *safe = escape_text(revision, strlen(revision));
    snprintf(err, errlen, "%s: %s", safe, why);
    free(safe);
    return NULL;
}

struct changed *changed_load(const char *revision, char *err, size_t errlen)
{
    char *root = changed_root(), *commit = NULL;
    size_t n;
    if (!root)
        return fail(revision, "the current folder is in no git repository", err, errlen);
    const char *const base[] = {"git", "merge-base", "--", revision, "HEAD", NULL};
    struct buffer spec = {0};
    buffer_print(&spec, "%s^{commit}", revision);
    const char *const verify[] = {"git", "rev-parse", "--verify", "--quiet", "--end-of-options", spec.text, NULL};
    char *known = ask_line(verify);
    commit = known ? ask_line(base) : NULL; /* what others did since on that branch is not this change */
    if (!commit && known)
        commit = strdup(known);
    struct changed *c = NULL;
    if (commit) {
        const char *const diff[] = {"git",
                                    "-c",
                                    "core.quotepath=off",
                                    "diff",
                                    "-U0",
                                    "--no-color",
                                    "--no-ext-diff",
                                    "--no-relative",
                                    "--no-prefix",
                                    "-M",
                                    commit,
                                    "--",
                                    NULL};
        char *text = ask_git(diff, &n);
        if (text)
            add_unknown(c = changed_parse(text, n, root));
        free(text);
    }
    free(spec.text);
    free(known);
    free(commit);
    free(root);
    return c ? c : fail(revision, "git knows no such revision", err, errlen);
}

void changed_free(struct changed *c)
{
    for (size_t i = 0; c && i < c->nfiles; i++)
        free(c->file[i]);
    if (c) {
        free(c->file);
        free(c->span);
        free(c->root);
    }
    free(c);
}

/* ---- asked ---- */

bool changed_line(const struct changed *c, const char *file, long line)
{
    const char *inside = *file ? tree_path(c->root, file) : NULL;
    for (size_t i = 0; inside && i < c->nspans; i++)
        if (line >= c->span[i].from && line <= c->span[i].to && strcmp(c->file[c->span[i].file], inside) == 0)
            return true;
    return false;
}

static bool touches_stack(const struct changed *c, const json_t *stack)
{
    const json_t *frame;
    size_t i;
    json_array_foreach (stack, i, frame) {
        if (!json_is_true(json_object_get(frame, "system")) &&
            changed_line(c, label_text(frame, "file"), (long)label_number(frame, "line")))
            return true;
    }
    return false;
}

static bool touches_thing(const struct changed *c, const json_t *thing)
{
    const json_t *declared = json_object_get(thing, "declared");
    return changed_line(c, label_text(declared, "file"), (long)label_number(declared, "line")) ||
           touches_stack(c, json_object_get(thing, "born"));
}

bool changed_touches(const struct changed *c, const json_t *finding)
{
    const json_t *item, *held;
    size_t i, k;
    json_array_foreach (json_object_get(finding, "events"), i, item) {
        if (touches_stack(c, json_object_get(item, "stack")))
            return true;
        json_array_foreach (json_object_get(item, "held_at"), k, held) {
            if (touches_stack(c, json_object_get(held, "stack")))
                return true;
        }
    }
    json_array_foreach (json_object_get(finding, "locks"), i, item) {
        if (touches_thing(c, item))
            return true;
    }
    return touches_thing(c, json_object_get(finding, "memory"));
}
