/* HTML reports: the page. Called through format.h. Takes no locks; allocates with malloc.
 *
 * The page may load nothing and run nothing but its own script: a content security policy with the hashes of style and
 * script says so to the browser, so that not even a name that slipped through unescaped could do anything. */
#include "html.h"

#include <stdlib.h>
#include <string.h>

#include "contention.h"
#include "format.h"
#include "label.h"
#include "markup.h"
#include "pages.h"
#include "place.h"
#include "text.h"

static void put(struct html *h, const char *s)
{
    buffer_put(&h->out, s);
}

/* ---- head ---- */

static const struct explain_page *asset(const char *name)
{
    size_t i = 0;
    while (i + 1 < html_asset_count && strcmp(html_assets[i].name, name) != 0)
        i++;
    return &html_assets[i];
}

static unsigned digit(char c)
{
    return (unsigned)(c <= '9' ? c - '0' : c - 'a' + 10);
}

/* 'sha256-…': the digest's 32 bytes in base64. */
static void put_hash(struct html *h, const char *hex)
{
    static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    put(h, "'sha256-");
    for (size_t i = 0; i < 32; i += 3) {
        unsigned v = 0, n = i + 3 <= 32 ? 3 : (unsigned)(32 - i);
        for (unsigned k = 0; k < 3; k++)
            v = v << 8 | (k < n ? digit(hex[2 * (i + k)]) << 4 | digit(hex[2 * (i + k) + 1]) : 0);
        for (unsigned k = 0; k < 4; k++)
            buffer_add(&h->out, k <= n ? &letters[v >> (18 - 6 * k) & 63] : "=", 1);
    }
    put(h, "'");
}

static void put_head(struct html *h, const char *title)
{
    const struct explain_page *style = asset("style"), *script = asset("script");
    put(h, "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n<meta "
           "http-equiv=\"Content-Security-Policy\" "
           "content=\"default-src 'none'; base-uri 'none'; form-action 'none'; style-src ");
    put_hash(h, style->sha256);
    put(h, "; script-src ");
    put_hash(h, script->sha256);
    put(h, "\">\n<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n<meta name=\"color-scheme\" "
           "content=\"light dark\">\n<meta name=\"generator\" content=\"snarl " SNARL_VERSION "\">\n<title>");
    markup_put(&h->out, title);
    put(h, "</title>\n<style>");
    buffer_add(&h->out, style->text, style->length);
    put(h, "</style>\n</head>\n<body>\n");
}

/* ---- top ---- */

/* "2 findings, 1 not counted"; malloc'd. */
static char *headline(const json_t **list, size_t n)
{
    struct buffer b = {0};
    size_t counting = 0;
    for (size_t i = 0; i < n; i++)
        counting += !format_excuse(list[i]);
    if (counting)
        buffer_print(&b, "%zu finding%s", counting, counting == 1 ? "" : "s");
    else
        buffer_put(&b, n ? "No finding that counts" : "No findings");
    if (n > counting)
        buffer_print(&b, ", %zu not counted", n - counting);
    return buffer_take(&b);
}

static void put_fact(struct html *h, const json_t *run, const char *key, const char *one, const char *many)
{
    if (json_is_integer(json_object_get(run, key)))
        buffer_print(&h->out, "<li>%lld %s</li>", (long long)label_number(run, key),
                     label_number(run, key) == 1 ? one : many);
}

static void put_top(struct html *h, const json_t *document, const char *title)
{
    const json_t *run = json_object_get(document, "run"), *exit = json_object_get(run, "exit");
    double seconds = json_number_value(json_object_get(run, "duration_s"));
    char *subject = format_subject(document);
    put(h, "<header class=\"top\">\n<p class=\"brand\">snarl</p>\n<h1>");
    markup_put(&h->out, title);
    put(h, "</h1>\n<p class=\"subject\"><code>");
    markup_take(&h->out, markup_clip(subject, 2000));
    put(h, "</code></p>\n<ul class=\"numbers\">");
    put_fact(h, run, "processes", "process", "processes");
    put_fact(h, run, "threads", "thread", "threads");
    put_fact(h, run, "locks", "lock", "locks");
    put_fact(h, run, "lock_operations", "lock operation", "lock operations");
    put_fact(h, run, "lines", "line", "lines");
    if (seconds > 0)
        buffer_print(&h->out, "<li>%.*f s</li>", seconds < 10 ? 2 : 0, seconds);
    if (json_is_integer(json_object_get(exit, "status")))
        buffer_print(&h->out, "<li>exit status %lld</li>", (long long)label_number(exit, "status"));
    if (json_is_integer(json_object_get(exit, "signal")))
        buffer_print(&h->out, "<li>ended by signal %lld</li>", (long long)label_number(exit, "signal"));
    put(h, "</ul>\n<nav><a href=\"#findings\">Findings</a> <a href=\"#order\">Lock order</a> ");
    put(h, contention_measured(document) ? "<a href=\"#contention\">Contention</a> " : "");
    put(h, "<a href=\"#run\">Run</a> <a href=\"#kinds\">Explanations</a></nav>\n</header>\n");
    free(subject);
}

