/* Contention in an HTML report: a table, bars of the time waited, and for each lock the distributions of its waits and
 * holds. Called by html.c. Takes no locks; allocates with malloc. */
#include <stdlib.h>

#include "contention.h"
#include "html.h"
#include "label.h"
#include "markup.h"

#define LISTED 200
#define DETAILED 40
#define BARS 40      /* powers of two of nanoseconds */
#define BAR_WIDTH 12 /* with the gap */
#define PLOT_HEIGHT 60

static void put(struct html *h, const char *s)
{
    buffer_put(&h->out, s);
}

static void put_time(struct html *h, const char *tag, json_int_t ns)
{
    buffer_print(&h->out, "<%s>", tag);
    markup_take(&h->out, contention_time(ns));
    buffer_print(&h->out, "</%s>", tag);
}

/* How large it is beside the largest. */
static void put_bar(struct html *h, json_int_t ns, json_int_t most)
{
    int width = most > 0 ? (int)(100.0 * (double)ns / (double)most + 0.5) : 0;
    if (ns > 0 && width < 1)
        width = 1;
    buffer_print(
        &h->out,
        "<td><svg class=\"share\" width=\"100\" height=\"12\" viewBox=\"0 0 100 12\" aria-hidden=\"true\"><rect "
        "width=\"%d\" height=\"12\"/></svg></td>",
        width > 100 ? 100 : width);
}

static void put_row(struct html *h, const json_t *row, json_int_t most, bool linked, size_t number)
{
    json_int_t wait = label_number(row, "longest_wait_ns"), hold = label_number(row, "longest_hold_ns");
    if (linked)
        buffer_print(&h->out, "<tr><th scope=\"row\"><a href=\"#c-%zu\">", number);
    else
        put(h, "<tr><th scope=\"row\">");
    markup_take(&h->out, contention_label(row));
    put(h, linked ? "</a></th>" : "</th>");
    buffer_print(&h->out, "<td>%lld</td><td>%.1f%%</td>", (long long)label_number(row, "acquisitions"),
                 contention_share(row));
    put_time(h, "td", label_number(row, "wait_ns"));
    put_bar(h, label_number(row, "wait_ns"), most);
    put_time(h, "td", contention_quantile(json_object_get(row, "wait_histogram"), 0.99, wait));
    put_time(h, "td", wait);
    put_time(h, "td", label_number(row, "hold_ns"));
    put_time(h, "td", contention_quantile(json_object_get(row, "hold_histogram"), 0.5, hold));
    put_time(h, "td", contention_quantile(json_object_get(row, "hold_histogram"), 0.99, hold));
    put_time(h, "td", hold);
    put(h, "</tr>\n");
}

/* A bar for each power of two; each plot has a scale of its own. */
static void put_plot(struct html *h, const json_t *histogram, const char *class, const char *what)
{
    const json_t *n;
    size_t i;
    double most = 0, all = 0;
    json_array_foreach (histogram, i, n) {
        double v = json_number_value(n);
        most = v > most ? v : most;
        all += v;
    }
    if (most <= 0)
        return;
    buffer_print(
        &h->out,
        "<figure class=\"times\"><figcaption>%s: %.0f</figcaption><svg class=\"%s\" width=\"%d\" height=\"%d\" "
        "viewBox=\"0 0 %d %d\" role=\"img\">\n",
        what, all, class, BARS * BAR_WIDTH, PLOT_HEIGHT + 16, BARS * BAR_WIDTH, PLOT_HEIGHT + 16);
    json_array_foreach (histogram, i, n) {
        double v = json_number_value(n);
        if (v <= 0 || i >= BARS)
            continue;
        double height = PLOT_HEIGHT * v / most < 1 ? 1 : PLOT_HEIGHT * v / most;
        buffer_print(&h->out, "<rect x=\"%zu\" y=\"%.1f\" width=\"%d\" height=\"%.1f\"><title>%.0f of ", i * BAR_WIDTH,
                     PLOT_HEIGHT - height, BAR_WIDTH - 2, height, v);
        markup_take(&h->out, contention_time((json_int_t)1 << i));
        put(h, " to ");
        markup_take(&h->out, contention_time((json_int_t)2 << i));
        put(h, "</title></rect>\n");
    }
    buffer_print(&h->out, "<path d=\"M0 %dH%d\"/>", PLOT_HEIGHT, BARS * BAR_WIDTH);
    for (i = 0; i < BARS; i += 10) { /* about every factor of thousand */
        static const char *const marks[] = {"1 ns", "1 µs", "1 ms", "1 s"};
        buffer_print(&h->out, "<text x=\"%zu\" y=\"%d\">%s</text>", i * BAR_WIDTH, PLOT_HEIGHT + 13, marks[i / 10]);
    }
    put(h, "</svg></figure>\n");
}

