/* What counts: suppressions, the baseline and --fail-on together. Called by settings.c and the verbs. Takes no locks;
 * allocates with malloc. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "cli.h"
#include "gate/gate.h"

static void say(const char *text)
{
    cli_say("%s", text);
}

int judge_open(struct settings *s, const struct settings_verb *verb)
{
    char err[600];
    s->gate = calloc(1, sizeof *s->gate); /* as long as the process */
    if (!s->gate)
        abort();
    for (size_t i = 0; i < s->nsuppressions; i++)
        if (gate_add_suppressions(s->gate, s->suppressions[i], err, sizeof err)) {
            cli_say("--suppressions: %s", err);
            return -1;
        }
    int bad = s->baseline ? gate_open_baseline(s->gate, s->baseline, err, sizeof err) : 0;
    if (bad && !(bad == -ENOENT && verb->makes_baseline)) {
        cli_say("--baseline: %s", err);
        return -1;
    }
    if (!s->quiet)
        gate_notices(s->gate, say);
    return 0;
}

size_t judge(const struct settings *s, json_t *document)
{
    gate_apply(s->gate, document);
    fail_on_apply(&s->fail_on, document);
    return gate_count(s->gate, document);
}
