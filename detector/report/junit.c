/* JUnit's XML: a finding that counts is a failed test, another one a skipped test. Called through format.h. Takes no
 * locks; allocates with malloc. */
#include <stdlib.h>
#include <string.h>

#include "format.h"
#include "label.h"
#include "markup.h"
#include "place.h"

#define MAX_NAME 1000

static void put_attribute(struct buffer *b, const char *name, const char *value)
{
    buffer_print(b, " %s=\"", name);
    markup_take(b, markup_clip(value, MAX_NAME));
    buffer_put(b, "\"");
}

static void put_property(struct buffer *b, const char *name, const char *value)
{
    buffer_put(b, "<property");
    put_attribute(b, "name", name);
    put_attribute(b, "value", value);
    buffer_put(b, "/>");
}

static void put_place(struct buffer *b, const json_t *f)
{
    const json_t *frame = place_of(f);
    if (!*label_text(frame, "file"))
        return;
    put_attribute(b, "file", place_path(place_file(frame)));
    if (label_number(frame, "line") > 0)
        buffer_print(b, " line=\"%lld\"", (long long)label_number(frame, "line"));
}

static void put_case(struct buffer *b, const json_t *f)
{
    static const char *const keys[] = {"id", "kind", "rule", "verdict"};
    const char *excuse = format_excuse(f);
    struct buffer class = {0}, name = {0};
    buffer_print(&class, "snarl.%s", label_text(f, "kind"));
    char *title = markup_clip(label_text(f, "title"), MAX_NAME - 30);
    buffer_print(&name, "%s [%s]", title, label_text(f, "id"));
    buffer_put(b, "    <testcase");
    put_attribute(b, "classname", class.text);
    put_attribute(b, "name", name.text);
    put_place(b, f);
    buffer_put(b, ">\n      <properties>");
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++)
        if (*label_text(f, keys[i]))
            put_property(b, keys[i], label_text(f, keys[i]));
    buffer_print(b, "<property name=\"count\" value=\"%lld\"/></properties>\n", (long long)label_number(f, "count"));
    if (excuse) {
        buffer_put(b, "      <skipped");
        put_attribute(b, "message", excuse);
        buffer_put(b, "/>\n      <system-out>");
        markup_take(b, format_plain(f));
        buffer_put(b, "</system-out>\n    </testcase>\n");
    } else {
        buffer_put(b, "      <failure");
        put_attribute(b, "type", format_page(f));
        put_attribute(b, "message", label_text(f, "title"));
        buffer_put(b, ">");
        markup_take(b, format_plain(f));
        buffer_put(b, "</failure>\n    </testcase>\n");
    }
    free(title);
    free(buffer_take(&class));
    free(buffer_take(&name));
}

static void put_losses(struct buffer *b, const json_t *run)
{
    const json_t *loss;
    size_t i;
    if (!json_array_size(json_object_get(run, "losses")))
        return;
    buffer_put(b, "    <system-err>");
    json_array_foreach (json_object_get(run, "losses"), i, loss) {
        buffer_put(b, "not complete: ");
        markup_put(b, json_is_string(loss) ? json_string_value(loss) : label_text(loss, "text"));
        buffer_put(b, "\n");
    }
    buffer_put(b, "</system-err>\n");
}

static void put_totals(struct buffer *b, size_t tests, size_t failures, size_t skipped, double seconds)
{
    buffer_print(b, " tests=\"%zu\" failures=\"%zu\" errors=\"0\" skipped=\"%zu\" time=\"%.3f\"", tests, failures,
                 skipped, seconds > 0 ? seconds : 0.0);
}

char *format_junit(const json_t *document)
{
    const json_t *run = json_object_get(document, "run");
    double seconds = json_number_value(json_object_get(run, "duration_s"));
    size_t n, failures = 0;
    const json_t **list = format_sorted(document, &n);
    struct buffer b = {0};
    for (size_t i = 0; i < n; i++)
        failures += !format_excuse(list[i]);
    /* Without any failure one test has passed: readers take an empty suite for a broken one. */
    size_t passed = failures ? 0 : 1;
    char *subject = format_subject(document), *name = NULL;
    struct buffer whole = {0};
    buffer_print(&whole, "snarl %s", subject);
    name = buffer_take(&whole);
    buffer_put(&b, "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites name=\"snarl\"");
    put_totals(&b, n + passed, failures, n - failures, seconds);
    buffer_put(&b, ">\n  <testsuite");
    put_attribute(&b, "name", name);
    put_totals(&b, n + passed, failures, n - failures, seconds);
    buffer_put(&b, ">\n");
    if (passed)
        buffer_put(&b, "    <testcase classname=\"snarl\" name=\"no finding that counts\"/>\n");
    for (size_t i = 0; i < n; i++)
        put_case(&b, list[i]);
    put_losses(&b, run);
    buffer_put(&b, "  </testsuite>\n</testsuites>\n");
    free(list);
    free(name);
    free(subject);
    return buffer_take(&b);
}
