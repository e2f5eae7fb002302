/* `snarl inspect`: a hung program that was started without snarl, or a core. Takes no locks; allocates with malloc. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/arena.h"
#include "cli.h"
#include "folder.h"
#include "hang/hang.h"
#include "inspect/inspect.h"
#include "report/buffer.h"
#include "report/collect.h"
#include "report/label.h"

#define MAX_NAMED 4

static const struct settings_verb verb = {
    .name = "inspect",
    .arguments = "PID|CORE...",
    .text = "Explains a program that hangs, though it was not started by snarl: every thread, what it waits for, and "
            "who has "
            "that. Several processes at once may wait for each other. A CORE is as good as the program. Nothing in the "
            "process is changed; it goes on as it was.",
    .examples =
        "Examples:\n"
        "  snarl inspect 1234\n"
        "  snarl inspect $(pidof server)\n"
        "  snarl inspect --json=result.json core.1234\n\n"
        "Exit status: 0, or 66 when there is a finding that counts; 2 when there is no such process or file, or no "
        "right to look at it.",
    .least = 1,
    .most = 1000,
};

/* Who has the other end of a descriptor. */
static void put_far_end(struct buffer *b, const json_t *d, const char *verb)
{
    const json_t *others = json_object_get(d, "others"), *o;
    bool socket = strncmp(label_text(d, "file"), "socket:", 7) == 0;
    bool lock = strncmp(label_text(d, "for"), "file lock", 9) == 0;
    size_t i;
    if (*label_text(d, "remote"))
        buffer_print(b, ", connected to %s", label_text(d, "remote"));
    if (json_is_true(json_object_get(d, "alone")))
        buffer_print(b, socket ? ", whose other end is in no other process" : ", which no other process can %s", verb);
    json_array_foreach (others, i, o) {
        if (i == MAX_NAMED) {
            buffer_print(b, " and %zu more", json_array_size(others) - i);
            break;
        }
        buffer_print(b, "%s%lld (%s)",
                     i        ? ", "
                     : lock   ? ", locked by process "
                     : socket ? ", whose other end has process "
                              : ", which is open in process ",
                     (long long)label_number(o, "pid"), label_text(o, "name"));
    }
}

static void put_descriptor(struct buffer *b, const json_t *d, const char *verb)
{
    buffer_print(b, "%lld", (long long)label_number(d, "descriptor"));
    if (*label_text(d, "file"))
        buffer_print(b, " (%s)", label_text(d, "file"));
    put_far_end(b, d, verb);
}

static void put_watched(struct buffer *b, const json_t *watched)
{
    const json_t *d;
    size_t i;
    json_array_foreach (watched, i, d) {
        buffer_put(b, "\n      on ");
        put_descriptor(b, d, "write to");
    }
}

/* What a thread does, and where: the same for all threads of a pool. malloc'd. */
static char *activity(const json_t *t, const struct text_options *o)
{
    struct text x = {{0}, o};
    struct buffer *b = &x.out;
    const json_t *wait = json_object_get(t, "wait");
    const char *what = label_text(wait, "for"), *object = label_text(wait, "object");
    const char *call = label_text(wait, "call");
    if (*call)
        buffer_print(b, "waiting in %s%s", call, *object ? " of" : "");
    else
        buffer_print(b, strcmp(what, "running") == 0 ? "%s" : "waiting for %s", what);
    if (*object)
        buffer_print(b, " %s", label_short(object));
    if (json_object_get(wait, "owner"))
        buffer_print(b, strcmp(what, "the end of a thread") == 0 ? ", T%lld" : ", which T%lld has",
                     (long long)label_number(wait, "owner"));
    if (json_object_get(wait, "owner_gone"))
        buffer_print(b, ", which thread %lld had, and that has ended", (long long)label_number(wait, "owner_gone"));
    if (json_object_get(wait, "descriptor")) {
        buffer_put(b, ", descriptor ");
        put_descriptor(b, wait, strcmp(what, "room to write") == 0 ? "read from" : "write to");
    }
    put_watched(b, json_object_get(wait, "watched"));
    if (json_object_get(wait, "pid"))
        buffer_print(b, ", process %lld", (long long)label_number(wait, "pid"));
    if (json_object_get(wait, "timed"))
        buffer_put(b, ", with a time limit");
    buffer_put(b, "\n");
    text_stack(&x, json_object_get(t, "stack"), 6);
    return buffer_take(b);
}

static void put_who(struct buffer *b, const json_t *t, const char *program)
{
    const char *name = label_text(t, "name");
    buffer_print(b, "T%lld", (long long)label_number(t, "thread"));
    if (json_is_true(json_object_get(t, "main")))
        buffer_put(b, " (main)");
    else if (*name && strncmp(program, name, strlen(name)) != 0)
        buffer_print(b, " (%s)", name);
}

