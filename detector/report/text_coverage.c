/* The text report: how much of a rewritten program was watched. Called by text_stack.c. Takes no locks; allocates with
 * malloc. */
#include <stdlib.h>

#include "label.h"
#include "text.h"

/* Anything below is told without being asked. */
#define ENOUGH_PER_MILLE 999

/* Never 100 unless it is all. */
static void put_share(struct buffer *b, json_int_t part, json_int_t whole)
{
    json_int_t hundredths = whole > 0 ? (json_int_t)((double)part / (double)whole * 10000.0) : 10000;
    if (part >= whole)
        buffer_put(b, "100 %");
    else
        buffer_print(b, "%lld.%02lld %%", (long long)(hundredths > 9999 ? 9999 : hundredths) / 100,
                     (long long)(hundredths > 9999 ? 9999 : hundredths) % 100);
}

static void put_line(struct text *t, struct buffer *b)
{
    char *line = buffer_take(b);
    text_put(t, STYLE_STRONG, "snarl: ");
    text_wrap(t, line, 7);
    free(line);
}

static void put_reason(struct text *t, const json_t *left)
{
    struct buffer b = {0};
    json_int_t functions = label_number(left, "functions"), accesses = label_number(left, "accesses");
    buffer_print(&b, "not watched: %lld instruction%s", (long long)accesses, accesses == 1 ? "" : "s");
    if (functions)
        buffer_print(&b, " in %lld function%s left alone", (long long)functions, functions == 1 ? "" : "s");
    buffer_print(&b, ": %s", label_text(left, "text"));
    put_line(t, &b);
}

void text_coverage(struct text *t, const json_t *run)
{
    const json_t *coverage = json_object_get(run, "coverage"), *left;
    json_int_t eligible = label_number(coverage, "eligible"), watched = label_number(coverage, "watched");
    size_t modules = json_array_size(json_object_get(coverage, "modules")), i;
    struct buffer b = {0};
    bool enough = (double)watched * 1000.0 >= (double)eligible * ENOUGH_PER_MILLE;
    if (!coverage || !eligible || (enough && !t->o->verbose))
        return;
    put_share(&b, watched, eligible);
    buffer_print(&b, " of the %lld instructions that access shared memory were watched", (long long)eligible);
    if (modules)
        buffer_print(&b, ", in %zu module%s", modules, modules == 1 ? "" : "s");
    put_line(t, &b);
    json_array_foreach (json_object_get(coverage, "left"), i, left)
        put_reason(t, left);
    json_int_t unlisted = label_number(coverage, "unlisted_bytes");
    if (t->o->verbose && unlisted > 0) {
        buffer_print(&b, "not looked at: %lld bytes of code that no unwind table lists", (long long)unlisted);
        put_line(t, &b);
    }
}
