/* The text report: findings. Called by the verbs run, report and scan. Takes no locks; allocates with malloc. */
#include "text.h"

#include <stdlib.h>
#include <string.h>

#include "advice.h"
#include "escape.h"
#include "label.h"
#include "with_scan.h"

#define MAX_SIDES 8
#define MAX_SHORT 50

static const char *const style_codes[] = {"", "\033[1;31m", "\033[1;33m", "\033[1m", "\033[2m", "\033[36m"};

void text_put(struct text *t, enum style style, const char *s)
{
    bool colored = t->o->color && style != STYLE_NONE && *s;
    if (colored)
        buffer_put(&t->out, style_codes[style]);
    buffer_put(&t->out, s);
    if (colored)
        buffer_put(&t->out, "\033[0m");
}

void text_label(struct text *t, enum style style, char *label)
{
    text_put(t, style, *label ? label : "?");
    free(label);
}

void text_wrap(struct text *t, const char *s, unsigned indent)
{
    unsigned width = t->o->width ? t->o->width : 100, column = indent;
    if (width < indent + 30)
        width = indent + 30;
    for (bool first = true; *s; first = false) {
        size_t n = strcspn(s, " ");
        char *word = strndup(s, n);
        unsigned columns = word ? (unsigned)escape_columns(word) : 0;
        if (!first && column + 1 + columns > width) {
            buffer_print(&t->out, "\n%*s", (int)indent, "");
            column = indent;
        } else if (!first) {
            buffer_put(&t->out, " ");
            column++;
        }
        if (word)
            buffer_put(&t->out, word);
        column += columns;
        free(word);
        s += n + (s[n] == ' ');
    }
    buffer_put(&t->out, "\n");
}

static void put_title(struct text *t, const json_t *f)
{
    bool observed = label_is(f, "verdict", "observed");
    text_put(t, STYLE_STRONG, "snarl: ");
    text_put(t, observed ? STYLE_ALARM : STYLE_WARN, label_text(f, "title"));
    buffer_put(&t->out, "\n");
    buffer_print(&t->out, "  %s", label_text(f, "kind"));
    if (*label_text(f, "rule"))
        buffer_print(&t->out, " %s", label_text(f, "rule"));
    buffer_print(&t->out, ", %s", label_text(f, "verdict"));
    if (observed)
        buffer_put(&t->out, label_is(f, "kind", "atomicity") ? ": the other write came in between in this run"
                            : json_object_get(f, "memory")   ? ": both accesses happened in this run"
                                                             : ": it happened in this run");
    if (*label_text(f, "confidence"))
        buffer_print(&t->out, ", %s confidence", label_text(f, "confidence"));
    json_int_t count = label_is(f, "verdict", "static") ? 1 : label_number(f, "count");
    if (count > 1) /* a deadlock's also counts how often its order was seen without one */
        buffer_print(&t->out, label_is(f, "kind", "deadlock") ? "; its order was seen %lld times" : ", seen %lld times",
                     (long long)count);
    buffer_put(&t->out, "\n\n");
}

/* What the event's thread does to its object, after "T2 (worker) ". */
static const char *verb_of(const json_t *f, const json_t *event)
{
    static const struct {
        const char *rule, *verb;
    } by_rule[] = {
        {"unlock-not-owner", "unlocks "},     {"unlock-not-locked", "unlocks "},
        {"relock", "asks again for "},        {"destroy-locked", "destroys "},
        {"use-destroyed", "uses "},           {"lock-left-at-thread-exit", "ended and still held "},
        {"wait-without-lock", "waits with "}, {"wait-two-mutexes", "waits with "},
        {"fork-while-locked", "takes "},      {"rwlock-upgrade", "asks for writing of "},
        {"not-initialised", "uses "},         {"returns-holding", "takes "},
    };
    static const struct {
        const char *action, *verb;
    } by_action[] = {{"acquire", "takes "},    {"hold", "holds "}, {"wait", "waits for "},  {"release", "unlocks "},
                     {"destroy", "destroys "}, {"init", "made "},  {"exit", "ended with "}, {"fork", "forked with "},
                     {"signal", "signals "},   {"join", "joins "}, {"create", "created "}};
    bool hold = label_is(event, "action", "hold");
    for (size_t i = 0; !hold && i < sizeof by_rule / sizeof *by_rule; i++)
        if (label_is(f, "rule", by_rule[i].rule))
            return by_rule[i].verb;
    for (size_t i = 0; i < sizeof by_action / sizeof *by_action; i++)
        if (label_is(event, "action", by_action[i].action))
            return by_action[i].verb;
    return "does something to ";
}

static void put_mode(struct text *t, const json_t *event)
{
    bool rw = label_is(event, "object_kind", "rwlock");
    if (rw)
        buffer_put(&t->out, label_is(event, "mode", "shared") ? " (reading)" : " (writing)");
    if (json_is_true(json_object_get(event, "timed")))
        buffer_put(&t->out, " (with a time-out)");
    if (json_is_true(json_object_get(event, "after_wait")))
        buffer_put(&t->out, " (again, after a condition wait)");
    if (json_is_true(json_object_get(event, "in_handler")))
        buffer_put(&t->out, " (in a signal handler)");
}

