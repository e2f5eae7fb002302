/* The timeline of a finding: a lane for each thread, what it holds and where it waits. Called by html_finding.c. Takes no
 * locks; allocates with malloc.
 *
 * Time is an order of steps, not a clock. In a cycle first every thread takes what it holds, then each asks for the next
 * lock; of a lost update the three accesses follow each other; two racing accesses stand side by side. */
#include <stdlib.h>
#include <string.h>

#include "html.h"
#include "label.h"
#include "markup.h"
#include "text.h"

#define MAX_LANES 12
#define COLUMN 128.0
#define STEP 0.35 /* columns from one start to the next */
#define ROW 24.0
#define LEFT 12.0
#define TOP 24.0
#define NAME_ROW 16.0
#define MAX_NAME 40

struct time {
    struct html *h;
    const json_t *finding;
    const struct side *side;
    size_t n;
    json_int_t thread[MAX_LANES];
    size_t lanes;
    double columns;
    int rows; /* of a lane */
};

static size_t lane_of(struct time *t, json_int_t thread)
{
    for (size_t i = 0; i < t->lanes; i++)
        if (t->thread[i] == thread)
            return i;
    if (t->lanes == MAX_LANES)
        return MAX_LANES;
    t->thread[t->lanes] = thread;
    return t->lanes++;
}

static double x_of(double column)
{
    return LEFT + column * COLUMN;
}

static double lane_height(const struct time *t)
{
    return t->rows * ROW + 14 + NAME_ROW;
}

static double y_of(const struct time *t, size_t lane, int row)
{
    return TOP + (double)lane * lane_height(t) + NAME_ROW + row * ROW;
}

static void put_clipped(struct time *t, const char *before, char *name)
{
    struct buffer b = {0};
    buffer_print(&b, "%s%s", before, name);
    markup_take(&t->h->out, markup_clip(b.text, MAX_NAME));
    free(name);
    free(buffer_take(&b));
}

/* A bar from a column to another; name is malloc'd. */
static void put_bar(struct time *t, size_t lane, int row, double from, double to, const char *class, const char *before,
                    char *name)
{
    double x = x_of(from), y = y_of(t, lane, row);
    buffer_print(&t->h->out,
                 "<g class=\"bar %s\"><rect x=\"%.0f\" y=\"%.0f\" width=\"%.0f\" height=\"%.0f\" rx=\"3\"/>"
                 "<text x=\"%.0f\" y=\"%.0f\">",
                 class, x, y, x_of(to) - x - 4, ROW - 4, x + 7, y + 14.5);
    put_clipped(t, before, name);
    buffer_put(&t->h->out, "</text></g>\n");
}

static void put_arrow(struct time *t, double column, size_t from, int from_row, size_t to, int to_row)
{
    bool down = to > from;
    double x = x_of(column) - 10, y0 = y_of(t, from, from_row) + (ROW - 4) / 2,
           y1 = y_of(t, to, to_row) + (down ? 0 : ROW - 4), s = down ? -1 : 1;
    buffer_print(&t->h->out,
                 "<g class=\"arrow\"><path d=\"M%.0f,%.0fH%.0fV%.0f\"/><polygon points=\"%.0f,%.0f %.0f,%.0f "
                 "%.0f,%.0f\"/></g>\n",
                 x + 10, y0, x, y1 + s * 7, x, y1, x - 4, y1 + s * 8, x + 4, y1 + s * 8);
}

/* What a side holds and another one wants: an event, or an entry of "held_at"; NULL. */
static const json_t *held_by(const struct time *t, size_t i)
{
    return t->side[i].hold ? t->side[i].hold : sides_wanted(t->finding, t->side[i].event);
}

static const char *class_of(const json_t *held)
{
    return label_text(held, json_object_get(held, "action") ? "object" : "class");
}

static bool has(const struct time *t, size_t i, const json_t *ask)
{
    const json_t *held = held_by(t, i);
    return held && label_is(ask, "object", class_of(held)) &&
           label_number(ask, "instance") == label_number(held, "instance");
}

/* The side that has what this one asks for, or n. */
static size_t owner_of(const struct time *t, size_t i)
{
    const json_t *ask = t->side[i].event;
    size_t k;
    if (json_object_get(ask, "object_thread")) {
        for (k = 0; k < t->n && t->side[k].thread != label_number(ask, "object_thread"); k++)
            ;
        return k;
    }
    for (k = 0; k < t->n && !(k != i && has(t, k, ask)); k++)
        ;
    return k;
}

