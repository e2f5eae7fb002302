/* SARIF 2.1.0: the log, its one run, its results. Called through format.h. Takes no locks; allocates with malloc.
 *
 * Kept within what GitHub's code scanning takes of a run: results, locations of a result and of its flows, lengths of
 * texts. What had to be left out is said in a notification. */
#include "sarif.h"

#include <stdlib.h>
#include <string.h>

#include "format.h"
#include "label.h"
#include "markup.h"
#include "place.h"
#include "sides.h"

#define MAX_RESULTS 25000
#define MAX_RELATED 100
#define MAX_STEPS 1000
#define MAX_STACK 64
#define MAX_MESSAGE 8000
#define ROOT "SRCROOT"

static json_t *message(const char *text)
{
    char *clipped = markup_clip(text, MAX_MESSAGE);
    json_t *j = json_pack("{s:s}", "text", clipped);
    free(clipped);
    return j;
}

static json_t *artifact(const json_t *frame)
{
    const char *file = place_file(frame), *path = place_path(file);
    struct buffer uri = {0};
    place_uri(&uri, *path ? path : "unknown");
    json_t *j = json_pack("{s:s}", "uri", uri.text);
    if (path != file)
        json_object_set_new(j, "uriBaseId", json_string(ROOT));
    free(buffer_take(&uri));
    return j;
}

static json_t *region(const json_t *frame)
{
    json_int_t line = label_number(frame, "line"), column = label_number(frame, "column");
    json_t *j = json_pack("{s:I}", "startLine", line);
    if (column > 0)
        json_object_set_new(j, "startColumn", json_integer(column));
    return j;
}

/* A place in a stack; text: what happens there, or NULL. */
static json_t *location(const json_t *frame, const char *text)
{
    json_t *physical = json_pack("{s:o}", "artifactLocation", artifact(frame)), *j;
    if (label_number(frame, "line") > 0 && *label_text(frame, "file"))
        json_object_set_new(physical, "region", region(frame));
    j = json_pack("{s:o}", "physicalLocation", physical);
    if (*label_text(frame, "function"))
        json_object_set_new(
            j, "logicalLocations",
            json_pack("[{s:s,s:s}]", "fullyQualifiedName", label_text(frame, "function"), "kind", "function"));
    if (text)
        json_object_set_new(j, "message", message(text));
    return j;
}

static json_t *stack_of(const json_t *frames, const char *text, json_int_t thread)
{
    json_t *list = json_array();
    const json_t *frame;
    size_t i;
    json_array_foreach (frames, i, frame) {
        if (i == MAX_STACK)
            break;
        json_t *f = json_pack("{s:o}", "location", location(frame, NULL));
        const char *module = label_text(frame, "module"), *slash = strrchr(module, '/');
        if (*module)
            json_object_set_new(f, "module", json_string(slash && slash[1] ? slash + 1 : module));
        if (thread > 0)
            json_object_set_new(f, "threadId", json_integer(thread));
        json_array_append_new(list, f);
    }
    return json_pack("{s:o,s:o}", "message", message(text), "frames", list);
}

/* ---- flows: what each thread does ---- */

static json_t *held_state(const json_t *event)
{
    const json_t *held = json_object_get(event, "held"), *class;
    struct buffer b = {0};
    size_t i;
    json_array_foreach (held, i, class)
        if (json_is_string(class))
            buffer_print(&b, "%s%s", b.length ? ", " : "", json_string_value(class));
    json_t *state = b.length ? json_pack("{s:o}", "held locks", message(b.text)) : NULL;
    free(buffer_take(&b));
    return state;
}

static json_t *flow_step(const json_t *stack, const char *text, const json_t *event, size_t order,
                         const char *importance)
{
    json_t *step = json_pack("{s:o,s:s}", "location", location(place_frame(stack), text), "importance", importance);
    json_t *state = event ? held_state(event) : NULL;
    if (state)
        json_object_set_new(step, "state", state);
    if (order)
        json_object_set_new(step, "executionOrder", json_integer((json_int_t)order));
    return step;
}

