/* `snarl inspect`: a hung program that was started without snarl, or a core. Takes no locks; allocates with malloc. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "cli.h"
#include "folder.h"
#include "inspect/inspect.h"
#include "report/buffer.h"
#include "report/collect.h"
#include "report/label.h"

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

static void put_wait(struct buffer *b, const json_t *wait)
{
    const char *what = label_text(wait, "for");
    buffer_print(b, strcmp(what, "runs") == 0 ? "%s" : "waits for %s", what);
    if (json_object_get(wait, "owner"))
        buffer_print(b, " (T%lld has it)", (long long)label_number(wait, "owner"));
    if (json_object_get(wait, "owner_gone"))
        buffer_print(b, " (thread %lld had it, which has ended)", (long long)label_number(wait, "owner_gone"));
    if (json_object_get(wait, "descriptor"))
        buffer_print(b, ", descriptor %lld", (long long)label_number(wait, "descriptor"));
    if (*label_text(wait, "file"))
        buffer_print(b, " (%s)", label_text(wait, "file"));
    if (json_object_get(wait, "pid"))
        buffer_print(b, " %lld", (long long)label_number(wait, "pid"));
    if (json_object_get(wait, "timed"))
        buffer_put(b, ", with a time limit");
    buffer_put(b, "\n");
}

static void put_thread(struct buffer *b, const json_t *t, bool verbose)
{
    const json_t *stack = json_object_get(t, "stack"), *f;
    size_t i;
    buffer_print(b, "  T%lld (%s), %lld: ", (long long)label_number(t, "thread"), label_text(t, "name"),
                 (long long)label_number(t, "tid"));
    put_wait(b, json_object_get(t, "wait"));
    json_array_foreach (stack, i, f) {
        const char *function = label_text(f, "function");
        if (i == 12 && !verbose) {
            buffer_print(b, "      … %zu more (--verbose)\n", json_array_size(stack) - i);
            break;
        }
        buffer_print(b, "      #%-2zu %s%s%s\n", i, *function ? function : label_text(f, "module"),
                     *function ? "" : "+", *function ? "" : label_text(f, "offset"));
    }
}

static void put_subject(struct buffer *b, const json_t *s, bool verbose)
{
    const json_t *t;
    size_t i;
    buffer_print(b, "process %lld, %s, %zu threads\n", (long long)label_number(s, "pid"), label_text(s, "exe"),
                 json_array_size(json_object_get(s, "threads")));
    json_array_foreach (json_object_get(s, "threads"), i, t)
        put_thread(b, t, verbose);
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

static bool show(const struct settings *s, const json_t *document, const json_t *seen)
{
    struct text_options o = output_text_options(s, s->log ? -1 : 1);
    struct buffer b = {0};
    const json_t *subject;
    size_t i;
    json_array_foreach (seen, i, subject)
        if (!s->quiet)
            put_subject(&b, subject, s->verbose);
    char *text = text_report(document, &o);
    buffer_put(&b, text);
    free(text);
    text = buffer_take(&b);
    bool good = output_text(s, text, 1, false);
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
    if (check(seen)) {
        struct collect_input in = {.without_graph = true};
        json_t *document = collect_document(&in);
        json_object_set(document, "inspected", seen);
        size_t counting = fail_on_apply(&s->fail_on, document);
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
    if (!output_check(&s))
        return STATUS_USAGE;
    return inspect(&s, argc - s.first, argv + s.first);
}
