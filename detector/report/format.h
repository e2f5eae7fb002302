/* The forms that a result can be written in. One table serves the outputs of runs and `snarl report --format`. */
#ifndef SNARL_REPORT_FORMAT_H
#define SNARL_REPORT_FORMAT_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

/* X(name, function, needs the lock-order graph) */
#define FORMAT_TABLE(X)                                                                                                \
    X(json, format_json, true)                                                                                         \
    X(sarif, format_sarif, false)                                                                                      \
    X(junit, format_junit, false)                                                                                      \
    X(html, format_html, true)                                                                                         \
    X(dot, format_dot, true)                                                                                           \
    X(svg, format_svg, true)                                                                                           \
    X(github, format_github, false)                                                                                    \
    X(gitlab, format_gitlab, false)

/* Each takes a document whose strings are harmless (escape.h) and gives a malloc'd text. */
#define X(name, function, graph) char *function(const json_t *document);
FORMAT_TABLE(X)
#undef X

struct format {
    const char *name;
    char *(*render)(const json_t *document);
    bool graph;
};
extern const struct format format_table[];
extern const size_t format_count;
/* NULL when there is none of that name. */
const struct format *format_find(const char *name);

/* ---- what several of them use ---- */
/* Name of the page of `snarl explain`: the rule, else the kind. */
const char *format_page(const json_t *finding);
/* How grave: a finding that counts and is proven in the sense of --fail-on; another one that counts; one that does not.
 * Suppressed and accepted ones are notes. */
enum format_level { LEVEL_ERROR, LEVEL_WARNING, LEVEL_NOTE, LEVEL_COUNT };
enum format_level format_level(const json_t *finding);
/* Why it does not count: suppressed, in the baseline, or not asked for; NULL when it counts. */
const char *format_excuse(const json_t *finding);
/* The findings, gravest first; among equals as they stand. malloc'd array of borrowed references. */
const json_t **format_sorted(const json_t *document, size_t *n);
/* The text report's words on one finding, without colour. malloc'd. */
char *format_plain(const json_t *finding);
/* "run ./server" or "scan". malloc'd. */
char *format_subject(const json_t *document);

#endif
