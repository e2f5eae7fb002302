/* Static findings and runs. Called by `snarl scan --with` and `snarl run --with-scan`. Takes no locks; allocates with malloc.
 *
 * A run keeps the places where locks are taken and those of what it found, not every access. So a place counts as exercised when
 * a function there appears in something that a run has kept; that it does not appear is weaker than a coverage tool's word. */
#include "with_scan.h"

#include <stdlib.h>
#include <string.h>

#include "label.h"

#define MOST_GAPS 20

static const char *const states[] = {"confirmed", "order-observed", "partly-exercised", "not-exercised"};
enum { CONFIRMED, ORDER_OBSERVED, PARTLY_EXERCISED, NOT_EXERCISED, STATES };

static const char *const sentences[STATES] = {
    "A run has found it, too.",
    "Runs went through all of its places, in an order that did no harm; another schedule may.",
    "Runs went through some of its places, not all.",
    "No run came to any of its places.",
};

/* ---- what runs have kept ---- */

static void note_stack(json_t *seen, const json_t *stack)
{
    const json_t *frame;
    size_t i;
    json_array_foreach (stack, i, frame)
        json_object_set_new(seen, label_text(frame, "function"), json_true());
}

static void note_finding(json_t *seen, const json_t *f)
{
    const json_t *event, *held;
    size_t i, k;
    json_array_foreach (json_object_get(f, "events"), i, event) {
        note_stack(seen, json_object_get(event, "stack"));
        json_array_foreach (json_object_get(event, "held_at"), k, held)
            note_stack(seen, json_object_get(held, "stack"));
    }
    note_stack(seen, json_object_get(f, "other_places"));
}

/* A lock's name without module, file and number of an element: what both sides have in common. malloc'd. */
static char *plain_name(const char *class)
{
    char *name = strdup(label_short(class)), *to = name;
    if (!name)
        abort();
    for (const char *c = name; *c; c++) {
        if (*c == '[')
            while (c[1] && *c != ']')
                c++;
        else
            *to++ = *c;
    }
    *to = 0;
    return name;
}

static char *edge_name(const char *from, const char *to)
{
    struct buffer b = {0};
    char *x = plain_name(from), *y = plain_name(to);
    buffer_print(&b, "%s < %s", x, y);
    free(x);
    free(y);
    return buffer_take(&b);
}

struct seen {
    json_t *functions, *edges;
};

static struct seen look(const json_t *runs)
{
    struct seen s = {json_object(), json_object()};
    const json_t *item, *graph = json_object_get(runs, "lock_graph");
    size_t i;
    json_array_foreach (json_object_get(runs, "findings"), i, item)
        note_finding(s.functions, item);
    json_array_foreach (json_object_get(graph, "edges"), i, item) {
        char *name = edge_name(label_text(item, "from"), label_text(item, "to"));
        json_object_set_new(s.edges, name, json_true());
        note_stack(s.functions, json_object_get(item, "stack"));
        free(name);
    }
    return s;
}

/* ---- the same finding ---- */

static const char *family(const json_t *f)
{
    const char *kind = label_text(f, "kind");
    if (strcmp(kind, "deadlock") == 0 || strcmp(kind, "stuck") == 0)
        return "lock-order";
    return strcmp(kind, "unprotected") == 0 || strcmp(kind, "atomicity") == 0 ? "data-race" : kind;
}

static bool same_names(const json_t *x, const json_t *y)
{
    json_t *names = json_object();
    const json_t *lock;
    size_t i, n = 0, m = 0;
    json_array_foreach (json_object_get(x, "locks"), i, lock) {
        char *name = plain_name(label_text(lock, "class"));
        json_object_set_new(names, name, json_true());
        free(name);
    }
    json_array_foreach (json_object_get(y, "locks"), i, lock) {
        char *name = plain_name(label_text(lock, "class"));
        n += json_object_get(names, name) != NULL;
        m++;
        free(name);
    }
    bool same = m && n == m;
    json_decref(names);
    return same;
}