void text_event(struct text *t, const json_t *f, const json_t *event)
{
    buffer_put(&t->out, "  ");
    text_label(t, STYLE_STRONG, label_thread(f, label_number(event, "thread")));
    buffer_print(&t->out, " %s", verb_of(f, event));
    text_label(t, STYLE_STRONG, label_object(f, event));
    put_mode(t, event);
}

/* Locks held at the event, other than the one that `besides` tells of. */
static void put_held(struct text *t, const json_t *f, const json_t *event, const json_t *besides)
{
    const json_t *held;
    size_t i;
    json_array_foreach (json_object_get(event, "held_at"), i, held) {
        if (besides && label_number(held, "instance") == label_number(besides, "instance") &&
            label_is(held, "class", label_text(besides, "object")))
            continue;
        if (label_is(held, "class", LABEL_THREAD_END)) /* every thread of the interpreter holds that, all its life */
            continue;
        char *place = label_place(held);
        buffer_put(&t->out, "    also holds ");
        text_label(t, STYLE_STRONG, label_lock(f, label_text(held, "class"), label_number(held, "instance")));
        if (*place)
            buffer_put(&t->out, ", taken in ");
        text_put(t, STYLE_PLACE, place);
        buffer_put(&t->out, "\n");
        free(place);
    }
    if (label_number(event, "held_more"))
        buffer_print(&t->out, "    and %lld more\n", (long long)label_number(event, "held_more"));
}

void text_step(struct text *t, const json_t *f, const struct advice_step *s)
{
    text_event(t, f, s->ask);
    if (s->hold) {
        buffer_put(&t->out, label_is(s->ask, "action", "wait") ? " and holds " : " while it holds ");
        text_label(t, STYLE_STRONG, label_object(f, s->hold));
    }
    buffer_put(&t->out, "\n");
}

/* One thread of a cycle: what it asks for and where, what it holds and where that was taken. */
static void put_step(struct text *t, const json_t *f, const struct advice_step *s)
{
    text_step(t, f, s);
    text_stack(t, json_object_get(s->ask, "stack"), 6);
    if (s->hold) {
        buffer_put(&t->out, "    ");
        text_label(t, STYLE_STRONG, label_object(f, s->hold));
        put_mode(t, s->hold);
        buffer_put(&t->out, " was taken\n");
        text_stack(t, json_object_get(s->hold, "stack"), 6);
    }
    put_held(t, f, s->ask, s->hold);
    buffer_put(&t->out, "\n");
}

bool text_is_cycle(const json_t *f)
{
    return label_is(f, "kind", "deadlock") || label_is(f, "kind", "lock-order") || label_is(f, "kind", "stuck");
}

static void put_sides(struct text *t, const json_t *f)
{
    size_t n, i;
    const json_t *event;
    struct advice_step *s = advice_steps(f, &n);
    size_t shown = n > MAX_SIDES && !t->o->verbose ? MAX_SIDES : n;
    if (json_object_get(f, "memory")) {
        text_accesses(t, f);
    } else if (text_is_cycle(f) && n) {
        for (i = 0; i < shown; i++)
            put_step(t, f, &s[i]);
        if (n > shown)
            buffer_print(&t->out, "  … and %zu more like these (--verbose shows all)\n\n", n - shown);
    } else {
        json_array_foreach (json_object_get(f, "events"), i, event) {
            text_event(t, f, event);
            buffer_put(&t->out, "\n");
            text_stack(t, json_object_get(event, "stack"), 6);
            if (!label_is(event, "action", "hold"))
                put_held(t, f, event, event);
            buffer_put(&t->out, "\n");
        }
    }
    free(s);
}

static bool is_python(const json_t *lock)
{
    const json_t *attr;
    size_t i;
    json_array_foreach (json_object_get(lock, "attributes"), i, attr) {
        if (json_is_string(attr) && strcmp(json_string_value(attr), "python") == 0)
            return true;
    }
    return false;
}

static void put_lock_line(struct text *t, const json_t *f, const json_t *lock)
{
    const json_t *born = json_object_get(lock, "born"), *declared = json_object_get(lock, "declared"), *attr;
    size_t i;
    buffer_put(&t->out, "  ");
    text_label(t, STYLE_STRONG, label_lock(f, label_text(lock, "class"), label_number(lock, "instance")));
    bool python = is_python(lock);
    buffer_print(&t->out, ": %s%s", json_is_true(json_object_get(lock, "shared")) ? "shared " : "",
                 python ? "Python lock" : label_text(lock, "kind"));
    json_array_foreach (json_object_get(lock, "attributes"), i, attr) {
        if (json_is_string(attr) && !(python && strcmp(json_string_value(attr), "python") == 0))
            buffer_print(&t->out, ", %s", json_string_value(attr));
    }
    buffer_print(&t->out, ", %s", *label_text(lock, "name") ? label_text(lock, "name") : label_text(lock, "class"));
    if (*label_text(declared, "file")) {
        buffer_put(&t->out, ", declared at ");
        text_put(t, STYLE_PLACE, text_path(label_text(declared, "file")));
        if (label_number(declared, "line"))
            buffer_print(&t->out, ":%lld", (long long)label_number(declared, "line"));
    }
    if (json_array_size(born)) {
        json_t *event = json_pack("{s:O}", "stack", born);
        buffer_put(&t->out, ", made in ");
        text_label(t, STYLE_PLACE, label_place(event));
        json_decref(event);
    }
    buffer_put(&t->out, "\n");
}