/* ---- findings ---- */

static void put_entry(struct html *h, const json_t *f)
{
    static const char *const levels[LEVEL_COUNT] = {"error", "warning", "note"};
    const json_t *frame = place_of(f);
    buffer_print(&h->out, "<li class=\"%s\"><a href=\"#f-", levels[format_level(f)]);
    markup_put(&h->out, label_text(f, "id"));
    put(h, "\"><span class=\"t\">");
    markup_take(&h->out, markup_clip(label_text(f, "title"), 400));
    put(h, "</span><span class=\"m\">");
    markup_put(&h->out, format_page(f));
    put(h, " · ");
    markup_put(&h->out, label_text(f, "verdict"));
    if (*label_text(frame, "file")) {
        put(h, " · ");
        markup_take(&h->out, markup_clip(place_path(place_file(frame)), 200));
        if (label_number(frame, "line") > 0)
            buffer_print(&h->out, ":%lld", (long long)label_number(frame, "line"));
    }
    put(h, "</span></a></li>\n");
}

static void put_findings(struct html *h, const json_t **list, size_t n)
{
    put(h, "<section id=\"findings\">\n<h2>Findings</h2>\n");
    if (!n)
        put(h, "<p class=\"lead\">Nothing was found.</p>\n");
    put(h, "<div class=\"split\"><ol class=\"index\">\n");
    for (size_t i = 0; i < n; i++)
        put_entry(h, list[i]);
    put(h, "</ol><div class=\"detail\">\n");
    for (size_t i = 0; i < n; i++)
        html_finding(h, list[i]);
    put(h, "</div></div>\n</section>\n");
}

/* ---- the run ---- */

static void put_list(struct html *h, const char *heading, const json_t *list)
{
    const json_t *item;
    size_t i;
    if (!json_array_size(list))
        return;
    buffer_print(&h->out, "<h3>%s</h3>\n<ul>", heading);
    json_array_foreach (list, i, item) {
        put(h, "<li>");
        markup_put(&h->out, json_is_string(item) ? json_string_value(item) : label_text(item, "text"));
        if (label_number(item, "count"))
            buffer_print(&h->out, ": %lld", (long long)label_number(item, "count"));
        put(h, "</li>\n");
    }
    put(h, "</ul>\n");
}

static void put_waiting(struct html *h, const json_t *t)
{
    const json_t *wait = json_object_get(t, "wait");
    const char *what = label_text(wait, "for");
    buffer_print(&h->out, "<section class=\"side\"><h4>T%lld", (long long)label_number(t, "thread"));
    if (*label_text(t, "name")) {
        put(h, " (");
        markup_put(&h->out, label_text(t, "name"));
        put(h, ")");
    }
    put(h, strcmp(what, "running") == 0 ? ": " : ": waiting for ");
    markup_put(&h->out, what);
    if (*label_text(wait, "object")) {
        put(h, " ");
        markup_put(&h->out, label_short(label_text(wait, "object")));
    }
    if (json_object_get(wait, "owner"))
        buffer_print(&h->out, ", T%lld", (long long)label_number(wait, "owner"));
    put(h, "</h4>\n");
    html_stack(h, json_object_get(t, "stack"));
    put(h, "</section>\n");
}

static void put_inspected(struct html *h, const json_t *seen)
{
    const json_t *subject, *t;
    size_t i, k;
    json_array_foreach (seen, i, subject) {
        buffer_print(&h->out, "<h3>Process %lld <code>", (long long)label_number(subject, "pid"));
        markup_put(&h->out, label_text(subject, "exe"));
        put(h, "</code></h3>\n<div class=\"sides\">\n");
        json_array_foreach (json_object_get(subject, "threads"), k, t)
            put_waiting(h, t);
        put(h, "</div>\n");
    }
}