static void put_longest(struct html *h, const json_t *longest, const char *before, const char *after)
{
    put(h, "<section class=\"side\"><h4>");
    put(h, before);
    markup_take(&h->out, contention_time(label_number(longest, "ns")));
    buffer_print(&h->out, ", T%lld%s</h4>\n", (long long)label_number(longest, "thread"), after);
    html_source(h, json_object_get(longest, "stack"), 1);
    html_stack(h, json_object_get(longest, "stack"));
    if (json_array_size(json_object_get(longest, "released"))) {
        put(h, "<h5>let go</h5>\n");
        html_stack(h, json_object_get(longest, "released"));
    }
    put(h, "</section>\n");
}

static void put_details(struct html *h, const json_t *row, size_t number)
{
    const json_t *hold, *wait = json_object_get(row, "longest_wait");
    size_t i;
    buffer_print(&h->out, "<details class=\"lock\" id=\"c-%zu\"%s><summary>", number, number ? "" : " open");
    markup_take(&h->out, contention_label(row));
    put(h, "</summary>\n<p class=\"meta\"><code>");
    markup_take(&h->out, markup_clip(label_text(row, "class"), 2000));
    buffer_print(&h->out, "</code> <span>taken %lld times, %lld had to wait",
                 (long long)label_number(row, "acquisitions"), (long long)label_number(row, "contended"));
    if (label_number(row, "reacquired"))
        buffer_print(&h->out, ", %lld by the end of a condition wait", (long long)label_number(row, "reacquired"));
    if (label_number(row, "given_up"))
        buffer_print(&h->out, ", %lld waits ended without it", (long long)label_number(row, "given_up"));
    put(h, "</span></p>\n<div class=\"plots\">");
    put_plot(h, json_object_get(row, "wait_histogram"), "waits", "waits");
    put_plot(h, json_object_get(row, "hold_histogram"), "holds", "holds");
    put(h, "</div>\n<div class=\"sides\">\n");
    json_array_foreach (json_object_get(row, "longest_holds"), i, hold)
        put_longest(h, hold, "Held ", "");
    if (wait)
        put_longest(h, wait, "Waited ", "");
    put(h, "</div></details>\n");
}

void html_contention(struct html *h, const json_t *document)
{
    const json_t *rows = json_object_get(document, "contention"), *row;
    size_t i, n = json_array_size(rows);
    json_int_t most = label_number(json_array_get(rows, 0), "wait_ns");
    put(h, "<section id=\"contention\">\n<h2>Contention</h2>\n");
    if (!n) {
        put(h, "<p class=\"lead\">No lock was taken.</p>\n</section>\n");
        return;
    }
    put(h,
        "<p class=\"lead\">Locks that were waited for longest come first. Busy: the share of acquisitions that had to "
        "wait. 50% and 99% of the times were not longer than that, rounded up to a power of two.</p>\n"
        "<div class=\"scroll\"><table class=\"contention\"><thead><tr><td></td><th scope=\"col\">taken</th><th "
        "scope=\"col\">busy</th><th scope=\"col\">waited</th><td></td><th scope=\"col\">99%</th><th "
        "scope=\"col\">longest</th><th scope=\"col\">held</th><th scope=\"col\">50%</th><th scope=\"col\">99%</th><th "
        "scope=\"col\">longest</th></tr></thead><tbody>\n");
    json_array_foreach (rows, i, row) {
        if (i < LISTED)
            put_row(h, row, most, i < DETAILED, i);
    }
    put(h, "</tbody></table></div>\n");
    if (n > LISTED)
        buffer_print(&h->out, "<p>%zu more are not listed; the JSON result has them all.</p>\n", n - LISTED);
    json_array_foreach (rows, i, row) {
        if (i < DETAILED)
            put_details(h, row, i);
    }
    put(h, "</section>\n");
}
