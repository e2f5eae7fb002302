/* SARIF's rules: a kind of finding, or a rule of lock-misuse, with its page of `snarl explain` as help. Called by
 * sarif.c. Takes no locks; allocates with malloc. */
#include <stdlib.h>
#include <string.h>

#include "label.h"
#include "markup.h"
#include "pages.h"
#include "sarif.h"

#define MAX_SHORT 1000

/* What the common weakness enumeration calls it. */
static const struct {
    const char *page, *cwe;
} weaknesses[] = {
    {"deadlock", "cwe-833"},
    {"lock-order", "cwe-833"},
    {"stuck", "cwe-833"},
    {"data-race", "cwe-362"},
    {"unprotected", "cwe-362"},
    {"atomicity", "cwe-362"},
    {"lock-misuse", "cwe-667"},
    {"relock", "cwe-764"},
    {"unlock-not-owner", "cwe-832"},
    {"unlock-not-locked", "cwe-832"},
    {"lock-left-at-thread-exit", "cwe-772"},
    {"destroy-locked", "cwe-667"},
    {"use-destroyed", "cwe-672"},
    {"not-initialised", "cwe-908"},
};

static const struct explain_page *page_of(const char *name)
{
    for (size_t i = 0; i < explain_page_count; i++)
        if (strcmp(explain_pages[i].name, name) == 0)
            return &explain_pages[i];
    return NULL;
}

/* "name: sentence" of the page's heading; malloc'd. */
static char *heading(const struct explain_page *p)
{
    const char *line = p->text + strspn(p->text, "# ");
    struct buffer b = {0};
    buffer_add(&b, line, strcspn(line, "\n"));
    return buffer_take(&b);
}

/* The first paragraph after the heading "## What", on one line; malloc'd. */
static char *paragraph(const struct explain_page *p)
{
    const char *at = strstr(p->text, "\n## "), *end;
    struct buffer b = {0};
    at = at ? strstr(at, "\n\n") : NULL;
    end = at ? strstr(at + 2, "\n\n") : NULL;
    for (at = at ? at + 2 : ""; *at && at != end; at++)
        buffer_add(&b, *at == '\n' ? " " : at, 1);
    char *text = buffer_take(&b), *clipped = markup_clip(text, MAX_SHORT);
    free(text);
    return clipped;
}

static json_t *tags(const char *name)
{
    json_t *list = json_pack("[s,s]", "concurrency", "correctness");
    for (size_t i = 0; i < sizeof weaknesses / sizeof *weaknesses; i++)
        if (strcmp(weaknesses[i].page, name) == 0) {
            struct buffer b = {0};
            buffer_print(&b, "external/cwe/%s", weaknesses[i].cwe);
            json_array_append_new(list, json_string(b.text));
            free(buffer_take(&b));
        }
    return list;
}

static json_t *rule(const char *name)
{
    const struct explain_page *p = page_of(name);
    char *id = markup_clip(name, 255);
    json_t *j = json_pack("{s:s,s:s,s:{s:s},s:{s:s,s:o}}", "id", id, "name", id, "defaultConfiguration", "level",
                          "error", "properties", "precision", "high", "tags", tags(name));
    free(id);
    if (p) {
        char *first = heading(p), *what = paragraph(p);
        json_object_set_new(j, "shortDescription", json_pack("{s:s}", "text", first));
        json_object_set_new(j, "fullDescription", json_pack("{s:s}", "text", *what ? what : first));
        json_object_set_new(j, "help", json_pack("{s:s,s:s}", "text", p->text, "markdown", p->text));
        free(first);
        free(what);
    }
    return j;
}

size_t sarif_rule(json_t *rules, const char *name)
{
    const json_t *r;
    size_t i;
    char *id = markup_clip(name, 255);
    json_array_foreach (rules, i, r) {
        if (label_is(r, "id", id))
            break;
    }
    free(id);
    if (i == json_array_size(rules))
        json_array_append_new(rules, rule(name));
    return i;
}