/* The thread's flow in the list, made when it is not there yet. Borrowed. */
static json_t *flow_of(json_t *flows, const struct side *s)
{
    json_t *flow;
    size_t i;
    json_array_foreach (flows, i, flow) {
        if (label_is(flow, "id", s->who))
            return json_object_get(flow, "locations");
    }
    flow = json_pack("{s:s,s:o,s:[]}", "id", s->who, "message", message(s->who), "locations");
    json_array_append_new(flows, flow);
    return json_object_get(flow, "locations");
}

/* In a cycle all first locks are taken before any second one is asked for; what is read and written back has the order
 * in which it is told; two accesses of a race have none. */
static json_t *flows_of(const json_t *f, const struct side *s, size_t n)
{
    json_t *flows = json_array();
    bool pair = label_is(f, "kind", "atomicity");
    size_t steps = 0;
    for (size_t i = 0; i < n; i++) {
        json_t *list = flow_of(flows, &s[i]);
        for (size_t k = 0; k < s[i].nlocks && steps < MAX_STEPS; k++, steps++)
            if (s[i].locks[k].stack)
                json_array_append_new(list, flow_step(s[i].locks[k].stack, s[i].locks[k].text, NULL,
                                                      s[i].hold && k == 0 ? i + 1 : 0, "important"));
        size_t order = s[i].hold ? n + i + 1 : pair ? i + 1 : 0;
        if (steps++ < MAX_STEPS)
            json_array_append_new(
                list, flow_step(json_object_get(s[i].event, "stack"), s[i].text, s[i].event, order, "essential"));
    }
    for (size_t i = json_array_size(flows); i-- > 0;)
        if (!json_array_size(json_object_get(json_array_get(flows, i), "locations")))
            json_array_remove(flows, i);
    return flows;
}

/* ---- results ---- */

static json_t *text_of(const json_t *f)
{
    struct buffer b = {0};
    char *title = markup_clip(label_text(f, "title"), MAX_MESSAGE / 4);
    buffer_print(&b, "%s\n%s\nFix: %s", title, label_text(f, "why"), label_text(f, "fix"));
    json_t *j = message(b.text);
    free(title);
    free(buffer_take(&b));
    return j;
}

static json_t *suppressions(const json_t *f)
{
    const char *rule = json_string_value(json_object_get(f, "suppressed_by"));
    if (!rule && !json_is_true(json_object_get(f, "in_baseline")))
        return json_array();
    char *why = markup_clip(rule ? rule : "accepted in the baseline", MAX_MESSAGE);
    json_t *j = json_pack("[{s:s,s:s,s:s}]", "kind", "external", "status", "accepted", "justification", why);
    free(why);
    return j;
}

static void add_sides(json_t *result, const json_t *f)
{
    size_t n;
    struct side *s = sides_of(f, &n);
    json_t *related = json_array(), *stacks = json_array(), *flows = flows_of(f, s, n);
    for (size_t i = 0; i < n && i < MAX_RELATED; i++) {
        const json_t *stack = json_object_get(s[i].event, "stack");
        json_t *l = location(place_frame(stack), s[i].text);
        json_object_set_new(l, "id", json_integer((json_int_t)i + 1));
        json_array_append_new(related, l);
        if (json_array_size(stack))
            json_array_append_new(stacks, stack_of(stack, s[i].text, s[i].thread));
    }
    json_object_set_new(result, "relatedLocations", related);
    json_object_set_new(result, "stacks", stacks);
    if (json_array_size(flows))
        json_object_set_new(result, "codeFlows", json_pack("[{s:o}]", "threadFlows", flows));
    else
        json_decref(flows);
    sides_free(s, n);
}

