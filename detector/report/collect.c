/* Builds the result document from the arena. Called by the verbs run and report. Takes no locks; allocates with malloc.
 *
 * The arena is hostile input: see view.h. What cannot be read is left out. */
#include "collect.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

#include "analyze/finding.h"
#include "group.h"
#include "model/order.h"
#include "names.h"
#include "view.h"

#define MAX_FINDINGS 10000u
#define MAX_LISTED_PROCESSES 4096u

static const char *const loss_names[] = {
#define X(n, t) #n,
    RUN_LOSSES(X)
#undef X
};
static const char *const loss_texts[] = {
#define X(n, t) t,
    RUN_LOSSES(X)
#undef X
};

u32 collect_process_number(ref_t process)
{
    struct process_rec p;
    return view_get(process, &p, sizeof p) ? p.number : 0;
}

json_t *collect_processes(void)
{
    json_t *list = json_array();
    struct view_walk walk = {0};
    struct process_rec p;
    while (view_next(POOL_PROCESS, &walk, &p, sizeof p) && json_array_size(list) < MAX_LISTED_PROCESSES) {
        if (!p.number)
            continue;
        char *exe = view_string(p.exe), *slash = strrchr(exe, '/');
        json_array_append_new(list, json_pack("{s:I,s:I,s:s}", "process", (json_int_t)p.number, "pid",
                                              (json_int_t)p.pid, "program", slash ? slash + 1 : exe));
        free(exe);
    }
    return list;
}

/* What the processes add up to. */
struct totals {
    struct process_rec first; /* the wanted process, or the one with the lowest number */
    ref_t first_ref;
    u64 operations, handler_events;
    u32 processes, threads, python;
    bool futex_unseen;
};

static void count_processes(struct totals *t, u32 only)
{
    struct view_walk walk = {0};
    struct process_rec p;
    for (ref_t at; (at = view_next(POOL_PROCESS, &walk, &p, sizeof p));) {
        if (!p.number || (only && p.number != only))
            continue;
        if (!t->processes || p.number < t->first.number) {
            t->first = p;
            t->first_ref = at;
        }
        t->processes++;
        t->threads += p.nthreads_ever;
        t->operations += p.operations;
        t->handler_events += p.dropped_in_handler;
        t->futex_unseen |= (p.flags & PROCESS_FUTEX_UNSEEN) != 0;
        t->python = p.python ? p.python : t->python;
    }
}

/* Ended threads have added their operations to their process; the others still have them. */
static void count_threads(struct totals *t, u32 only)
{
    struct view_walk walk = {0};
    struct thread_rec r;
    while (view_next(POOL_THREAD, &walk, &r, sizeof r))
        if ((r.state == THREAD_RUNNING || r.state == THREAD_NEW) && (!only || r.process == t->first_ref))
            t->operations += r.operations;
}

static void add_losses(json_t *run, const struct run_state *state, const struct totals *t)
{
    json_t *losses = json_array();
    for (u32 i = 0; i < LOSS_COUNT; i++) {
        u64 n = state->lost[i] + (i == LOSS_handler_events ? t->handler_events : 0);
        if (n)
            json_array_append_new(losses, json_pack("{s:s,s:I,s:s}", "name", loss_names[i], "count",
                                                    (json_int_t)(n & INT64_MAX), "text", loss_texts[i]));
    }
    json_object_set_new(run, "losses", losses);
}

static const char *const hows[] = {"auto", "compiled", "none", "rewrite"}; /* enum access_source */

static void add_options(json_t *run, const struct run_options *o)
{
    static const char *const whats[] = {"abort", "report", "break"};
    json_t *detect = json_array();
    if (o->detect & DETECT_DEADLOCK)
        json_array_append_new(detect, json_string("deadlock"));
    if (o->detect & DETECT_MISUSE)
        json_array_append_new(detect, json_string("misuse"));
    if (o->detect & DETECT_RACE)
        json_array_append_new(detect, json_string("race"));
    if (o->detect & DETECT_ATOMICITY)
        json_array_append_new(detect, json_string("atomicity"));
    if (o->detect & DETECT_CONTENTION)
        json_array_append_new(detect, json_string("contention"));
    json_t *options = json_pack("{s:o,s:s,s:s,s:b,s:I}", "detect", detect, "accesses",
                                hows[o->accesses < ARRAY_LEN(hows) ? o->accesses : 0], "on-deadlock",
                                whats[o->on_deadlock < 3 ? o->on_deadlock : 0], "follow", o->follow != 0, "stack-depth",
                                (json_int_t)o->stack_depth);
    if (o->modules[0] && memchr(o->modules, 0, sizeof o->modules))
        json_object_set_new(options, "modules", names_text(o->modules));
    if (o->perturb)
        json_object_set_new(options, "perturb", json_integer((json_int_t)(o->perturb_seed & INT64_MAX)));
    if (o->halt)
        json_object_set_new(options, "halt", json_true());
    json_object_set_new(run, "options", options);
}