static void put_cycle(struct time *t)
{
    double hold = 0, first_wait;
    t->rows = 2;
    double *begin = calloc(t->n + 1, sizeof *begin);
    if (!begin)
        abort();
    for (size_t i = 0; i < t->n; i++) {
        begin[i] = hold;
        hold += held_by(t, i) ? STEP : 0;
    }
    first_wait = hold > 0 ? hold + 2 * STEP : STEP;
    t->columns = first_wait + STEP * (double)t->n + 1.3;
    for (size_t i = 0; i < t->n; i++)
        lane_of(t, t->side[i].thread);
    for (size_t i = 0; i < t->n; i++) { /* arrows first: they are not to cross words */
        size_t lane = lane_of(t, t->side[i].thread), owner = owner_of(t, i);
        size_t to = owner < t->n ? lane_of(t, t->side[owner].thread) : MAX_LANES;
        if (to != MAX_LANES && to != lane)
            put_arrow(t, first_wait + STEP * (double)i, lane, 1, to,
                      json_object_get(t->side[i].event, "object_thread") ? 1 : 0);
    }
    for (size_t i = 0; i < t->n; i++) {
        size_t lane = lane_of(t, t->side[i].thread);
        const json_t *held = held_by(t, i);
        if (held)
            put_bar(t, lane, 0, begin[i], t->columns, "hold", "holds ",
                    label_lock(t->finding, class_of(held), label_number(held, "instance")));
        put_bar(t, lane, 1, first_wait + STEP * (double)i, t->columns, "wait", "waits for ",
                label_object(t->finding, t->side[i].event));
    }
    free(begin);
}

static void put_accesses(struct time *t)
{
    bool pair = label_is(t->finding, "kind", "atomicity");
    t->columns = (double)t->n * 1.5;
    t->rows = 1;
    for (size_t i = 0; i < t->n; i++)
        if (json_array_size(json_object_get(t->side[i].event, "held_at")))
            t->rows = 2;
    for (size_t i = 0; i < t->n; i++) {
        const json_t *event = t->side[i].event, *held = json_array_get(json_object_get(event, "held_at"), 0);
        size_t lane = lane_of(t, t->side[i].thread);
        double from = 1.5 * (double)(pair ? i : t->n - 1 - i);
        const char *action = label_text(event, "action");
        struct buffer before = {0};
        if (lane == MAX_LANES)
            continue;
        if (held)
            put_bar(t, lane, 0, from, from + 1.45, "hold", "holds ",
                    label_lock(t->finding, label_text(held, "class"), label_number(held, "instance")));
        buffer_print(&before, "%s ", action);
        put_bar(t, lane, t->rows - 1, from + 0.1, from + 1.35, label_is(event, "action", "read") ? "read" : "write",
                before.text, label_memory(t->finding));
        free(buffer_take(&before));
    }
}

static const char *caption(const struct time *t)
{
    bool observed = label_is(t->finding, "verdict", "observed");
    if (label_is(t->finding, "kind", "atomicity"))
        return observed
                   ? "What happened, from left to right: another thread wrote between the read and the write that "
                     "depends on it."
                   : "From left to right: another thread can write between the read and the write that depends on it.";
    if (label_is(t->finding, "kind", "unprotected"))
        return "No lock keeps the two accesses apart: that one came first was the luck of this run.";
    if (json_object_get(t->finding, "memory"))
        return "Nothing orders the two accesses: either can come first, or both at once.";
    return observed ? "What happened, from left to right: what each thread holds, and what it waits for. Arrows lead "
                      "to who has it."
                    : "How it comes to hang, from left to right: a timing that this run did not have. Arrows lead to "
                      "who has the lock.";
}

void html_timeline(struct html *h, const json_t *f, const struct side *s, size_t n)
{
    struct time t = {.h = h, .finding = f, .side = s, .n = n > MAX_LANES ? MAX_LANES : n};
    bool memory = json_object_get(f, "memory") != NULL;
    if (n < 2 || (!memory && !text_is_cycle(f)))
        return;
    struct buffer page = h->out; /* the size is known after the drawing */
    h->out = (struct buffer){0};
    if (memory)
        put_accesses(&t);
    else
        put_cycle(&t);
    char *drawing = buffer_take(&h->out);
    h->out = page;
    double width = x_of(t.columns) + LEFT, height = y_of(&t, t.lanes - 1, t.rows) + 8;
    buffer_print(
        &h->out,
        "<figure class=\"time\"><div class=\"scroll\"><svg role=\"img\" aria-label=\"Timeline\" viewBox=\"0 0 %.0f "
        "%.0f\" width=\"%.0f\" height=\"%.0f\">\n",
        width, height, width, height);
    for (size_t i = 0; i < t.lanes; i++)
        buffer_print(&h->out, "<rect class=\"lane\" x=\"0\" y=\"%.0f\" width=\"%.0f\" height=\"%.0f\"/>",
                     y_of(&t, i, 0) - NAME_ROW - 4, width, lane_height(&t) - 8);
    buffer_put(&h->out, drawing);
    for (size_t i = 0; i < t.lanes; i++) { /* over the arrows */
        buffer_print(&h->out, "<text class=\"who\" x=\"%.0f\" y=\"%.0f\">", LEFT, y_of(&t, i, 0) - 5);
        html_label(h, label_thread(f, t.thread[i]));
        buffer_put(&h->out, "</text>\n");
    }
    buffer_put(&h->out, "</svg></div><figcaption>");
    markup_put(&h->out, caption(&t));
    if (n > t.n)
        buffer_print(&h->out, " The first %zu of %zu are drawn.", t.n, n);
    buffer_put(&h->out, "</figcaption></figure>\n");
    free(drawing);
}
