/* Cycles of the joined graph that no single run has. Called by merge.c after the second reading. Takes no locks;
 * allocates with malloc.
 *
 * The rules are those of analyze/cycles.c, over classes and ways instead of locks and witnesses: different threads, no
 * common gate, conflicting modes, not ordered, not every step timed. What only instances tell is not known across runs:
 * where a class has many locks in one process, the finding says "by-class" and does not count by itself. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "internal.h"
#include "report/advice.h"
#include "report/buffer.h"
#include "report/identity.h"
#include "report/label.h"
#include "report/view.h"

#define MAX_STEPS 8u
#define MAX_CYCLES 1000u
#define SEARCH_BUDGET 2000000u

struct search {
    struct merge *m;
    const struct merged_way *step[MAX_STEPS];
    u32 n, limit, budget, found;
    u32 *first; /* by class: index + 1 of its first core way, and */
    u32 *next;  /* by way: of the next one */
    bool by_class;
};

static const struct merged_edge *edge_of(const struct search *s, const struct merged_way *w)
{
    return &s->m->edge[w->edge];
}

static bool is_many(const struct search *s, const char *local)
{
    const json_t *at = json_object_get(s->m->class_of, local);
    return at && s->m->class[json_integer_value(at)].per_process > 1;
}

/* A lock that both hold, one of them exclusively. Of a class with many locks it may be another one. */
static bool have_gate(struct search *s, const struct merged_way *a, const struct merged_way *b)
{
    const json_t *x, *y;
    size_t i, k;
    json_array_foreach (json_object_get(a->context, "held"), i, x) {
        json_array_foreach (json_object_get(b->context, "held"), k, y) {
            const char *local = label_text(x, "local");
            if (!*local || strcmp(local, label_text(y, "local")) != 0 ||
                (label_is(x, "mode", "shared") && label_is(y, "mode", "shared")))
                continue;
            if (!is_many(s, local))
                return true;
            s->by_class = true;
        }
    }
    return false;
}

static bool modes_block(const struct search *s, const struct merged_way *asks, const struct merged_way *holds)
{
    return !label_is(asks->context, "mode_to", "shared") || !label_is(holds->context, "mode_from", "shared") ||
           s->m->class[edge_of(s, asks)->to].readers_queue;
}

static bool fits(struct search *s, const struct merged_way *w)
{
    for (u32 i = 0; i < s->n; i++)
        if (edge_of(s, s->step[i])->from == edge_of(s, w)->from)
            return false;
    if (s->n && !modes_block(s, s->step[s->n - 1], w))
        return false;
    for (u32 i = 0; i < s->n; i++)
        if (!together_possible(s->m, s->step[i], w) || have_gate(s, s->step[i], w))
            return false;
    return true;
}

/* One run went all these ways: it has judged them by its locks and threads. */
static bool of_one_run(const struct search *s)
{
    for (size_t word = 0; word < s->m->nruns / 64 + 1; word++) {
        u64 all = ~0ULL;
        for (u32 i = 0; i < s->n; i++)
            all &= s->step[i]->runs[word];
        if (all)
            return true;
    }
    return false;
}

static bool all_timed(const struct search *s)
{
    for (u32 i = 0; i < s->n; i++)
        if (!json_is_true(json_object_get(s->step[i]->context, "timed")))
            return false;
    return true;
}

/* ---- the finding ---- */

static json_t *stack_of(const struct search *s, const struct merged_way *w, bool hold)
{
    json_t *own = json_object_get(w->context, hold ? "hold_stack" : "stack"),
           *shared = hold ? edge_of(s, w)->hold_stack : edge_of(s, w)->stack;
    return own ? own : shared;
}

static json_t *event_json(const struct search *s, const struct merged_way *w, u32 step, bool hold)
{
    u32 class = hold ? edge_of(s, w)->from : edge_of(s, w)->to;
    const struct merged_class *c = &s->m->class[class];
    const char *mode = label_text(w->context, hold ? "mode_from" : "mode_to");
    json_t *stack = stack_of(s, w, hold), *held = json_array(), *lock;
    size_t i;
    json_array_foreach (json_object_get(w->context, "held"), i, lock) {
        if (!hold)
            json_array_append(held, json_object_get(lock, "class"));
    }
    json_t *e =
        json_pack("{s:i,s:I,s:s,s:s,s:s,s:s,s:I,s:s,s:o,s:I,s:s}", "process", 1, "thread", (json_int_t)step + 1,
                  "thread_name", label_text(w->context, "role"), "action", hold ? "hold" : "acquire", "object", c->name,
                  "object_kind", c->kind, "instance", (json_int_t) class + 1, "mode", *mode ? mode : "exclusive",
                  "held", held, "run", (json_int_t)w->run + 1, "run_name", s->m->run[w->run].name);
    json_object_set_new(e, "held_at", json_array());
    json_object_set_new(e, "stack", stack ? json_incref(stack) : json_array());
    if (json_is_true(json_object_get(w->context, "timed")) && !hold)
        json_object_set_new(e, "timed", json_true());
    return e;
}

static json_t *lock_json(const struct search *s, u32 class)
{
    const struct merged_class *c = &s->m->class[class];
    json_t *j = json_pack("{s:s,s:s,s:b,s:[],s:I,s:[]}", "class", c->name, "kind", c->kind, "shared", 0, "born",
                          "instance", (json_int_t) class + 1, "attributes");
    if (strcmp(c->local, c->name) != 0)
        json_object_set_new(j, "local", json_string(c->local));
    return j;
}

