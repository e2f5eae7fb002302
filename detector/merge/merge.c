/* Joins results. Called by the verbs merge and check. Takes no locks; allocates with malloc.
 *
 * What is kept grows with what is different, not with the number of results. */
#include "merge.h"

#include <stdlib.h>

#include "internal.h"

void *merge_grow(void *items, size_t n, size_t size)
{
    if (n & (n - 1))
        return items; /* room is made at powers of two */
    items = realloc(items, (n ? n * 2 : 1) * size);
    if (!items)
        abort();
    return items;
}

json_int_t merge_sum(json_int_t a, json_int_t b)
{
    u64 sum = (u64)(a > 0 ? a : 0) + (u64)(b > 0 ? b : 0);
    return sum < INT64_MAX ? (json_int_t)sum : INT64_MAX;
}

static bool first_pass(struct merge *m, const struct merge_source *from)
{
    for (size_t i = 0; i < from->n; i++) {
        json_t *document = from->load(i, from->arg);
        struct reading r;
        u32 first_run = (u32)m->nruns;
        if (!document)
            return false;
        totals_add(m, document, from->name(i, from->arg));
        findings_add(m, document, from->name(i, from->arg));
        reading_open(&r, m, document, first_run);
        graph_add(&r);
        contention_add(&r);
        reading_close(&r);
        json_decref(document);
    }
    return true;
}

static bool second_pass(struct merge *m, const struct merge_source *from)
{
    u32 first_run = 0;
    for (size_t i = 0; i < from->n; i++) {
        json_t *document = from->load(i, from->arg);
        struct reading r;
        if (!document)
            return false;
        reading_open(&r, m, document, first_run);
        first_run += totals_runs_of(document);
        if (first_run <= m->nruns) /* else it has changed since it was read */
            together_add(&r);
        reading_close(&r);
        json_decref(document);
    }
    return true;
}

static void release(struct merge *m)
{
    for (size_t i = 0; i < m->nruns; i++) {
        free(m->run[i].name);
        free(m->run[i].program);
    }
    for (size_t i = 0; i < m->nclasses; i++) {
        free(m->class[i].name);
        free(m->class[i].local);
        free(m->class[i].kind);
    }
    for (size_t i = 0; i < m->nedges; i++) {
        json_decref(m->edge[i].stack);
        json_decref(m->edge[i].hold_stack);
    }
    for (size_t i = 0; i < m->nways; i++) {
        json_decref(m->way[i].context);
        free(m->way[i].runs);
    }
    free(m->run);
    free(m->class);
    free(m->edge);
    free(m->way);
    json_decref(m->class_of);
    json_decref(m->findings);
    json_decref(m->totals);
    json_decref(m->contention);
    refmap_free(&m->edge_of);
    refmap_free(&m->way_of);
    refmap_free(&m->together);
    refmap_free(&m->roles);
    refmap_free(&m->finding_of);
}

json_t *merge_results(const struct merge_source *from)
{
    struct merge m = {.class_of = json_object(), .findings = json_array()};
    json_t *document = NULL;
    bool good = first_pass(&m, from);
    if (good && from->n && together_prepare(&m)) {
        good = second_pass(&m, from);
        if (good)
            cycles_add(&m);
    }
    if (good && from->n)
        document = json_pack("{s:s,s:{s:s,s:s},s:o,s:o,s:o,s:o}", "schema", "snarl/1", "tool", "name", "snarl",
                             "version", SNARL_VERSION, "run", totals_finish(&m), "findings", findings_finish(&m),
                             "lock_graph", graph_finish(&m), "contention", contention_finish(&m));
    release(&m);
    return document;
}
