/* The lock order in an HTML report: the drawing, and each order with its stack. Called by html.c. Takes no locks;
 * allocates with malloc. */
#include <stdlib.h>
#include <string.h>

#include "graph.h"
#include "html.h"
#include "label.h"
#include "markup.h"

#define DRAWN_NODES 300
#define DRAWN_EDGES 1200
#define LISTED_NODES 4000
#define LISTED_EDGES 4000
#define MAX_CONTEXTS 8

static void put(struct html *h, const char *s)
{
    buffer_put(&h->out, s);
}

/* "T2 holding a, b; reading; by a try" */
static void put_context(struct html *h, const json_t *c)
{
    const json_t *held;
    size_t i;
    buffer_print(&h->out, "<li>T%lld", (long long)label_number(c, "thread"));
    if (json_array_size(json_object_get(c, "held")))
        put(h, " holding ");
    json_array_foreach (json_object_get(c, "held"), i, held) {
        put(h, i ? ", " : "");
        markup_put(&h->out, label_short(label_text(held, "class")));
        put(h, label_is(held, "mode", "shared") ? " (reading)" : "");
    }
    put(h, label_is(c, "mode_to", "shared") ? "; takes it for reading" : "");
    put(h, json_is_true(json_object_get(c, "try")) ? "; by a try" : "");
    put(h, json_is_true(json_object_get(c, "timed")) ? "; with a time-out" : "");
    put(h, "</li>");
}

static void put_contexts(struct html *h, const json_t *edge)
{
    const json_t *contexts = json_object_get(edge, "contexts"), *c;
    size_t i;
    json_int_t total = label_number(edge, "contexts_total");
    if (!json_array_size(contexts))
        return;
    put(h, "<ul class=\"contexts\">");
    json_array_foreach (contexts, i, c) {
        if (i < MAX_CONTEXTS)
            put_context(h, c);
    }
    if (total > MAX_CONTEXTS)
        buffer_print(&h->out, "<li>and %lld more</li>", (long long)total - MAX_CONTEXTS);
    put(h, "</ul>\n");
}

static void put_order(struct html *h, const json_t *edge, size_t number)
{
    const char *finding = label_text(edge, "finding");
    json_int_t count = label_number(edge, "count"), threads = label_number(edge, "threads");
    buffer_print(&h->out, "<article class=\"order%s\" id=\"e-%zu\" data-from=\"", *finding ? " bad" : "", number);
    markup_put(&h->out, label_text(edge, "from"));
    put(h, "\" data-to=\"");
    markup_put(&h->out, label_text(edge, "to"));
    put(h, "\"><h4><code>");
    markup_put(&h->out, label_text(edge, "from"));
    put(h, "</code> before <code>");
    markup_put(&h->out, label_text(edge, "to"));
    buffer_print(&h->out, "</code></h4>\n<p class=\"meta\">%lld time%s, by %lld thread%s", (long long)count,
                 count == 1 ? "" : "s", (long long)threads, threads == 1 ? "" : "s");
    if (*finding) {
        put(h, " · <a href=\"#f-");
        markup_put(&h->out, finding);
        put(h, "\">finding ");
        markup_put(&h->out, finding);
        put(h, "</a>");
    }
    put(h, "</p>\n");
    html_source(h, json_object_get(edge, "stack"), 1);
    html_stack(h, json_object_get(edge, "stack"));
    put_contexts(h, edge);
    put(h, "</article>\n");
}

void html_orders(struct html *h, const json_t *document)
{
    json_t *whole = graph_of(document), *listed = graph_part(whole, LISTED_NODES, LISTED_EDGES), *edge;
    json_t *edges = json_object_get(listed, "edges");
    size_t i, nodes = json_array_size(json_object_get(whole, "nodes")),
              all = json_array_size(json_object_get(whole, "edges"));
    json_array_foreach (edges, i, edge) /* graph_of made them, so they are ours */
        json_object_set_new(edge, "number", json_integer((json_int_t)i));
    json_t *drawn = graph_part(listed, DRAWN_NODES, DRAWN_EDGES);
    json_int_t left = label_number(drawn, "left_out") + label_number(listed, "left_out");
    buffer_print(&h->out,
                 "<section id=\"order\">\n<h2>Lock order</h2>\n<p class=\"lead\">%zu class%s of locks, %zu order%s. An "
                 "arrow leads "
                 "from a lock that is held to one that is taken then; a red one is part of a finding.",
                 nodes, nodes == 1 ? "" : "es", all, all == 1 ? "" : "s");
    if (left)
        buffer_print(&h->out, " Drawn are the %zu classes nearest to findings.", nodes - (size_t)left);
    if (label_number(whole, "cut"))
        put(h, " Not complete: too many orders, or too many locks held at once.");
    put(h, "</p>\n");
    if (!nodes) {
        put(h, "<p>No lock was ever taken while another one was held: there is no order to draw.</p>\n");
    } else {
        put(h, "<div class=\"explore\"><div class=\"stage\">");
        graph_svg_inside(&h->out, drawn);
        put(h, "</div><div class=\"orders\">\n");
        json_array_foreach (edges, i, edge)
            put_order(h, edge, i);
        if (label_number(listed, "left_out_edges"))
            buffer_print(&h->out,
                         "<p>%lld more orders without a finding are not listed; the JSON result has them all.</p>\n",
                         (long long)label_number(listed, "left_out_edges"));
        put(h, "</div></div>\n");
    }
    put(h, "</section>\n");
    json_decref(drawn);
    json_decref(listed);
    json_decref(whole);
}