static json_t *result_of(const json_t *f, json_t *rules)
{
    static const char *const levels[LEVEL_COUNT] = {"error", "warning", "note"};
    const char *id = label_text(f, "id");
    json_int_t count = label_number(f, "count");
    size_t rule = sarif_rule(rules, format_page(f));
    json_t *r = json_pack("{s:s,s:I,s:s,s:o,s:[o],s:o}", "ruleId", label_text(json_array_get(rules, rule), "id"),
                          "ruleIndex", (json_int_t)rule, "level", levels[format_level(f)], "message", text_of(f),
                          "locations", location(place_of(f), NULL), "suppressions", suppressions(f));
    if (count > 0)
        json_object_set_new(r, "occurrenceCount", json_integer(count));
    /* The first name is the one that GitHub follows alerts by. */
    json_object_set_new(r, "partialFingerprints",
                        json_pack("{s:s,s:s}", "primaryLocationLineHash", id, "snarlId/v1", id));
    json_t *more = json_pack("{s:s,s:s,s:s,s:b}", "kind", label_text(f, "kind"), "verdict", label_text(f, "verdict"),
                             "title", label_text(f, "title"), "counts", !format_excuse(f));
    if (json_is_array(json_object_get(f, "owners")))
        json_object_set(more, "owners", json_object_get(f, "owners"));
    json_object_set_new(r, "properties", more);
    add_sides(r, f);
    return r;
}

/* ---- the run ---- */

static json_t *notification(const char *level, const char *text)
{
    return json_pack("{s:s,s:o}", "level", level, "message", message(text));
}

static json_t *invocation(const json_t *document, size_t left_out)
{
    const json_t *run = json_object_get(document, "run"), *exit = json_object_get(run, "exit"), *item;
    json_t *notes = json_array(), *j = json_pack("{s:b}", "executionSuccessful", 1), *words = json_array();
    size_t i;
    json_array_foreach (json_object_get(run, "command"), i, item)
        if (json_is_string(item))
            json_array_append(words, (json_t *)item);
    json_object_set_new(j, "arguments", words);
    if (json_is_integer(json_object_get(exit, "status")))
        json_object_set(j, "exitCode", json_object_get(exit, "status"));
    if (json_is_integer(json_object_get(exit, "signal")))
        json_object_set(j, "exitSignalNumber", json_object_get(exit, "signal"));
    json_array_foreach (json_object_get(run, "losses"), i, item)
        json_array_append_new(
            notes, notification("warning", json_is_string(item) ? json_string_value(item) : label_text(item, "text")));
    if (left_out) {
        struct buffer b = {0};
        buffer_print(&b, "%zu less grave findings are left out: a run has %d results at most", left_out, MAX_RESULTS);
        json_array_append_new(notes, notification("warning", b.text));
        free(buffer_take(&b));
    }
    json_object_set_new(j, "toolExecutionNotifications", notes);
    return j;
}

static json_t *driver(const json_t *document, json_t *rules)
{
    const char *version = label_text(json_object_get(document, "tool"), "version");
    json_t *j = json_pack("{s:s,s:o}", "name", "snarl", "rules", rules);
    if (*version)
        json_object_set_new(j, "version", json_string(version));
    return j;
}

char *format_sarif(const json_t *document)
{
    size_t n;
    const json_t **list = format_sorted(document, &n);
    json_t *rules = json_array(), *results = json_array();
    struct buffer root = {0};
    for (size_t i = 0; i < n && i < MAX_RESULTS; i++)
        json_array_append_new(results, result_of(list[i], rules));
    place_uri(&root, place_root());
    if (root.text[root.length - 1] != '/')
        buffer_put(&root, "/");
    json_t *log =
        json_pack("{s:s,s:s,s:[{s:{s:o},s:o,s:s,s:{s:{s:s}},s:[o]}]}", "$schema",
                  "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json",
                  "version", "2.1.0", "runs", "tool", "driver", driver(document, rules), "results", results,
                  "columnKind", "utf16CodeUnits", "originalUriBaseIds", ROOT, "uri", root.text, "invocations",
                  invocation(document, n > MAX_RESULTS ? n - MAX_RESULTS : 0));
    char *text = format_json(log);
    json_decref(log);
    free(list);
    free(buffer_take(&root));
    return text;
}
