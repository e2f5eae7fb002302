/* What a team has decided of findings: suppressions, the baseline, owners, changed lines. Says which findings are taken;
 * whether the others count is report/classify.h's. */
#ifndef SNARL_GATE_GATE_H
#define SNARL_GATE_GATE_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

#include "baseline.h"
#include "suppress.h"

struct owners;
struct changed;

struct gate {
    struct suppressions suppressions;
    struct baseline baseline;
    bool has_baseline, has_file; /* one was asked for; it is there */
    struct owners *owners;       /* or NULL */
    struct changed *changed;     /* or NULL */
};

/* The file's text, malloc'd; NULL and a message in err. */
char *gate_read_file(const char *path, size_t *n, char *err, size_t errlen);

/* Both: 0, -EINVAL for a broken file, another -errno when it cannot be read; the message is in err. */
int gate_add_suppressions(struct gate *g, const char *path, char *err, size_t errlen);
int gate_open_baseline(struct gate *g, const char *path, char *err, size_t errlen);
/* What is worth saying of the suppressions before they are used: one call for each, with "file:line: …". */
void gate_notices(const struct gate *g, void (*say)(const char *text));

/* Sets "suppressed_by", "in_baseline", "suppressions" and "owners" of every finding, adds findings for orders against the
 * baseline, and the document's "gate". May be called again with the same or another document. */
void gate_apply(struct gate *g, json_t *document);

/* After fail_on_apply: takes back "counts" of findings that touch no changed line. Returns how many still count. */
size_t gate_count(const struct gate *g, json_t *document);

/* Adds a line for every order and counting finding that has none; with prune, takes out lines that are stale. True when
 * the text is to be written. */
bool gate_learn(struct gate *g, const json_t *document, bool prune);

#endif
