/* Figures on contention as people read them. Called by text_contention.c and html_contention.c. Takes no locks; allocates
 * with malloc. */
#include "contention.h"

#include <stdlib.h>
#include <string.h>

#include "buffer.h"
#include "label.h"
#include "markup.h"

#define MAX_NAME 200

char *contention_time(json_int_t ns)
{
    static const struct {
        double from;
        const char *unit;
    } units[] = {{3600e9, "h"}, {60e9, "min"}, {1e9, "s"}, {1e6, "ms"}, {1e3, "µs"}, {1, "ns"}};
    struct buffer b = {0};
    double v = ns > 0 ? (double)ns : 0;
    size_t i = 0;
    while (i < sizeof units / sizeof *units - 1 && v < units[i].from)
        i++;
    v /= units[i].from;
    buffer_print(&b, "%.*f %s", units[i].from <= 1 || v >= 99.95 ? 0 : v >= 9.995 ? 1 : 2, v, units[i].unit);
    return buffer_take(&b);
}

json_int_t contention_quantile(const json_t *histogram, double share, json_int_t longest)
{
    double all = 0, seen = 0;
    const json_t *n;
    size_t i;
    json_array_foreach (histogram, i, n)
        all += json_number_value(n);
    if (all <= 0)
        return 0;
    json_array_foreach (histogram, i, n) {
        seen += json_number_value(n);
        if (seen >= share * all)
            return i < 62 && (json_int_t)2 << i < longest ? (json_int_t)2 << i : longest;
    }
    return longest;
}

double contention_share(const json_t *row)
{
    json_int_t known = label_number(row, "acquisitions") - label_number(row, "reacquired");
    return known > 0 ? 100.0 * (double)label_number(row, "contended") / (double)known : 0;
}

char *contention_label(const json_t *row)
{
    struct buffer b = {0};
    char *name = markup_clip(label_short(label_text(row, "class")), MAX_NAME);
    buffer_put(&b, name);
    free(name);
    if (label_is(row, "kind", "rwlock"))
        buffer_put(&b, label_is(row, "mode", "shared") ? " (reading)" : " (writing)");
    return buffer_take(&b);
}

bool contention_measured(const json_t *document)
{
    const json_t *options = json_object_get(json_object_get(document, "run"), "options"), *word;
    size_t i;
    json_array_foreach (json_object_get(options, "detect"), i, word) {
        if (json_is_string(word) && strcmp(json_string_value(word), "contention") == 0)
            return true;
    }
    return json_array_size(json_object_get(document, "contention")) != 0;
}
