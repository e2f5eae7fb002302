/* `snarl check`: the gate of a CI. Results against the baseline that a team keeps. Takes no locks; allocates with
 * malloc. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli.h"
#include "gate/changed.h"
#include "gate/gate.h"
#include "gate/owners.h"
#include "report/frame.h"
#include "report/label.h"
#include "results.h"

enum { OWN_UPDATE, OWN_STRICT, OWN_CHANGED };

static const struct settings_option own[] = {
    [OWN_UPDATE] =
        {"update", 0, NULL,
         "write what is new into the baseline: findings and orders; with --strict also take out what is stale"},
    [OWN_STRICT] = {"strict", 0, NULL, "orders that are not in the baseline count, and so do stale lines"},
    [OWN_CHANGED] = {"changed", 0, "REV",
                     "only findings that touch lines changed since REV (of git, from where it branched off) count"},
    {0},
};

static const struct settings_verb verb = {
    .name = "check",
    .arguments = "RESULT...",
    .text =
        "Holds results against what a team has agreed to: findings that are neither accepted nor suppressed count, and "
        "so do orders of locks that contradict the baseline, even when no run has a cycle. RESULTs are files of "
        "`snarl run --json=FILE` or `snarl merge`, run folders, or folders full of such files; several are merged "
        "first. The report is on standard output.",
    .examples =
        "Examples:\n"
        "  snarl check --baseline=known --update results/  the first time: all is known\n"
        "  snarl check --baseline=known results/           then: what is new counts\n"
        "  snarl check --changed=origin/main results/      a pull request\n\n"
        "Exit status: 0; 66 when something counts; 2 when a RESULT, the baseline or the usage is wrong; 125 when "
        "something could not be written.",
    .own = own,
    .fail_on = FAIL_ON_SCAN, /* results of scans may be among them */
    .makes_baseline = true,
    .least = 1,
    .most = 1000000,
};

struct check {
    struct settings s;
    bool update, strict;
};

/* CODEOWNERS and the changed lines. False: --changed cannot be answered (said). */
static bool open_tree(struct check *c)
{
    char err[300], *root = changed_root();
    const char *revision = c->s.own[OWN_CHANGED];
    struct gate *g = c->s.gate;
    g->owners = root ? owners_load(root) : NULL;
    free(root);
    if (revision && !(g->changed = changed_load(revision, err, sizeof err))) {
        cli_say("--changed: %s", err);
        return false;
    }
    return true;
}

static bool options_fit(struct check *c)
{
    c->update = c->s.own[OWN_UPDATE] != NULL;
    c->strict = c->s.own[OWN_STRICT] != NULL;
    if ((c->update || c->strict) && !c->s.baseline) {
        cli_say("--%s needs --baseline=FILE", c->update ? "update" : "strict");
        return false;
    }
    if (c->s.baseline && !c->update && !c->s.gate->has_file) {
        cli_say("--baseline: %s: %s; --update makes it", c->s.baseline, strerror(ENOENT));
        return false;
    }
    return true;
}

/* New orders and stale lines, as --strict counts them. */
static size_t loose_ends(const json_t *document)
{
    const json_t *baseline = json_object_get(json_object_get(document, "gate"), "baseline");
    return json_array_size(json_object_get(baseline, "new")) + json_array_size(json_object_get(baseline, "stale"));
}

static void mark(const struct check *c, json_t *document)
{
    json_t *gate = json_object_get(document, "gate");
    if (!gate) {
        gate = json_object();
        json_object_set_new(document, "gate", gate);
    }
    json_object_set_new(gate, "check", json_true());
    json_object_set_new(gate, "strict", json_boolean(c->strict));
}

/* Writes the baseline and judges anew by it. */
static bool update(struct check *c, json_t *document, size_t *counting)
{
    struct gate *g = c->s.gate;
    char err[600], *text;
    if (!gate_learn(g, document, c->strict) && g->has_file)
        return true;
    text = baseline_text(&g->baseline);
    int bad = baseline_write(c->s.baseline, text);
    free(text);
    if (bad) {
        cli_say("--baseline: cannot write %s: %s", c->s.baseline, strerror(-bad));
        return false;
    }
    if (gate_open_baseline(g, c->s.baseline, err, sizeof err)) {
        cli_say("--baseline: %s", err);
        return false;
    }
    *counting = judge(&c->s, document);
    return true;
}

static bool show(const struct check *c, const json_t *document)
{
    int fd = output_takes_stdout(&c->s) ? STDERR_FILENO : STDOUT_FILENO;
    struct text_options o = output_text_options(&c->s, c->s.log ? -1 : fd);
    char *text = text_report(document, &o);
    bool good = output_text(&c->s, text, fd, false);
    free(text);
    return good;
}

static int check(struct check *c, json_t *document)
{
    size_t counting = judge(&c->s, document);
    bool good = !c->update || update(c, document, &counting);
    mark(c, document);
    if (good)
        good = output_files(&c->s, document, NULL, NULL) && show(c, document);
    if (c->strict)
        counting += loose_ends(document);
    return good ? output_status(&c->s, counting) : STATUS_TROUBLE;
}

int cli_check(int argc, char **argv)
{
    struct check c = {0};
    struct results r;
    int status;
    if (settings_parse(&c.s, &verb, argc, argv, &status))
        return status;
    if (!options_fit(&c) || !open_tree(&c))
        return STATUS_USAGE;
    json_t *document =
        results_list(&r, argv + c.s.first, (size_t)(argc - c.s.first), c.s.json) ? results_join(&r) : NULL;
    if (document)
        frames_name(document);
    status = !document ? STATUS_USAGE : output_check(&c.s) ? check(&c, document) : STATUS_TROUBLE;
    json_decref(document);
    results_free(&r);
    return status;
}
