/* The text report: what suppressions, baseline and owners say of a result, from its "gate" and its findings. Called by
 * text.c. Takes no locks; allocates with malloc. */
#include <stdlib.h>
#include <string.h>

#include "label.h"
#include "text.h"

#define MAX_LISTED 50

/* "  ID  title (kind, verdict)" and why it does not count. */
static void put_one(struct text *t, const json_t *f, const char *because)
{
    buffer_print(&t->out, "  %s  %s (%s, %s)%s%s\n", label_text(f, "id"), label_text(f, "title"), label_text(f, "kind"),
                 label_text(f, "verdict"), *because ? ": " : "", because);
}

static bool is_suppressed(const json_t *f)
{
    return json_is_string(json_object_get(f, "suppressed_by"));
}

static bool is_accepted(const json_t *f)
{
    return !is_suppressed(f) && json_is_true(json_object_get(f, "in_baseline"));
}

static void put_taken(struct text *t, const json_t *findings, bool (*taken)(const json_t *), const char *how)
{
    const json_t *f;
    size_t i, n = 0, shown = 0;
    json_array_foreach (findings, i, f)
        n += taken(f);
    if (!n)
        return;
    buffer_print(&t->out, "snarl: %zu finding%s %s%s\n", n, n == 1 ? "" : "s", how,
                 t->o->verbose ? ":" : " (--verbose lists them)");
    json_array_foreach (findings, i, f) {
        if (t->o->verbose && taken(f) && shown++ < MAX_LISTED)
            put_one(t, f, label_text(f, "suppressed_by"));
    }
    if (shown > MAX_LISTED)
        buffer_print(&t->out, "  and %zu more\n", shown - MAX_LISTED);
}

static void put_order(struct text *t, const json_t *item)
{
    const char *seen = label_text(item, "first_seen");
    buffer_print(&t->out, "  order  %s < %s%s%s", label_text(item, "from"), label_text(item, "to"),
                 *seen ? "    # " : "", seen);
}

static void put_stale(struct text *t, const json_t *item)
{
    const char *text = label_text(item, "text");
    buffer_print(&t->out, "  line %lld: %s", (long long)label_number(item, "line"), text);
}

static void put_unused(struct text *t, const json_t *item)
{
    const char *owner = label_text(item, "owner");
    buffer_print(&t->out, "  %s:%lld: %s%s%s", label_text(item, "file"), (long long)label_number(item, "line"),
                 label_text(item, "rule"), *owner ? ", owner " : "", owner);
    if (*label_text(item, "expired"))
        buffer_print(&t->out, ", expired on %s", label_text(item, "expired"));
}

static void put_list(struct text *t, const json_t *list, const char *title,
                     void (*put)(struct text *, const json_t *item))
{
    const json_t *item;
    size_t i;
    if (!json_array_size(list))
        return;
    text_put(t, STYLE_STRONG, title);
    buffer_put(&t->out, "\n");
    json_array_foreach (list, i, item) {
        if (i < MAX_LISTED) {
            put(t, item);
            buffer_put(&t->out, "\n");
        }
    }
    if (json_array_size(list) > MAX_LISTED)
        buffer_print(&t->out, "  and %zu more\n", json_array_size(list) - MAX_LISTED);
}

void text_gate(struct text *t, const json_t *document)
{
    const json_t *gate = json_object_get(document, "gate"), *findings = json_object_get(document, "findings"),
                 *baseline = json_object_get(gate, "baseline");
    bool check = json_is_true(json_object_get(gate, "check")), strict = json_is_true(json_object_get(gate, "strict"));
    size_t before = t->out.length;
    if (t->o->quiet && !strict)
        return;
    put_taken(t, findings, is_suppressed, "suppressed");
    put_taken(t, findings, is_accepted, "accepted in the baseline");
    if (check || t->o->verbose) {
        put_list(t, json_object_get(baseline, "new"),
                 strict ? "snarl: orders that are not in the baseline, and they count (--strict):"
                        : "snarl: orders that are not in the baseline:",
                 put_order);
        put_list(t, json_object_get(baseline, "stale"),
                 strict ? "snarl: stale lines of the baseline, and they count (--strict):"
                        : "snarl: stale lines of the baseline: nothing like it in these results",
                 put_stale);
        put_list(t, json_object_get(gate, "unused_suppressions"), "snarl: suppressions that took nothing:", put_unused);
    }
    if (t->out.length != before)
        buffer_put(&t->out, "\n");
}

void text_gate_finding(struct text *t, const json_t *f)
{
    const json_t *item;
    size_t i;
    json_array_foreach (json_object_get(f, "owners"), i, item)
        buffer_print(&t->out, "%s%s", i ? " " : "  owner ", json_is_string(item) ? json_string_value(item) : "");
    if (json_array_size(json_object_get(f, "owners")))
        buffer_put(&t->out, "\n");
    if (!t->o->verbose)
        return;
    json_array_foreach (json_object_get(f, "suppressions"), i, item) {
        if (json_is_string(item))
            buffer_print(&t->out, "  %s %s\n", i ? "       or" : "suppress it by", json_string_value(item));
    }
}