static void put_thread_line(struct text *t, const json_t *f, const json_t *thread)
{
    const json_t *created = json_object_get(thread, "created");
    if (!json_array_size(created) && !label_number(thread, "created_by"))
        return;
    buffer_put(&t->out, "  ");
    text_label(t, STYLE_STRONG, label_thread(f, label_number(thread, "thread")));
    buffer_print(&t->out, ": created by T%lld", (long long)label_number(thread, "created_by"));
    if (json_array_size(created)) {
        json_t *event = json_pack("{s:O}", "stack", created);
        buffer_put(&t->out, " in ");
        text_label(t, STYLE_PLACE, label_place(event));
        json_decref(event);
    }
    if (*label_text(thread, "start") && *label_text(thread, "name"))
        buffer_print(&t->out, ", runs %s", label_text(thread, "start"));
    buffer_put(&t->out, "\n");
}

void text_facts(struct text *t, const json_t *f)
{
    const json_t *item;
    size_t i, most = t->o->verbose ? 1000 : MAX_SIDES, before = t->out.length;
    if (json_object_get(f, "memory"))
        text_memory(t, f);
    json_array_foreach (json_object_get(f, "locks"), i, item) {
        if (i < most)
            put_lock_line(t, f, item);
    }
    json_array_foreach (json_object_get(f, "threads"), i, item) {
        if (i < most)
            put_thread_line(t, f, item);
    }
    if (t->out.length != before)
        buffer_put(&t->out, "\n");
}

static void put_finding(struct text *t, const json_t *f)
{
    put_title(t, f);
    put_sides(t, f);
    text_facts(t, f);
    text_put(t, STYLE_STRONG, "  why ");
    text_wrap(t, label_text(f, "why"), 6);
    text_put(t, STYLE_STRONG, "  fix ");
    text_wrap(t, label_text(f, "fix"), 6);
    with_scan_text(t, f);
    text_put(t, STYLE_DIM, "  id  ");
    text_put(t, STYLE_DIM, label_text(f, "id"));
    const char *page = *label_text(f, "rule") ? label_text(f, "rule") : label_text(f, "kind");
    char *more = NULL;
    struct buffer b = {0};
    buffer_print(&b, "   more: snarl explain %s\n", page);
    more = buffer_take(&b);
    text_put(t, STYLE_DIM, more);
    free(more);
    text_gate_finding(t, f);
    buffer_put(&t->out, "\n");
}

static void put_short(struct text *t, const json_t *findings)
{
    const json_t *f;
    size_t i, n = 0;
    json_array_foreach (findings, i, f) {
        if (!json_is_false(json_object_get(f, "counts")) || json_is_true(json_object_get(f, "in_baseline")) ||
            json_is_string(json_object_get(f, "suppressed_by")))
            continue;
        if (n++ == 0)
            text_put(t, STYLE_STRONG, "snarl: also seen, but not counted (--fail-on says what counts):\n");
        if (n <= MAX_SHORT)
            buffer_print(&t->out, "  %s  %s (%s, %s)\n", label_text(f, "id"), label_text(f, "title"),
                         label_text(f, "kind"), label_text(f, "verdict"));
    }
    if (n > MAX_SHORT)
        buffer_print(&t->out, "  and %zu more\n", n - MAX_SHORT);
    if (n)
        buffer_put(&t->out, "\n");
}

char *text_take(struct text *t)
{
    char *text = buffer_take(&t->out), *line = text;
    struct buffer safe = {0};
    if (!strstr(text, "::"))
        return text;
    while (*line) {
        size_t blank = strspn(line, " "), n = blank + strcspn(line + blank, "\n");
        n += line[n] == '\n';
        buffer_add(&safe, line, blank);
        if (strncmp(line + blank, "::", 2) == 0)
            buffer_put(&safe, "|");
        buffer_add(&safe, line + blank, n - blank);
        line += n;
    }
    free(text);
    return buffer_take(&safe);
}

char *text_finding(const json_t *finding, const struct text_options *o)
{
    struct text t = {{0}, o};
    put_finding(&t, finding);
    return text_take(&t);
}

char *text_report(const json_t *document, const struct text_options *o)
{
    struct text t = {{0}, o};
    const json_t *findings = json_object_get(document, "findings"), *f;
    size_t i;
    json_array_foreach (findings, i, f) {
        if (!json_is_false(json_object_get(f, "counts")) && !json_is_true(json_object_get(f, "shown")))
            put_finding(&t, f);
    }
    put_short(&t, findings);
    with_scan_gaps(&t, document);
    text_gate(&t, document);
    if (!o->quiet) {
        text_contention(&t, document);
        text_summary(&t, document);
    }
    return text_take(&t);
}