/* Threads that do the same are told once. */
static void put_threads(struct buffer *b, const json_t *threads, const char *program, const struct text_options *o)
{
    size_t n = json_array_size(threads), same;
    char **does = calloc(n + 1, sizeof *does);
    if (!does)
        abort();
    for (size_t i = 0; i < n; i++)
        does[i] = activity(json_array_get(threads, i), o);
    for (size_t i = 0; i < n; i++) {
        if (!does[i])
            continue;
        buffer_put(b, "  ");
        put_who(b, json_array_get(threads, i), program);
        same = 1;
        for (size_t k = i + 1; k < n; k++)
            if (does[k] && strcmp(does[i], does[k]) == 0) {
                if (++same <= MAX_NAMED) {
                    buffer_put(b, ", ");
                    put_who(b, json_array_get(threads, k), program);
                }
                free(does[k]);
                does[k] = NULL;
            }
        if (same > MAX_NAMED)
            buffer_print(b, " and %zu more", same - MAX_NAMED);
        buffer_print(b, ": %s", does[i]);
        free(does[i]);
    }
    free(does);
}

static void put_subject(struct buffer *b, const json_t *s, const struct text_options *o)
{
    const char *exe = label_text(s, "exe"), *slash = strrchr(exe, '/');
    const json_t *threads = json_object_get(s, "threads");
    size_t n = json_array_size(threads);
    buffer_print(b, "process %lld%s%s, %zu thread%s\n", (long long)label_number(s, "pid"), *exe ? ", " : "", exe, n,
                 n == 1 ? "" : "s");
    if (json_object_get(s, "python_unknown"))
        buffer_print(b,
                     "  Python %s is in it, whose frames snarl cannot read (it knows release builds of 3.9 to 3.13): "
                     "stacks show the interpreter's own functions\n",
                     label_text(s, "python"));
    put_threads(b, threads, slash ? slash + 1 : exe, o);
    buffer_put(b, "\n");
}

/* False: one of them could not be looked at (said). */
static bool check(const json_t *seen)
{
    const json_t *s;
    size_t i;
    bool good = true;
    json_array_foreach (seen, i, s)
        if (*label_text(s, "error")) {
            cli_say("%s", label_text(s, "error"));
            good = false;
        }
    return good;
}

static bool has_core(const json_t *seen)
{
    const json_t *s;
    size_t i;
    json_array_foreach (seen, i, s)
        if (label_text(s, "subject")[strspn(label_text(s, "subject"), "0123456789")])
            return true;
    return false;
}

static bool has_stuck(const json_t *document)
{
    const json_t *f;
    size_t i;
    json_array_foreach (json_object_get(document, "findings"), i, f)
        if (strcmp(label_text(f, "kind"), "stuck") == 0)
            return true;
    return false;
}

static bool show(const struct settings *s, const json_t *document, const json_t *seen)
{
    int fd = output_takes_stdout(s) ? STDERR_FILENO : STDOUT_FILENO;
    struct text_options o = output_text_options(s, s->log ? -1 : fd);
    struct buffer b = {0};
    const json_t *subject;
    size_t i;
    json_array_foreach (seen, i, subject)
        if (!s->quiet)
            put_subject(&b, subject, &o);
    char *text = text_report(document, &o);
    buffer_put(&b, text);
    free(text);
    if (has_core(seen) && has_stuck(document))
        buffer_put(&b, "snarl: a core does not say which signals the program handles: if a handler posts or wakes, "
                       "it was not stuck\n");
    text = buffer_take(&b);
    bool good = output_text(s, text, fd, false);
    free(text);
    return good;
}

static int inspect(struct settings *s, int n, char **subjects)
{
    s->run.on_deadlock = ON_DEADLOCK_REPORT;
    s->run.detect = DETECT_DEADLOCK | DETECT_MISUSE;
    char *folder = folder_create(&s->run);
    if (!folder)
        return STATUS_TROUBLE;
    json_t *seen = inspect_look(subjects, (size_t)n);
    int status = STATUS_USAGE;
    hang_look_twice(inspect_saw);
    if (check(seen) && output_check(s)) { /* a result that is there stays when there is nothing to say */
        struct collect_input in = {.without_graph = true};
        json_t *document = collect_document(&in);
        json_object_set(document, "inspected", seen);
        size_t counting = judge(s, document);
        bool good = output_files(s, document, NULL, NULL) && show(s, document, seen);
        status = good ? output_status(s, counting) : STATUS_TROUBLE;
        json_decref(document);
    }
    json_decref(seen);
    arena_close();
    folder_remove(folder);
    free(folder);
    return status;
}

int cli_inspect(int argc, char **argv)
{
    struct settings s;
    int status;
    if (settings_parse(&s, &verb, argc, argv, &status))
        return status;
    return inspect(&s, argc - s.first, argv + s.first);
}