/* Suppressions and baseline, in the words of the text report. */
static void put_gate(struct html *h, const json_t *document)
{
    static const struct text_options o = {.verbose = true};
    struct text t = {{0}, &o};
    text_gate(&t, document);
    char *said = text_take(&t);
    if (*said) {
        put(h, "<h3>Known and accepted</h3>\n<pre class=\"facts\">");
        markup_put(&h->out, said);
        put(h, "</pre>\n");
    }
    free(said);
}

#define MAX_RUNS 500u

/* Of a merged result: what it was made of. */
static void put_runs(struct html *h, const json_t *runs)
{
    const json_t *run;
    size_t i, n = json_array_size(runs);
    if (n)
        put(h, "<h3>Merged from</h3>\n<ul class=\"runs\">");
    json_array_foreach (runs, i, run) {
        if (i == MAX_RUNS)
            break;
        put(h, "<li><code>");
        markup_take(&h->out, markup_clip(label_text(run, "name"), 2000));
        put(h, "</code></li>");
    }
    if (n > MAX_RUNS)
        buffer_print(&h->out, "<li>and %zu more</li>", n - MAX_RUNS);
    put(h, n ? "</ul>\n" : "");
}

static void put_run(struct html *h, const json_t *document)
{
    const json_t *run = json_object_get(document, "run"), *unit;
    size_t i;
    put(h, "<section id=\"run\">\n<h2>Run</h2>\n");
    put(h, json_array_size(json_object_get(run, "losses"))
               ? ""
               : "<p class=\"lead\">Nothing was lost while watching.</p>\n");
    put_list(h, "Not complete", json_object_get(run, "losses"));
    put_list(h, "Notes", json_object_get(run, "notes"));
    put_list(h, "Names and lines", json_object_get(run, "symbols"));
    put_gate(h, document);
    put_inspected(h, json_object_get(document, "inspected"));
    put_runs(h, json_object_get(run, "runs"));
    json_array_foreach (json_object_get(run, "units"), i, unit) {
        if (!json_object_get(unit, "problem"))
            continue;
        put(h, "<p>Left out: <code>");
        markup_put(&h->out, label_text(unit, "file"));
        put(h, "</code>: ");
        markup_put(&h->out, label_text(unit, "problem"));
        put(h, "</p>\n");
    }
    const char *version = label_text(json_object_get(document, "tool"), "version");
    put(h, "<p class=\"lead\">Result of snarl ");
    markup_put(&h->out, version);
    put(h, ".</p>\n</section>\n");
}

/* The pages of the kinds that there are. */
static void put_kinds(struct html *h, const json_t **list, size_t n)
{
    put(h, "<section id=\"kinds\">\n<h2>Explanations</h2>\n");
    for (size_t i = 0; i < explain_page_count; i++) {
        size_t k = 0;
        while (k < n && strcmp(format_page(list[k]), explain_pages[i].name) != 0)
            k++;
        if (k == n)
            continue;
        buffer_print(&h->out, "<article class=\"page\" id=\"k-%s\">\n", explain_pages[i].name);
        html_markdown(h, explain_pages[i].text);
        put(h, "</article>\n");
    }
    put(h, "</section>\n");
}

char *format_html(const json_t *document)
{
    struct html h = {0};
    size_t n;
    const json_t **list = format_sorted(document, &n);
    char *title = headline(list, n);
    struct buffer whole = {0};
    buffer_print(&whole, "snarl: %s", title);
    put_head(&h, whole.text);
    free(buffer_take(&whole));
    put_top(&h, document, title);
    put(&h, "<main>\n");
    put_findings(&h, list, n);
    html_orders(&h, document);
    if (contention_measured(document))
        html_contention(&h, document);
    put_run(&h, document);
    put_kinds(&h, list, n);
    put(&h, "</main>\n<script>");
    const struct explain_page *script = asset("script");
    buffer_add(&h.out, script->text, script->length);
    put(&h, "</script>\n</body>\n</html>\n");
    free(title);
    free(list);
    source_free(&h.source);
    return buffer_take(&h.out);
}
