/* How much of the rewritten modules was watched. Called by collect.c. Takes no locks; allocates with malloc. */
#include <stdlib.h>
#include <string.h>

#include "buffer.h"
#include "collect.h"
#include "names.h"
#include "view.h"

static const char *const names[] = {
#define X(n, t) #n,
    COVERAGE_REASONS(X)
#undef X
};
static const char *const texts[] = {
#define X(n, t) t,
    COVERAGE_REASONS(X)
#undef X
};

#define IDS 16384u /* that fit a frame */

static u64 unwatched(const struct coverage *c)
{
    return c->eligible > c->watched ? c->eligible - c->watched : 0;
}

/* Each module once, however many processes have it: as it went worst. */
static void keep(struct module_rec *kept, const struct module_rec *m)
{
    struct module_rec *k = &kept[m->id];
    if (!k->coverage.functions || unwatched(&m->coverage) > unwatched(&k->coverage))
        *k = *m;
}

static json_t *left_of(const struct coverage *sum)
{
    json_t *list = json_array();
    for (u32 i = 0; i < COVERAGE_REASON_COUNT; i++)
        if (sum->left[i].functions || sum->left[i].accesses)
            json_array_append_new(list, json_pack("{s:s,s:s,s:I,s:I}", "reason", names[i], "text", texts[i],
                                                  "functions", (json_int_t)sum->left[i].functions, "accesses",
                                                  (json_int_t)sum->left[i].accesses));
    return list;
}

static void add(struct coverage *sum, json_t *modules, const struct module_rec *m)
{
    const struct coverage *c = &m->coverage;
    sum->functions += c->functions;
    sum->unlisted += c->unlisted;
    for (u32 i = 0; i < COVERAGE_REASON_COUNT; i++) {
        sum->left[i].functions += c->left[i].functions;
        sum->left[i].accesses += c->left[i].accesses;
    }
    if (!c->eligible)
        return;
    char *path = view_string_raw(m->path);
    json_array_append_new(modules, json_pack("{s:o,s:I,s:I}", "module", names_text(path), "eligible",
                                             (json_int_t)c->eligible, "watched", (json_int_t)c->watched));
    free(path);
}

json_t *collect_coverage(u32 only_process_ref)
{
    struct module_rec *kept = view_alloc(IDS * sizeof *kept), m;
    struct view_walk walk = {0};
    struct coverage sum = {0};
    u64 eligible = 0, watched = 0;
    json_t *modules = json_array();
    struct process_rec p;
    if (only_process_ref && view_get(only_process_ref, &p, sizeof p)) {
        u32 steps = 0;
        for (ref_t at = p.modules; steps < IDS && view_get(at, &m, sizeof m); at = m.next, steps++)
            if (m.id && m.id < IDS && m.coverage.functions)
                keep(kept, &m);
    }
    while (!only_process_ref && view_next(POOL_MODULE, &walk, &m, sizeof m))
        if (m.id && m.id < IDS && m.coverage.functions)
            keep(kept, &m);
    for (u32 i = 0; i < IDS; i++) {
        if (!kept[i].coverage.functions)
            continue;
        add(&sum, modules, &kept[i]);
        eligible += kept[i].coverage.eligible;
        watched += kept[i].coverage.watched;
    }
    free(kept);
    return json_pack("{s:I,s:I,s:I,s:I,s:o,s:o}", "eligible", (json_int_t)eligible, "watched", (json_int_t)watched,
                     "functions", (json_int_t)sum.functions, "unlisted_bytes", (json_int_t)sum.unlisted, "left",
                     left_of(&sum), "modules", modules);
}

void collect_modules_unmet(json_t *notes, const struct run_state *state)
{
    const char *list = state->options.modules, *word;
    size_t n;
    if (!(state->modules_met & RUN_MODULES_ASKED) || !memchr(list, 0, sizeof state->options.modules))
        return;
    for (u32 i = 0; i < PATTERNS_MOST && (word = patterns_word(list, i, &n)) != NULL; i++) {
        struct buffer b = {0};
        if (state->modules_met >> i & 1)
            continue;
        buffer_print(&b, "no module that was loaded is meant by --modules=%.*s", (int)n, word);
        char *text = buffer_take(&b);
        json_array_append_new(notes, names_text(text));
        free(text);
    }
}
