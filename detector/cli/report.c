/* `snarl report`: a saved result, or the data of a run, shown again. Takes no locks; allocates with malloc. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/arena.h"
#include "cli.h"
#include "folder.h"
#include "report/collect.h"
#include "report/document.h"
#include "report/format.h"
#include "report/frame.h"

#define FORMATS "text, json, sarif, junit, html, dot, svg, github or gitlab"

static const struct settings_verb verb = {
    .name = "report",
    .arguments = "RESULT",
    .text = "Shows a result on standard output. RESULT is a file that `snarl run --json=FILE` wrote (- is standard "
            "input), or the folder of a run "
            "whose data was kept.",
    .examples = "Examples:\n"
                "  snarl report result.json\n"
                "  snarl report --verbose --color=always result.json | less -R\n"
                "  snarl report --format=html result.json > report.html\n"
                "  snarl report --sarif=snarl.sarif --junit=snarl.xml result.json\n\n"
                "Exit status: 0, or 66 when there is a finding that counts; 2 when RESULT is no result of snarl; 125 "
                "when something could not be written.",
    .formats = FORMATS " (default: text)",
    .least = 1,
    .most = 1,
};

struct source {
    json_t *document;
    bool of_arena;
};

static json_t *document_of_process(unsigned process, void *arg)
{
    struct settings *s = arg;
    struct collect_input in = {.only_process = process};
    json_t *d = collect_document(&in);
    judge(s, d);
    return d;
}

/* The document behind a path; NULL when it is neither kind of result (said). */
static struct source load(const char *path, bool with_graph, u32 finding)
{
    struct source from = {NULL, false};
    char err[600];
    bool json = strcmp(path, "-") == 0 || document_looks_like_json(path);
    int bad = json ? -EPROTO : folder_open(path);
    if (bad == 0) {
        struct collect_input in = {.without_graph = !with_graph, .only = finding ? &finding : NULL, .nonly = 1};
        from = (struct source){collect_document(&in), true};
    } else if (bad == -EPROTO || bad == -EINVAL) {
        from.document = document_load(path, err, sizeof err);
        if (from.document)
            frames_name(from.document);
        else
            cli_say("%s", err);
    } else {
        cli_say("%s: %s", path, strerror(-bad));
    }
    return from;
}

static bool known_format(const char *format)
{
    const char *names[32] = {"text"};
    size_t n = 1;
    if (!format || strcmp(format, "text") == 0 || format_find(format))
        return true;
    for (size_t i = 0; i < format_count && n < ARRAY_LEN(names); i++)
        names[n++] = format_table[i].name;
    cli_unknown("format", format, names, n);
    fputs("Known: " FORMATS ".\n", stderr);
    return false;
}

/* The main output. At the end of a program that has nothing to report, silence. */
static bool show(const struct settings *s, const json_t *document)
{
    char *text;
    bool good, plain = !s->format || strcmp(s->format, "text") == 0;
    int fd = output_takes_stdout(s) ? STDERR_FILENO : STDOUT_FILENO;
    if (plain && s->at_exit && !json_array_size(json_object_get(document, "findings")) && !s->verbose)
        return true;
    struct text_options o = output_text_options(s, s->log ? -1 : fd);
    text = plain ? text_report(document, &o) : output_render(s->format, document);
    good = output_text(s, text, fd, false);
    free(text);
    return good;
}

int cli_report(int argc, char **argv)
{
    struct settings s;
    int status;
    char none[1];
    if (settings_parse(&s, &verb, argc, argv, &status))
        return status;
    if (!known_format(s.format))
        return STATUS_USAGE;
    if (!output_check(&s))
        return STATUS_TROUBLE;
    struct source from = load(argv[s.first], output_wants_graph(&s), s.finding);
    if (!from.document)
        return STATUS_USAGE;
    if (!s.fail_on_given && fail_on_of_scan(from.document))
        fail_on_parse(&s.fail_on, FAIL_ON_SCAN, none, 0);
    size_t counting = judge(&s, from.document);
    bool good = output_files(&s, from.document, from.of_arena ? document_of_process : NULL, &s);
    good &= show(&s, from.document);
    json_decref(from.document);
    if (from.of_arena)
        arena_close();
    return good ? output_status(&s, counting) : STATUS_TROUBLE;
}