static bool same_frame(const json_t *x, const json_t *y)
{
    return *label_text(x, "function") && strcmp(label_text(x, "function"), label_text(y, "function")) == 0 &&
           label_number(x, "line") == label_number(y, "line");
}

/* Each side of the one is at a place of the other. */
static bool same_places(const json_t *x, const json_t *y)
{
    const json_t *one, *two;
    size_t i, k, n = 0;
    json_array_foreach (json_object_get(x, "events"), i, one) {
        bool found = false;
        json_array_foreach (json_object_get(y, "events"), k, two)
            found |= same_frame(label_frame(json_object_get(one, "stack")), label_frame(json_object_get(two, "stack")));
        if (!found)
            return false;
        n++;
    }
    return n != 0;
}

static bool same_memory(const json_t *x, const json_t *y)
{
    char *one = plain_name(label_text(json_object_get(x, "memory"), "name"));
    char *two = plain_name(label_text(json_object_get(y, "memory"), "name"));
    bool same = *one && strcmp(one, two) == 0;
    free(one);
    free(two);
    return same;
}

static bool same_finding(const json_t *x, const json_t *y)
{
    if (strcmp(label_text(x, "id"), label_text(y, "id")) == 0)
        return true;
    if (strcmp(family(x), family(y)) != 0 || strcmp(label_text(x, "rule"), label_text(y, "rule")) != 0)
        return false;
    if (strcmp(family(x), "data-race") == 0)
        return same_memory(x, y) || same_places(x, y);
    return same_names(x, y);
}

/* ---- what runs say of a static finding ---- */

static bool is_exercised(const struct seen *s, const json_t *event)
{
    const json_t *frame = label_frame(json_object_get(event, "stack"));
    return frame && json_object_get(s->functions, label_text(frame, "function")) != NULL;
}

/* Counts its sides, and those that runs came to; adds the others to `gaps`. */
static size_t exercised(const struct seen *s, const json_t *f, size_t *all, json_t *gaps)
{
    const json_t *event, *hold = NULL;
    size_t i, n = 0;
    *all = 0;
    json_array_foreach (json_object_get(f, "events"), i, event) {
        bool seen;
        if (label_is(event, "action", "hold")) {
            hold = event;
            continue;
        }
        if (hold && label_is(f, "kind", "lock-order")) {
            char *name = edge_name(label_text(hold, "object"), label_text(event, "object"));
            seen = json_object_get(s->edges, name) != NULL;
            free(name);
        } else {
            seen = is_exercised(s, event);
        }
        hold = NULL;
        n += seen;
        ++*all;
        const json_t *frame = seen ? NULL : label_frame(json_object_get(event, "stack"));
        if (frame)
            json_array_append(gaps, (json_t *)frame);
    }
    return n;
}

static void lower(json_t *f)
{
    const char *now = label_text(f, "confidence");
    json_object_set_new(f, "confidence", json_string(strcmp(now, "high") == 0 ? "medium" : "low"));
}

static void judge_finding(json_t *f, const struct seen *s, json_t *gaps)
{
    size_t all, i, n;
    json_t *unseen = json_array(), *frame;
    n = exercised(s, f, &all, unseen);
    int state = n == all ? ORDER_OBSERVED : n ? PARTLY_EXERCISED : NOT_EXERCISED;
    json_object_set_new(f, "runs", json_pack("{s:s}", "state", states[state]));
    if (state == ORDER_OBSERVED)
        lower(f);
    json_array_foreach (unseen, i, frame) {
        json_t *gap = json_copy(frame);
        json_object_set(gap, "finding", json_object_get(f, "id"));
        json_array_append_new(gaps, gap);
    }
    json_decref(unseen);
}

/* What a run has found, with what the scan says of it. */
static json_t *take_found(const json_t *run_finding, const json_t *scan)
{
    json_t *f = json_deep_copy(run_finding), *item;
    size_t i;
    json_array_foreach (json_object_get(scan, "findings"), i, item)
        if (same_finding(item, f)) {
            json_object_set_new(f, "runs", json_pack("{s:s}", "state", states[CONFIRMED]));
            json_object_set_new(f, "scan", json_pack("{s:O}", "finding", json_object_get(item, "id")));
            break;
        }
    return f;
}

