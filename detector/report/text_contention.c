/* The text report: contention as a table, the locks that were waited for longest first. Called by text.c. Takes no locks;
 * allocates with malloc. */
#include <stdlib.h>

#include "contention.h"
#include "escape.h"
#include "label.h"
#include "text.h"

#define MAX_ROWS 20
#define MAX_NAME 40u
#define HOLDERS_OF 3 /* rows whose longest holds are told */

/* Columns, not bytes: names and units are not always ASCII. */
static void put_right(struct text *t, unsigned width, char *s)
{
    unsigned columns = (unsigned)escape_columns(s);
    buffer_print(&t->out, "%*s%s", columns < width ? (int)(width - columns) : 1, "", s);
    free(s);
}

static void put_number(struct text *t, unsigned width, const char *format, double v)
{
    struct buffer b = {0};
    buffer_print(&b, format, v);
    put_right(t, width, buffer_take(&b));
}

static void put_row(struct text *t, const json_t *row, unsigned name_width)
{
    char *name = contention_label(row);
    unsigned columns = (unsigned)escape_columns(name);
    json_int_t wait = label_number(row, "longest_wait_ns"), hold = label_number(row, "longest_hold_ns");
    const json_t *waits = json_object_get(row, "wait_histogram"), *holds = json_object_get(row, "hold_histogram");
    buffer_put(&t->out, "  ");
    text_put(t, STYLE_STRONG, name);
    buffer_print(&t->out, "%*s", columns < name_width ? (int)(name_width - columns) : 0, "");
    free(name);
    put_number(t, 11, "%.0f", (double)label_number(row, "acquisitions"));
    put_number(t, 8, "%.1f%%", contention_share(row));
    put_right(t, 9, contention_time(label_number(row, "wait_ns")));
    put_right(t, 9, contention_time(contention_quantile(waits, 0.99, wait)));
    put_right(t, 9, contention_time(wait));
    put_right(t, 9, contention_time(label_number(row, "hold_ns")));
    put_right(t, 9, contention_time(contention_quantile(holds, 0.5, hold)));
    put_right(t, 9, contention_time(contention_quantile(holds, 0.99, hold)));
    put_right(t, 9, contention_time(hold));
    buffer_put(&t->out, "\n");
}

static void put_longest(struct text *t, const json_t *row, const json_t *longest, const char *what)
{
    char *place = label_place(longest), *name = contention_label(row);
    text_label(t, STYLE_NONE, contention_time(label_number(longest, "ns")));
    buffer_print(&t->out, ": T%lld %s ", (long long)label_number(longest, "thread"), what);
    text_label(t, STYLE_STRONG, name);
    if (*place && !t->o->verbose) {
        buffer_put(&t->out, " in ");
        text_put(t, STYLE_PLACE, place);
    }
    buffer_put(&t->out, "\n");
    if (t->o->verbose)
        text_stack(t, json_object_get(longest, "stack"), 6);
    free(place);
}

static void put_holders(struct text *t, const json_t *rows)
{
    const json_t *row, *hold;
    size_t i, k;
    text_put(t, STYLE_STRONG, "  longest, by place\n");
    json_array_foreach (rows, i, row) {
        const json_t *wait = json_object_get(row, "longest_wait");
        if (i >= HOLDERS_OF && !t->o->verbose)
            break;
        json_array_foreach (json_object_get(row, "longest_holds"), k, hold) {
            buffer_put(&t->out, "    ");
            put_longest(t, row, hold, "held");
            if (t->o->verbose && json_array_size(json_object_get(hold, "released"))) {
                buffer_put(&t->out, "      and let it go\n");
                text_stack(t, json_object_get(hold, "released"), 6);
            }
        }
        if (wait) {
            buffer_put(&t->out, "    ");
            put_longest(t, row, wait, "waited for");
        }
    }
}

void text_contention(struct text *t, const json_t *document)
{
    const json_t *rows = json_object_get(document, "contention"), *row;
    size_t i, n = json_array_size(rows), shown = n > MAX_ROWS && !t->o->verbose ? MAX_ROWS : n;
    unsigned width = 4;
    if (!n)
        return;
    json_array_foreach (rows, i, row) {
        char *name = contention_label(row);
        unsigned columns = (unsigned)escape_columns(name);
        width = i < shown && columns > width ? columns : width;
        free(name);
    }
    width = width > MAX_NAME ? MAX_NAME : width;
    text_put(t, STYLE_STRONG, "snarl: contention");
    buffer_print(&t->out, "\n  %*s%s\n  ", (int)width + 19, "",
                 " waited ----------------- held ----------------------------");
    text_put(t, STYLE_DIM, "lock");
    buffer_print(&t->out, "%*s%s\n", (int)width - 4, "",
                 "      taken    busy      all      99%  longest      all      50%      99%  longest");
    json_array_foreach (rows, i, row) {
        if (i < shown)
            put_row(t, row, width);
    }
    if (n > shown)
        buffer_print(&t->out, "  and %zu more (--verbose shows all)\n", n - shown);
    put_holders(t, rows);
    buffer_put(&t->out, "\n");
}
