/* `snarl merge`: results of many runs and machines as one. Takes no locks; allocates with malloc. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli.h"
#include "report/frame.h"
#include "results.h"

enum { OWN_OUT };

static const struct settings_option own[] = {
    [OWN_OUT] = {"output", 'o', "OUT", "the merged result; - is standard output"},
    {0},
};

static const struct settings_verb verb = {
    .name = "merge",
    .arguments = "-o OUT RESULT...",
    .text =
        "Joins results of many runs, test shards and machines into one: the same finding is told once, with its counts "
        "summed, the lock-order graphs are joined, and cycles that no single run has are found. RESULTs are files of "
        "`snarl run --json=FILE` or of this command, run folders, or folders full of such files. When one of them "
        "is broken nothing is written.",
    .examples = "Examples:\n"
                "  snarl merge -o all.json shard-*/result.json\n"
                "  snarl merge -o all.json results/\n"
                "  snarl merge --html=all.html -o all.json results/\n\n"
                "Exit status: 0; 66 when there is a finding that counts; 2 when a RESULT is broken or the usage wrong; "
                "125 when OUT cannot be written.",
    .own = own,
    .fail_on = FAIL_ON_SCAN, /* results of scans may be among them */
    .least = 1,
    .most = 1000000,
};

static bool write_out(const json_t *document, const char *out)
{
    char *text = output_render("json", document);
    int bad = write_file(out, text, strlen(text));
    if (bad)
        cli_say("cannot write %s: %s", out, strerror(-bad));
    free(text);
    return !bad;
}

static int merge(const struct settings *s, json_t *document)
{
    const char *out = s->own[OWN_OUT];
    size_t counting = judge(s, document);
    bool good = write_out(document, out) && output_files(s, document, NULL, NULL);
    int fd = output_takes_stdout(s) || strcmp(out, "-") == 0 ? STDERR_FILENO : STDOUT_FILENO;
    if (good && !s->quiet) {
        struct text_options o = output_text_options(s, s->log ? -1 : fd);
        char *text = text_report(document, &o);
        good = output_text(s, text, fd, false);
        free(text);
    }
    return good ? output_status(s, counting) : STATUS_TROUBLE;
}

int cli_merge(int argc, char **argv)
{
    struct settings s;
    struct results r;
    int status;
    if (settings_parse(&s, &verb, argc, argv, &status))
        return status;
    if (!s.own[OWN_OUT]) {
        cli_say("merge: where to? -o OUT is missing");
        fputs("`snarl merge --help` says more.\n", stderr);
        return STATUS_USAGE;
    }
    json_t *document =
        results_list(&r, argv + s.first, (size_t)(argc - s.first), s.own[OWN_OUT]) ? results_merge(&r) : NULL;
    if (document)
        frames_name(document);
    status = !document ? STATUS_USAGE : output_check(&s) ? merge(&s, document) : STATUS_TROUBLE;
    json_decref(document);
    results_free(&r);
    return status;
}
