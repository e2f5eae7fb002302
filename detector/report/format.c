/* The table of output forms, and what they share. Called by the verbs and by the renderers. Takes no locks; allocates
 * with malloc. */
#include "format.h"

#include <stdlib.h>
#include <string.h>

#include "buffer.h"
#include "graph.h"
#include "group.h"
#include "label.h"
#include "text.h"
#include "view.h"

const struct format format_table[] = {
#define X(name, function, graph) {#name, function, graph},
    FORMAT_TABLE(X)
#undef X
};
const size_t format_count = sizeof format_table / sizeof *format_table;

const struct format *format_find(const char *name)
{
    for (size_t i = 0; i < format_count; i++)
        if (strcmp(format_table[i].name, name) == 0)
            return &format_table[i];
    return NULL;
}

char *format_json(const json_t *document)
{
    char *text = json_dumps(document, JSON_INDENT(1));
    struct buffer b = {0};
    if (!text)
        abort();
    buffer_put(&b, text);
    buffer_put(&b, "\n");
    free(text);
    return buffer_take(&b);
}

char *format_dot(const json_t *document)
{
    return graph_dot(document);
}

const char *format_page(const json_t *finding)
{
    return *label_text(finding, "rule") ? label_text(finding, "rule") : label_text(finding, "kind");
}

const char *format_excuse(const json_t *finding)
{
    if (json_is_string(json_object_get(finding, "suppressed_by")))
        return "suppressed";
    if (json_is_true(json_object_get(finding, "in_baseline")))
        return "accepted in the baseline";
    return json_is_false(json_object_get(finding, "counts")) ? "not counted (--fail-on)" : NULL;
}

enum format_level format_level(const json_t *finding)
{
    bool sure = group_verdict_rank(label_text(finding, "verdict")) < group_verdict_rank("possible") ||
                (label_is(finding, "verdict", "possible") &&
                 (label_is(finding, "kind", "lock-order") || label_is(finding, "kind", "lock-misuse")));
    return format_excuse(finding) ? LEVEL_NOTE : sure ? LEVEL_ERROR : LEVEL_WARNING;
}

const json_t **format_sorted(const json_t *document, size_t *n)
{
    const json_t *findings = json_object_get(document, "findings"), *f;
    const json_t **list = view_alloc((json_array_size(findings) + 1) * sizeof *list);
    size_t i;
    *n = 0;
    for (int level = 0; level < LEVEL_COUNT; level++)
        json_array_foreach (findings, i, f) {
            if ((int)format_level(f) == level)
                list[(*n)++] = f;
        }
    return list;
}

char *format_plain(const json_t *finding)
{
    static const struct text_options o = {.width = 100};
    return text_finding(finding, &o);
}

char *format_subject(const json_t *document)
{
    const json_t *run = json_object_get(document, "run"), *word;
    struct buffer b = {0};
    size_t i;
    size_t runs = json_array_size(json_object_get(run, "runs"));
    if (runs) {
        buffer_print(&b, "merge of %zu run%s", runs, runs == 1 ? "" : "s");
        return buffer_take(&b);
    }
    buffer_put(&b, json_object_get(document, "inspected") ? "inspect" : json_object_get(run, "units") ? "scan" : "run");
    json_array_foreach (json_object_get(run, "command"), i, word) {
        if (!json_is_string(word))
            continue;
        buffer_put(&b, " ");
        buffer_put(&b, json_string_value(word));
    }
    return buffer_take(&b);
}
