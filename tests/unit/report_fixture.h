/* Made-up result documents for the tests of the report. */
#ifndef SNARL_TESTS_REPORT_FIXTURE_H
#define SNARL_TESTS_REPORT_FIXTURE_H

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "report/advice.h"
#include "report/identity.h"
#include "unit.h"

/* No test uses all of it. */
#pragma GCC diagnostic ignored "-Wunused-function"

static json_t *rf_frame(const char *function, const char *file, int line)
{
    return json_pack("{s:s,s:s,s:i,s:s,s:s,s:b}", "function", function, "file", file, "line", line, "module",
                     "/opt/app", "offset", "0x1234", "inlined", 0);
}

/* A frame of a library or of the start code. */
static json_t *rf_system(const char *function)
{
    json_t *f = rf_frame(function, "/usr/src/x.c", 1);
    json_object_set_new(f, "system", json_true());
    json_object_set_new(f, "module", json_string("/usr/lib/libx.so"));
    return f;
}

static json_t *rf_lock(const char *class, const char *local, int instance)
{
    json_t *l =
        json_pack("{s:s,s:s,s:b,s:[],s:i}", "class", class, "kind", "mutex", "shared", 0, "born", "instance", instance);
    if (local)
        json_object_set_new(l, "local", json_string(local));
    return l;
}

static json_t *rf_event(int thread, const char *action, const char *class, int instance, json_t *stack)
{
    return json_pack("{s:i,s:i,s:s,s:s,s:s,s:i,s:[],s:o}", "process", 1, "thread", thread, "thread_name", "", "action",
                     action, "object", class, "instance", instance, "held", "stack", stack);
}

/* The textbook cycle: T2 holds a and asks for b in first(), T3 the other way round in second(). Without id and
 * texts. */
static json_t *rf_cycle(const char *kind, const char *verdict, const char *module)
{
    char a[64], b[64];
    snprintf(a, sizeof a, "%s:bug.c:lock_a", module);
    snprintf(b, sizeof b, "%s:bug.c:lock_b", module);
    const char *ask = strcmp(kind, "deadlock") == 0 ? "wait" : "acquire";
    json_t *f = json_pack("{s:s,s:s,s:s,s:s,s:s,s:s,s:i}", "id", "", "kind", kind, "verdict", verdict, "title", "",
                          "why", "", "fix", "", "count", 1);
    json_object_set_new(f, "locks", json_pack("[o,o]", rf_lock(a, "bug.c:lock_a", 1), rf_lock(b, "bug.c:lock_b", 2)));
    json_t *events = json_array();
    json_array_append_new(
        events,
        rf_event(2, "hold", a, 1, json_pack("[o,o]", rf_frame("first", "bug.c", 10), rf_system("start_thread"))));
    json_array_append_new(
        events, rf_event(2, ask, b, 2, json_pack("[o,o]", rf_frame("first", "bug.c", 12), rf_system("start_thread"))));
    json_array_append_new(
        events,
        rf_event(3, "hold", b, 2, json_pack("[o,o]", rf_frame("second", "bug.c", 20), rf_system("start_thread"))));
    json_array_append_new(
        events, rf_event(3, ask, a, 1, json_pack("[o,o]", rf_frame("second", "bug.c", 22), rf_system("start_thread"))));
    json_object_set_new(f, "events", events);
    json_object_set_new(f, "counts", json_true());
    json_object_set_new(f, "flags", json_array());
    json_object_set_new(f, "threads",
                        json_pack("[{s:i,s:i,s:s},{s:i,s:i,s:s,s:s}]", "thread", 2, "process", 1, "name", "worker",
                                  "thread", 3, "process", 1, "name", "", "start", "second"));
    return f;
}

static json_t *rf_finished(json_t *finding)
{
    identity_set(finding);
    advice_write(finding);
    return finding;
}

static json_t *rf_document(json_t *finding)
{
    json_t *d = json_pack("{s:s,s:{s:s,s:s},s:{s:[s],s:i,s:i,s:i,s:i,s:i},s:[],s:{s:[],s:[]},s:[]}", "schema",
                          "snarl/1", "tool", "name", "snarl", "version", "0", "run", "command", "./app", "pid", 42,
                          "processes", 1, "threads", 3, "locks", 2, "lock_operations", 8, "findings", "lock_graph",
                          "nodes", "edges", "contention");
    if (finding)
        json_array_append_new(json_object_get(d, "findings"), finding);
    return d;
}

static const char *rf_text(const json_t *object, const char *key)
{
    const char *s = json_string_value(json_object_get(object, key));
    return s ? s : "";
}

#endif