static json_t *thread_json(const struct search *s, const struct merged_way *w, u32 step)
{
    struct buffer name = {0};
    const char *role = label_text(w->context, "role");
    buffer_print(&name, "%s%s%s", role, *role ? " in " : "in ", s->m->run[w->run].name);
    json_t *j =
        json_pack("{s:I,s:i,s:s,s:[]}", "thread", (json_int_t)step + 1, "process", 1, "name", name.text, "created");
    free(name.text);
    return j;
}

static u64 runs_with(const struct search *s, const struct merged_way *w)
{
    u64 n = 0;
    for (size_t word = 0; word < s->m->nruns / 64 + 1; word++)
        n += (u64)__builtin_popcountll(w->runs[word]);
    return n;
}

/* "From these results: a before b in x.json and 3 more, b before a in y.json." */
static void tell_runs(const struct search *s, json_t *finding, u32 first)
{
    struct buffer why = {0};
    json_t *across = json_array();
    buffer_print(&why, "%s From these results: ", label_text(finding, "why"));
    for (u32 i = 0; i < s->n; i++) {
        const struct merged_way *w = s->step[(first + i) % s->n];
        const struct merged_class *from = &s->m->class[edge_of(s, w)->from], *to = &s->m->class[edge_of(s, w)->to];
        const char *name = s->m->run[w->run].name;
        u64 n = runs_with(s, w);
        buffer_print(&why, "%s%s before %s in %s", i ? ", " : "", label_short(from->name), label_short(to->name), name);
        if (n > 1)
            buffer_print(&why, " and %llu more", (unsigned long long)n - 1);
        json_array_append_new(across, json_pack("{s:s,s:s,s:s,s:I}", "from", from->name, "to", to->name, "run", name,
                                                "runs", (json_int_t)n));
    }
    buffer_put(&why, ".");
    json_object_set_new(finding, "why", json_string(why.text));
    json_object_set_new(finding, "across", across);
    free(why.text);
}

static json_t *finding_json(const struct search *s, u32 first)
{
    json_t *f = json_pack("{s:s,s:s,s:s,s:s,s:s,s:s,s:i}", "id", "", "kind", "lock-order", "verdict", "possible",
                          "title", "", "why", "", "fix", "", "count", 1),
           *locks = json_array(), *events = json_array(), *threads = json_array(), *flags = json_array();
    for (u32 i = 0; i < s->n; i++) {
        const struct merged_way *w = s->step[(first + i) % s->n];
        json_array_append_new(events, event_json(s, w, i, true));
        json_array_append_new(events, event_json(s, w, i, false));
        json_array_append_new(locks, lock_json(s, edge_of(s, w)->from));
        json_array_append_new(threads, thread_json(s, w, i));
    }
    json_array_append_new(flags, json_string("across-runs"));
    if (s->by_class)
        json_array_append_new(flags, json_string("by-class"));
    json_object_set_new(f, "locks", locks);
    json_object_set_new(f, "events", events);
    json_object_set_new(f, "suppressed_by", json_null());
    json_object_set_new(f, "in_baseline", json_false());
    json_object_set_new(f, "counts", json_true());
    json_object_set_new(f, "flags", flags);
    json_object_set_new(f, "threads", threads);
    identity_set(f);
    advice_write(f);
    tell_runs(s, f, first);
    return f;
}

static void report(struct search *s)
{
    u32 first = 0;
    if (all_timed(s) || of_one_run(s))
        return;
    bool by_class = s->by_class;
    for (u32 i = 0; i < s->n; i++) {
        const struct merged_class *c = &s->m->class[edge_of(s, s->step[i])->from],
                                  *least = &s->m->class[edge_of(s, s->step[first])->from];
        s->by_class |= c->per_process > 1;
        if (strcmp(c->name, least->name) < 0)
            first = i;
    }
    s->found += findings_add_new(s->m, finding_json(s, first));
    s->by_class = by_class;
}

/* ---- the search ---- */

static void walk(struct search *s)
{
    u32 at = edge_of(s, s->step[s->n - 1])->to, start = edge_of(s, s->step[0])->from;
    for (u32 i = s->first[at]; i && s->budget && s->found < MAX_CYCLES; i = s->next[i - 1]) {
        const struct merged_way *w = &s->m->way[i - 1];
        bool by_class = s->by_class, last = edge_of(s, w)->to == start;
        s->budget--;
        /* Each cycle once: it begins at its first class. */
        if ((!last && (s->n + 1 >= s->limit || edge_of(s, w)->to < start)) || (last && s->n + 1 != s->limit) ||
            !fits(s, w)) {
            s->by_class = by_class;
            continue;
        }
        s->step[s->n++] = w;
        if (!last)
            walk(s);
        else if (modes_block(s, w, s->step[0]))
            report(s);
        s->n--;
        s->by_class = by_class;
    }
}

void cycles_add(struct merge *m)
{
    struct search s = {.m = m, .budget = SEARCH_BUDGET};
    s.first = view_alloc((m->nclasses + 1) * sizeof *s.first);
    s.next = view_alloc((m->nways + 1) * sizeof *s.next);
    for (size_t i = m->nways; i-- > 0;) {
        const struct merged_way *w = &m->way[i];
        if (!w->number)
            continue;
        u32 from = edge_of(&s, w)->from;
        s.next[i] = s.first[from];
        s.first[from] = (u32)i + 1;
    }
    /* Short ones first. */
    for (s.limit = 2; s.limit <= MAX_STEPS && s.budget && s.found < MAX_CYCLES; s.limit++)
        for (size_t i = 0; i < m->nways && s.budget; i++) {
            if (!m->way[i].number)
                continue;
            s.step[0] = &m->way[i];
            s.n = 1;
            s.by_class = false;
            walk(&s);
        }
    free(s.first);
    free(s.next);
}
