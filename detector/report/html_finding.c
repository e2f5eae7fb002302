/* One finding of an HTML report. Called by html.c. Takes no locks; allocates with malloc. */
#include <stdlib.h>
#include <string.h>

#include "format.h"
#include "html.h"
#include "label.h"
#include "markup.h"
#include "place.h"
#include "text.h"

#define MAX_SIDES 100
#define MAX_FRAMES 128

static void put(struct html *h, const char *s)
{
    buffer_put(&h->out, s);
}

void html_label(struct html *h, char *label)
{
    markup_put(&h->out, *label ? label : "?");
    free(label);
}

/* ---- stacks ---- */

static bool is_foreign(const json_t *frame)
{
    return json_is_true(json_object_get(frame, "system")) || json_is_true(json_object_get(frame, "interpreter"));
}

static void put_frame(struct html *h, const json_t *frame)
{
    const char *function = label_text(frame, "function"), *module = label_text(frame, "module"),
               *slash = strrchr(module, '/');
    put(h, "<li><code>");
    markup_put(&h->out, *function ? function : "(unknown function)");
    put(h, "</code> <span class=\"at\">");
    if (*label_text(frame, "file")) {
        markup_put(&h->out, place_path(place_file(frame)));
        if (label_number(frame, "line") > 0)
            buffer_print(&h->out, ":%lld", (long long)label_number(frame, "line"));
    } else {
        markup_put(&h->out, slash && slash[1] ? slash + 1 : module);
        put(h, "+");
        markup_put(&h->out, label_text(frame, "offset"));
    }
    put(h, json_is_true(json_object_get(frame, "inlined")) ? "</span> <i>inlined</i></li>" : "</span></li>");
}

void html_stack(struct html *h, const json_t *stack)
{
    size_t n = json_array_size(stack), i, run;
    bool own = label_frame(stack) && !is_foreign(label_frame(stack));
    n = n > MAX_FRAMES ? MAX_FRAMES : n;
    if (!n) {
        put(h, "<p class=\"none\">No stack is known.</p>\n");
        return;
    }
    put(h, "<ol class=\"stack\">");
    for (i = 0; i < n; i += run) {
        for (run = 0; own && i + run < n && is_foreign(json_array_get(stack, i + run)); run++)
            ;
        if (run)
            buffer_print(&h->out, "<li class=\"x\"><details><summary>%zu frame%s of libraries</summary><ol>", run,
                         run == 1 ? "" : "s");
        for (size_t k = i; k < i + run; k++)
            put_frame(h, json_array_get(stack, k));
        if (run) {
            put(h, "</ol></details></li>");
        } else {
            put_frame(h, json_array_get(stack, i));
            run = 1;
        }
    }
    put(h, "</ol>\n");
}

void html_source(struct html *h, const json_t *stack, unsigned around)
{
    const json_t *frame = place_frame(stack);
    json_int_t line = label_number(frame, "line");
    const char *file = place_file(frame);
    if (!*label_text(frame, "file") || line <= 0 || line > 100000000)
        return;
    char *text = source_line(&h->source, file, (size_t)line);
    if (!text)
        return;
    free(text);
    put(h, "<pre class=\"src\">");
    for (json_int_t i = line > around ? line - around : 1; i <= line + around; i++) {
        text = source_line(&h->source, file, (size_t)i);
        if (!text)
            continue;
        buffer_print(&h->out, "<span%s><i>%lld</i>", i == line ? " class=\"hit\"" : "", (long long)i);
        markup_take(&h->out, text);
        put(h, "\n</span>");
    }
    put(h, "</pre>\n");
}

/* ---- the finding ---- */

static void put_side(struct html *h, const struct side *s)
{
    put(h, "<section class=\"side\"><h4>");
    markup_put(&h->out, s->text);
    put(h, "</h4>\n");
    html_source(h, json_object_get(s->event, "stack"), 2);
    html_stack(h, json_object_get(s->event, "stack"));
    for (size_t i = 0; i < s->nlocks; i++) {
        put(h, "<h5>");
        markup_put(&h->out, s->locks[i].text);
        put(h, "</h5>\n");
        if (s->locks[i].stack) {
            html_source(h, s->locks[i].stack, 1);
            html_stack(h, s->locks[i].stack);
        }
    }
    put(h, "</section>\n");
}

static void put_meta(struct html *h, const json_t *f)
{
    json_int_t count = label_number(f, "count");
    const char *excuse = format_excuse(f), *rule = json_string_value(json_object_get(f, "suppressed_by"));
    buffer_put(&h->out, "<p class=\"meta\"><span class=\"kind\">");
    markup_put(&h->out, label_text(f, "kind"));
    if (*label_text(f, "rule")) {
        put(h, " · ");
        markup_put(&h->out, label_text(f, "rule"));
    }
    put(h, "</span> <span class=\"verdict\">");
    markup_put(&h->out, label_text(f, "verdict"));
    put(h, "</span> ");
    if (*label_text(f, "confidence")) {
        put(h, "<span>");
        markup_put(&h->out, label_text(f, "confidence"));
        put(h, " confidence</span> ");
    }
    if (count > 1)
        buffer_print(&h->out, "<span>seen %lld times</span> ", (long long)count);
    if (excuse) {
        put(h, "<span class=\"excuse\">");
        markup_put(&h->out, excuse);
        if (rule) {
            put(h, " by ");
            markup_put(&h->out, rule);
        }
        put(h, "</span> ");
    }
    put(h, "<code class=\"id\">");
    markup_put(&h->out, label_text(f, "id"));
    put(h, "</code></p>\n");
}