static bool is_found(const json_t *f, const json_t *runs)
{
    const json_t *item;
    size_t i;
    json_array_foreach (json_object_get(runs, "findings"), i, item)
        if (same_finding(f, item))
            return true;
    return false;
}

static int by_state(const void *a, const void *b)
{
    const json_t *x = *(json_t *const *)a, *y = *(json_t *const *)b;
    static const char *const sure[] = {"high", "medium", "low"};
    size_t i, k;
    for (i = 0; i < 3 && !label_is(x, "confidence", sure[i]); i++)
        ;
    for (k = 0; k < 3 && !label_is(y, "confidence", sure[k]); k++)
        ;
    if (i == k) /* as they stood */
        return (label_number(x, "place") > label_number(y, "place")) -
               (label_number(x, "place") < label_number(y, "place"));
    return i < k ? -1 : 1;
}

/* Static findings that no run has, sorted anew. */
static void add_static(json_t *findings, const json_t *scan, const json_t *runs, json_t *gaps)
{
    struct seen s = look(runs);
    const json_t *item;
    size_t i, n = 0;
    json_t **left = malloc((json_array_size(json_object_get(scan, "findings")) + 1) * sizeof *left);
    if (!left)
        abort();
    json_array_foreach (json_object_get(scan, "findings"), i, item) {
        if (is_found(item, runs))
            continue; /* told as the run tells it */
        left[n] = json_deep_copy(item);
        json_object_set_new(left[n], "place", json_integer((json_int_t)i));
        judge_finding(left[n++], &s, gaps);
    }
    if (n)
        qsort(left, n, sizeof *left, by_state);
    for (i = 0; i < n; i++) {
        json_object_del(left[i], "place");
        json_array_append_new(findings, left[i]);
    }
    free(left);
    json_decref(s.functions);
    json_decref(s.edges);
}

json_t *with_scan_join(const json_t *scan, const json_t *runs)
{
    json_t *d = json_copy((json_t *)runs), *findings = json_array(), *gaps = json_array();
    const json_t *item;
    size_t i;
    json_array_foreach (json_object_get(runs, "findings"), i, item)
        json_array_append_new(findings, take_found(item, scan));
    add_static(findings, scan, runs, gaps);
    json_object_set_new(d, "findings", findings);
    json_object_set_new(d, "not_exercised", gaps);
    json_object_set(d, "scan", json_object_get(scan, "run"));
    return d;
}

/* ---- text ---- */

void with_scan_text(struct text *t, const json_t *finding)
{
    const char *state = label_text(json_object_get(finding, "runs"), "state");
    bool by_scan = json_is_object(json_object_get(finding, "scan"));
    for (int i = 0; i < STATES; i++)
        if (strcmp(state, states[i]) == 0) {
            text_put(t, STYLE_STRONG, "  run ");
            text_wrap(t, by_scan ? "The scan of the sources has found it, too." : sentences[i], 6);
        }
}

void with_scan_gaps(struct text *t, const json_t *document)
{
    const json_t *gap;
    json_t *told = json_object();
    size_t i, n = 0;
    json_array_foreach (json_object_get(document, "not_exercised"), i, gap) {
        struct buffer b = {0};
        buffer_print(&b, "%s() at %s:%lld", label_text(gap, "function"), text_path(label_text(gap, "file")),
                     (long long)label_number(gap, "line"));
        char *place = buffer_take(&b);
        if (!json_object_get(told, place)) {
            if (n == 0)
                text_put(t, STYLE_STRONG, "snarl: places of static findings that no run came to:\n");
            if (n++ < MOST_GAPS)
                buffer_print(&t->out, "  %s  %s\n", label_text(gap, "finding"), place);
            json_object_set_new(told, place, json_true());
        }
        free(place);
    }
    if (n > MOST_GAPS)
        buffer_print(&t->out, "  and %zu more\n", n - MOST_GAPS);
    if (n)
        buffer_put(&t->out, "\n");
    json_decref(told);
}