/* What watching took: everything that left the fast path, and the memory for what is known. */
static void add_cost(json_t *run, const struct run_state *state)
{
    struct view_walk walk = {0};
    struct lock_rec l;
    u64 waits = 0;
    while (view_next(POOL_LOCK, &walk, &l, sizeof l))
        waits += l.contended;
    u64 slow = waits + state->nnodes;
    json_object_set_new(run, "cost",
                        json_pack("{s:I,s:I,s:I,s:I,s:I}", "slow", (json_int_t)(slow & INT64_MAX), "waits",
                                  (json_int_t)waits, "orders", (json_int_t)state->nnodes, "stacks",
                                  (json_int_t)state->nstacks, "bytes", (json_int_t)(arena_used() & INT64_MAX)));
    if (state->rewritten_bytes)
        json_object_update_new(json_object_get(run, "cost"),
                               json_pack("{s:I,s:I,s:I}", "rewritten_bytes",
                                         (json_int_t)(state->rewritten_bytes & INT64_MAX), "rewritten_cached_bytes",
                                         (json_int_t)(state->rewritten_cached & INT64_MAX), "rewriting_ms",
                                         (json_int_t)(state->rewritten_cpu_ns / 1000000)));
}

static json_t *command_of(const struct collect_input *in, const struct totals *t)
{
    if (in->command)
        return json_deep_copy(in->command);
    char *exe = view_string(t->first.exe);
    json_t *command = json_pack("[s]", *exe ? exe : "?");
    free(exe);
    return command;
}

static json_t *exit_of(const struct collect_input *in)
{
    if (in->ended && WIFSIGNALED(in->status))
        return json_pack("{s:i}", "signal", WTERMSIG(in->status));
    return in->ended ? json_pack("{s:i}", "status", WEXITSTATUS(in->status)) : json_null();
}

static json_t *run_section(const struct collect_input *in, const struct run_state *state, const struct totals *t)
{
    double seconds = in->duration_s;
    if (seconds <= 0 && state->end_ns > state->start_ns)
        seconds = (double)(state->end_ns - state->start_ns) / 1e9;
    u64 locks = 0;
    for (u32 k = OBJ_MUTEX; k <= OBJ_CUSTOM; k++)
        locks += state->objects_seen[k];
    json_t *run = json_object();
    json_object_set_new(run, "command", command_of(in, t));
    json_object_set_new(run, "pid", json_integer(t->first.pid));
    json_object_set_new(run, "processes", json_integer(t->processes));
    json_object_set_new(run, "threads", json_integer(t->threads));
    json_object_set_new(run, "locks", json_integer((json_int_t)(locks & INT64_MAX)));
    json_object_set_new(run, "lock_operations", json_integer((json_int_t)(t->operations & INT64_MAX)));
    json_object_set_new(run, "accesses",
                        json_string(state->accesses ? hows[state->accesses % ARRAY_LEN(hows)] : "none"));
    if (state->accesses == ACCESSES_REWRITE)
        json_object_set_new(run, "coverage", collect_coverage(in->only_process ? t->first_ref : 0));
    if (t->python)
        json_object_set_new(run, "python", json_true());
    json_object_set_new(run, "duration_s", json_real(seconds > 0 && seconds < 1e12 ? seconds : 0));
    json_object_set_new(run, "exit", exit_of(in));
    json_object_set_new(run, "process_list", collect_processes());
    add_options(run, &state->options);
    add_losses(run, state, t);
    json_t *notes = json_array();
    if (t->futex_unseen)
        json_array_append_new(
            notes, json_string("this program waits on futexes that snarl does not see: locks of its own, or of a "
                               "library that does not use pthread's, are not in this report"));
    if (state->halted)
        json_array_append_new(notes, json_string("the program was ended at its first finding (--halt)"));
    collect_modules_unmet(notes, state);
    json_object_set_new(run, "notes", notes);
    add_cost(run, state);
    return run;
}

static bool wanted(const struct collect_input *in, const struct totals *t, const struct finding_rec *f, ref_t at)
{
    bool listed = !in->only;
    for (u32 i = 0; in->only && i < in->nonly; i++)
        listed |= in->only[i] == at;
    return listed && f->complete && (!in->only_process || f->process == t->first_ref);
}

static json_t *findings(struct names *n, const struct run_state *state, const struct totals *t,
                        const struct collect_input *in)
{
    json_t *list = json_array();
    struct finding_rec f;
    ref_t at = state->findings;
    for (u32 seen = 0; seen < MAX_FINDINGS && view_get(at, &f, sizeof f); seen++, at = f.next) {
        if (!wanted(in, t, &f, at))
            continue;
        json_t *j = collect_finding(n, &f, at);
        if (j)
            json_array_append_new(list, j);
    }
    group_findings(list);
    return list;
}

void collect_several(void)
{
    names_keep();
}

json_t *collect_document(const struct collect_input *in)
{
    struct run_state state;
    struct totals t = {0};
    json_t *doc = json_object();
    view_run(&state);
    count_processes(&t, in->only_process);
    count_threads(&t, in->only_process);
    struct names *n = names_new();
    json_object_set_new(doc, "schema", json_string("snarl/1"));
    json_object_set_new(doc, "tool", json_pack("{s:s,s:s}", "name", "snarl", "version", SNARL_VERSION));
    json_t *run = run_section(in, &state, &t);
    json_object_set_new(doc, "run", run);
    json_object_set_new(doc, "findings", findings(n, &state, &t, in));
    if (in->without_graph)
        json_object_set_new(doc, "lock_graph", json_pack("{s:[],s:[]}", "nodes", "edges"));
    else
        json_object_set_new(doc, "lock_graph", collect_graph(n, in->only_process ? t.first_ref : 0));
    json_object_set_new(doc, "contention", collect_contention(n, in->only_process ? t.first_ref : 0));
    json_object_set_new(run, "symbols", names_advice(n));
    names_free(n);
    return doc;
}
