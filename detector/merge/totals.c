/* The run section of a merged result: what the runs add up to, and their names. Called by merge.c. Takes no locks;
 * allocates with malloc. */
#include <stdlib.h>
#include <string.h>

#include "internal.h"
#include "report/buffer.h"
#include "report/label.h"

#define MAX_SENTENCES 100

static void add_number(json_t *to, const json_t *from, const char *key)
{
    const json_t *more = json_object_get(from, key), *known = json_object_get(to, key);
    if (!json_is_number(more))
        return;
    if (json_is_integer(more) && (!known || json_is_integer(known)))
        json_object_set_new(to, key, json_integer(merge_sum(json_integer_value(known), json_integer_value(more))));
    else
        json_object_set_new(to, key, json_real(json_number_value(known) + json_number_value(more)));
}

/* Every number of an object of numbers. */
static void add_numbers(json_t *to, const json_t *from, const char *key)
{
    json_t *sum = json_object_get(to, key);
    const char *name;
    json_t *value;
    if (!json_is_object(json_object_get(from, key)))
        return;
    if (!sum) {
        sum = json_object();
        json_object_set_new(to, key, sum);
    }
    json_object_foreach (json_object_get(from, key), name, value)
        add_number(sum, json_object_get(from, key), name);
}

static void add_sentences(json_t *to, const json_t *from, const char *key)
{
    json_t *known = json_object_get(to, key), *text, *other;
    size_t i, k;
    json_array_foreach (json_object_get(from, key), i, text) {
        bool there = json_array_size(known) >= MAX_SENTENCES;
        json_array_foreach (known, k, other)
            there |= json_equal(text, other);
        if (!there)
            json_array_append(known, text);
    }
}

static void add_losses(json_t *to, const json_t *from)
{
    json_t *known = json_object_get(to, "losses"), *loss, *other, *same;
    size_t i, k;
    json_array_foreach (json_object_get(from, "losses"), i, loss) {
        same = NULL;
        json_array_foreach (known, k, other) {
            if (label_is(other, "name", label_text(loss, "name")))
                same = other;
        }
        if (same)
            add_number(same, loss, "count");
        else if (json_array_size(known) < MAX_SENTENCES)
            json_array_append_new(known, json_copy(loss));
    }
}

static json_t *run_json(const json_t *run, const struct merged_run *r)
{
    json_t *j = json_pack("{s:s,s:s}", "name", r->name, "program", r->program);
    static const char *const kept[] = {"command", "pid", "exit", "duration_s"};
    for (size_t i = 0; i < ARRAY_LEN(kept); i++)
        if (json_object_get(run, kept[i]))
            json_object_set(j, kept[i], json_object_get(run, kept[i]));
    return j;
}

/* The last part of the path of the program. */
static const char *program_of(const json_t *run)
{
    const char *first = json_string_value(json_array_get(json_object_get(run, "command"), 0));
    const char *slash = first ? strrchr(first, '/') : NULL;
    return slash && slash[1] ? slash + 1 : first ? first : "?";
}

static void add_run(struct merge *m, const char *name, const char *program)
{
    m->run = merge_grow(m->run, m->nruns, sizeof *m->run);
    m->run[m->nruns++] = (struct merged_run){strdup(name), strdup(program)};
}

/* Each process is a run of its own program: a test driver's result holds many. */
static void add_processes(struct merge *m, const json_t *run, const char *name)
{
    const json_t *processes = json_object_get(run, "process_list"), *p;
    json_t *list = json_object_get(m->totals, "runs");
    size_t i;
    json_array_foreach (processes, i, p) {
        struct buffer b = {0};
        const char *program = label_text(p, "program");
        buffer_print(&b, "%s%s%s", name, *program ? ", " : "", program);
        add_run(m, b.text, *program ? program : "?");
        free(b.text);
        json_array_append_new(list, run_json(run, &m->run[m->nruns - 1]));
    }
}

static void add_runs(struct merge *m, const json_t *run, const char *name)
{
    json_t *list = json_object_get(m->totals, "runs"), *part;
    const json_t *parts = json_object_get(run, "runs");
    size_t i;
    json_array_foreach (parts, i, part) {
        const char *own = label_text(part, "name"), *program = label_text(part, "program");
        add_run(m, *own ? own : name, *program ? program : "?");
        json_array_append(list, part);
    }
    if (json_array_size(parts))
        return;
    if (json_array_size(json_object_get(run, "process_list")) > 1) {
        add_processes(m, run, name);
        return;
    }
    const char *program = label_text(json_array_get(json_object_get(run, "process_list"), 0), "program");
    add_run(m, name, *program ? program : program_of(run));
    json_array_append_new(list, run_json(run, &m->run[m->nruns - 1]));
}

static void start(struct merge *m, const json_t *run)
{
    static const char *const copied[] = {"accesses", "options"};
    m->totals = json_pack("{s:[s,s],s:[],s:[],s:[],s:[],s:[]}", "command", "snarl", "merge", "runs", "losses", "notes",
                          "symbols", "process_list");
    for (size_t i = 0; i < ARRAY_LEN(copied); i++)
        if (json_object_get(run, copied[i]))
            json_object_set(m->totals, copied[i], json_object_get(run, copied[i]));
}

void totals_add(struct merge *m, const json_t *document, const char *name)
{
    static const char *const sums[] = {"processes", "threads", "locks", "lock_operations", "duration_s"};
    const json_t *run = json_object_get(document, "run");
    if (!m->totals)
        start(m, run);
    add_runs(m, run, name);
    for (size_t i = 0; i < ARRAY_LEN(sums); i++)
        add_number(m->totals, run, sums[i]);
    if (json_object_get(run, "accesses") && !label_is(m->totals, "accesses", label_text(run, "accesses")))
        json_object_set_new(m->totals, "accesses", json_string("mixed"));
    if (json_is_true(json_object_get(run, "python")))
        json_object_set_new(m->totals, "python", json_true());
    add_numbers(m->totals, run, "coverage");
    add_numbers(m->totals, run, "cost");
    add_losses(m->totals, run);
    add_sentences(m->totals, run, "notes");
    add_sentences(m->totals, run, "symbols");
}

u32 totals_runs_of(const json_t *document)
{
    const json_t *run = json_object_get(document, "run");
    size_t n = json_array_size(json_object_get(run, "runs"));
    if (!n)
        n = json_array_size(json_object_get(run, "process_list"));
    return n ? (u32)n : 1;
}

json_t *totals_finish(struct merge *m)
{
    return json_incref(m->totals);
}
