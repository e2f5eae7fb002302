/* Remarks beside the source for pull and merge requests: workflow commands of GitHub's Actions, and the code quality
 * report of GitLab. Called through format.h. Takes no locks; allocates with malloc.
 *
 * GitHub shows ten remarks of each level of a step. The rest is printed as plain lines, so that the log has them all. */
#include <stdlib.h>
#include <string.h>

#include "format.h"
#include "label.h"
#include "markup.h"
#include "place.h"

#define MAX_SHOWN 10
#define MAX_TITLE 200
#define MAX_MESSAGE 4000

/* What would end a value, or the whole command. */
static void put_escaped(struct buffer *b, const char *s, bool property)
{
    for (; *s; s++) {
        if (*s == '%' || *s == '\r' || *s == '\n' || (property && (*s == ':' || *s == ',')))
            buffer_print(b, "%%%02X", (unsigned char)*s);
        else
            buffer_add(b, s, 1);
    }
}

static void put_property(struct buffer *b, const char *before, const char *value)
{
    char *clipped = markup_clip(value, MAX_TITLE * 4);
    buffer_put(b, before);
    put_escaped(b, clipped, true);
    free(clipped);
}

static void put_title(struct buffer *b, const json_t *f)
{
    struct buffer title = {0};
    buffer_print(&title, "%s %s, %s", label_text(f, "kind"), label_text(f, "rule"), label_text(f, "verdict"));
    if (!*label_text(f, "rule")) {
        title.length = 0;
        buffer_print(&title, "%s, %s", label_text(f, "kind"), label_text(f, "verdict"));
    }
    char *clipped = markup_clip(title.text, MAX_TITLE);
    put_property(b, "title=snarl: ", clipped);
    free(clipped);
    free(buffer_take(&title));
}

static void put_message(struct buffer *b, const json_t *f)
{
    struct buffer m = {0};
    char *title = markup_clip(label_text(f, "title"), MAX_MESSAGE / 4);
    buffer_print(&m, "%s\n%s\nFix: %s", title, label_text(f, "why"), label_text(f, "fix"));
    char *clipped = markup_clip(m.text, MAX_MESSAGE);
    put_escaped(b, clipped, false);
    json_int_t count = label_number(f, "count");
    buffer_print(b, "%%0Aid %s, seen %lld time%s", label_text(f, "id"), (long long)count, count == 1 ? "" : "s");
    free(clipped);
    free(title);
    free(buffer_take(&m));
}

static void put_command(struct buffer *b, const json_t *f, const char *command)
{
    const json_t *frame = place_of(f);
    buffer_print(b, "::%s ", command);
    if (*label_text(frame, "file")) {
        put_property(b, "file=", place_path(place_file(frame)));
        if (label_number(frame, "line") > 0)
            buffer_print(b, ",line=%lld", (long long)label_number(frame, "line"));
        if (label_number(frame, "column") > 0)
            buffer_print(b, ",col=%lld", (long long)label_number(frame, "column"));
        buffer_put(b, ",");
    }
    put_title(b, f);
    buffer_put(b, "::");
    put_message(b, f);
    buffer_put(b, "\n");
}

char *format_github(const json_t *document)
{
    static const char *const commands[LEVEL_COUNT] = {"error", "warning", "notice"};
    size_t n, shown[LEVEL_COUNT] = {0};
    const json_t **list = format_sorted(document, &n);
    struct buffer b = {0};
    for (size_t i = 0; i < n; i++) {
        enum format_level level = format_level(list[i]);
        if (shown[level]++ < MAX_SHOWN) {
            put_command(&b, list[i], commands[level]);
            continue;
        }
        char *title = markup_clip(label_text(list[i], "title"), MAX_MESSAGE / 4);
        buffer_print(&b, "snarl: %s: %s (%s, %s; id %s, count %lld)\n", commands[level], title,
                     label_text(list[i], "kind"), label_text(list[i], "verdict"), label_text(list[i], "id"),
                     (long long)label_number(list[i], "count"));
        free(title);
    }
    free(list);
    return buffer_take(&b);
}

static json_t *issue(const json_t *f)
{
    static const char *const severities[LEVEL_COUNT] = {"critical", "major", "info"};
    const json_t *frame = place_of(f);
    const char *path = place_path(place_file(frame));
    json_int_t line = label_number(frame, "line");
    char *description = markup_clip(label_text(f, "title"), MAX_MESSAGE), *text = format_plain(f);
    json_t *j = json_pack("{s:s,s:s,s:s,s:s,s:s,s:[s],s:{s:s},s:{s:s,s:{s:I}}}", "type", "issue", "check_name",
                          format_page(f), "description", description, "fingerprint", label_text(f, "id"), "severity",
                          severities[format_level(f)], "categories", "Bug Risk", "content", "body", text, "location",
                          "path", *path ? path : "unknown", "lines", "begin", line > 0 ? line : (json_int_t)1);
    free(description);
    free(text);
    return j;
}

char *format_gitlab(const json_t *document)
{
    size_t n;
    const json_t **list = format_sorted(document, &n);
    json_t *issues = json_array();
    for (size_t i = 0; i < n; i++)
        json_array_append_new(issues, issue(list[i]));
    char *text = format_json(issues);
    json_decref(issues);
    free(list);
    return text;
}
