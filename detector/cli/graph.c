/* `snarl graph`: the lock-order graph of a result. Takes no locks; allocates with malloc. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "cli.h"
#include "folder.h"
#include "report/collect.h"
#include "report/document.h"
#include "report/frame.h"
#include "report/graph.h"

static const struct settings_verb verb = {
    .name = "graph",
    .arguments = "RESULT",
    .text = "Draws which locks are taken while which others are held, by class of lock. Orders that are part of a "
            "finding are marked.",
    .examples = "Examples:\n"
                "  snarl graph result.json\n"
                "  snarl graph --format=svg result.json > locks.svg\n"
                "  snarl graph --format=dot result.json | dot -Tpdf > locks.pdf\n",
    .formats = "text, svg or dot (default: text)",
    .plain = true,
    .least = 1,
    .most = 1,
};

int cli_graph(int argc, char **argv)
{
    static const char *const formats[] = {"text", "svg", "dot"};
    struct settings s;
    char err[600], *text;
    int status;
    if (settings_parse(&s, &verb, argc, argv, &status))
        return status;
    bool plain = !s.format || strcmp(s.format, "text") == 0;
    if (!plain && strcmp(s.format, "svg") != 0 && strcmp(s.format, "dot") != 0) {
        cli_unknown("format", s.format, formats, ARRAY_LEN(formats));
        fputs("Known: text, svg or dot.\n", stderr);
        return STATUS_USAGE;
    }
    json_t *d = NULL;
    if (strcmp(argv[s.first], "-") != 0 && !document_looks_like_json(argv[s.first]) &&
        folder_open(argv[s.first]) == 0) {
        struct collect_input in = {.only_process = 0};
        d = collect_document(&in);
        arena_close();
    } else if (!(d = document_load(argv[s.first], err, sizeof err))) {
        cli_say("%s", err);
        return STATUS_USAGE;
    } else {
        frames_name(d);
    }
    struct text_options o = output_text_options(&s, 1);
    text = plain ? graph_text(d, &o) : output_render(s.format, d);
    bool good = output_text(&s, text, 1, false);
    free(text);
    json_decref(d);
    return good ? 0 : STATUS_TROUBLE;
}