static void put_text(struct html *h, const char *heading, const char *text)
{
    if (!*text)
        return;
    buffer_print(&h->out, "<h4>%s</h4><p class=\"say\">", heading);
    markup_put(&h->out, text);
    put(h, "</p>\n");
}

/* Lines of the text report without its margin, and without empty ones at the ends. */
static void put_lines(struct html *h, char *text)
{
    size_t end = strlen(text);
    while (end && strchr(" \n", text[end - 1]))
        text[--end] = 0;
    text += strspn(text, "\n");
    for (char *line = text, *next; line; line = next) {
        next = strchr(line, '\n');
        if (next)
            *next++ = 0;
        markup_put(&h->out, line + (strncmp(line, "  ", 2) == 0 ? 2 : 0));
        put(h, next ? "\n" : "");
    }
}

/* Locks, threads and memory, in the words of the text report. */
static void put_facts(struct html *h, const json_t *f)
{
    static const struct text_options o = {.verbose = true};
    struct text t = {{0}, &o};
    text_facts(&t, f);
    char *facts = buffer_take(&t.out);
    if (strspn(facts, " \n") != strlen(facts)) {
        put(h, "<h4>What takes part</h4><pre class=\"facts\">");
        put_lines(h, facts);
        put(h, "</pre>\n");
    }
    free(facts);
}

/* Strings of a list, each as code. */
static void put_strings(struct html *h, const char *before, const json_t *list)
{
    const json_t *item;
    size_t i, n = 0;
    json_array_foreach (list, i, item) {
        if (!json_is_string(item))
            continue;
        put(h, n++ ? ", <code>" : before);
        put(h, n == 1 ? "<code>" : "");
        markup_put(&h->out, json_string_value(item));
        put(h, "</code>");
    }
    if (n)
        put(h, "</p>\n");
}

/* Of a cycle that no single run has: where its orders come from. */
static void put_across(struct html *h, const json_t *list)
{
    const json_t *item;
    size_t i;
    put(h, json_array_size(list) ? "<ul class=\"known\">" : "");
    json_array_foreach (list, i, item) {
        put(h, "<li><code>");
        markup_put(&h->out, label_text(item, "from"));
        put(h, "</code> before <code>");
        markup_put(&h->out, label_text(item, "to"));
        put(h, "</code> in ");
        markup_put(&h->out, label_text(item, "run"));
        if (label_number(item, "runs") > 1)
            buffer_print(&h->out, " and %lld more", (long long)label_number(item, "runs") - 1);
        put(h, "</li>");
    }
    put(h, json_array_size(list) ? "</ul>\n" : "");
}

/* What a team has decided, and which of many runs had it. */
static void put_known(struct html *h, const json_t *f)
{
    put_across(h, json_object_get(f, "across"));
    const json_t *runs = json_object_get(f, "runs");
    json_int_t more = label_number(runs, "count") - (json_int_t)json_array_size(json_object_get(runs, "names"));
    put_strings(h, "<p class=\"known\">Owners: ", json_object_get(f, "owners"));
    put_strings(h, "<p class=\"known\">Seen in: ", json_object_get(runs, "names"));
    if (more > 0)
        buffer_print(&h->out, "<p class=\"known\">and in %lld more runs</p>\n", (long long)more);
    put_strings(h, "<p class=\"known\">To suppress it, one of: ", json_object_get(f, "suppressions"));
}

static void put_attribute(struct html *h, const char *name, const char *value)
{
    buffer_print(&h->out, " data-%s=\"", name);
    markup_put(&h->out, value);
    put(h, "\"");
}

void html_finding(struct html *h, const json_t *f)
{
    static const char *const levels[LEVEL_COUNT] = {"error", "warning", "note"};
    static const char *const keys[] = {"id", "kind", "rule", "verdict"};
    size_t n;
    struct side *s = sides_of(f, &n);
    put(h, "<article class=\"finding ");
    put(h, levels[format_level(f)]);
    put(h, "\" id=\"f-");
    markup_put(&h->out, label_text(f, "id"));
    put(h, "\"");
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++)
        put_attribute(h, keys[i], label_text(f, keys[i]));
    buffer_print(&h->out, " data-count=\"%lld\" data-counts=\"%s\">\n", (long long)label_number(f, "count"),
                 format_excuse(f) ? "no" : "yes");
    put_meta(h, f);
    put(h, "<h3>");
    markup_put(&h->out, label_text(f, "title"));
    put(h, "</h3>\n");
    html_timeline(h, f, s, n);
    put_text(h, "Why", label_text(f, "why"));
    put_text(h, "Fix", label_text(f, "fix"));
    put(h, "<div class=\"sides\">\n");
    for (size_t i = 0; i < n && i < MAX_SIDES; i++)
        put_side(h, &s[i]);
    put(h, "</div>\n");
    if (n > MAX_SIDES)
        buffer_print(&h->out, "<p>And %zu more like these.</p>\n", n - MAX_SIDES);
    put_facts(h, f);
    put_known(h, f);
    put(h, "<p class=\"more\"><a href=\"#k-");
    markup_put(&h->out, format_page(f));
    put(h, "\">About this kind of finding</a> <code>snarl explain ");
    markup_put(&h->out, format_page(f));
    put(h, "</code></p>\n</article>\n");
    sides_free(s, n);
}
