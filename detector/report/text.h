/* The text report, from a result document alone (so that `snarl report FILE` gives what `snarl run` gave). The
 * document's strings must be harmless: as collected, or as document_load hands them out. */
#ifndef SNARL_REPORT_TEXT_H
#define SNARL_REPORT_TEXT_H

#include <jansson.h>
#include <stdbool.h>

#include "advice.h"
#include "buffer.h"

struct text_options {
    bool color;
    bool verbose;   /* whole stacks, all threads, what watching cost */
    bool quiet;     /* findings only */
    unsigned width; /* columns for running text; 0: 100 */
};

/* Findings in full (those that count), the others in short, then the summary. malloc'd. */
char *text_report(const json_t *document, const struct text_options *o);
/* One finding in full. malloc'd. */
char *text_finding(const json_t *finding, const struct text_options *o);

/* ---- between text*.c ---- */
enum style { STYLE_NONE, STYLE_ALARM, STYLE_WARN, STYLE_STRONG, STYLE_DIM, STYLE_PLACE };
struct text {
    struct buffer out;
    const struct text_options *o;
};
/* What was put, malloc'd. A line that begins with "::" is an order to the runner of GitHub's workflows, so a name that begins
 * so gets a bar before it. */
char *text_take(struct text *t);
void text_put(struct text *t, enum style style, const char *s);
/* Wraps at the width; the first line goes on where the cursor is (at column `indent`). */
void text_wrap(struct text *t, const char *s, unsigned indent);
/* The frames worth reading, one a line. */
void text_stack(struct text *t, const json_t *stack, unsigned indent);
/* A file as it is shown: from the current folder on when it is below it. */
const char *text_path(const char *path);
/* Puts what a malloc'd label says and frees it. */
void text_label(struct text *t, enum style style, char *label);
/* One line: what an event, a step of a cycle, an access tells. */
void text_event(struct text *t, const json_t *f, const json_t *event);
void text_step(struct text *t, const json_t *f, const struct advice_step *s);
void text_access(struct text *t, const json_t *f, const struct advice_access *a, const char *verb);
/* The accesses of a finding about memory in the order of telling, and the words for what each does. */
#define TEXT_ACCESSES 3
size_t text_access_list(const json_t *f, struct advice_access a[TEXT_ACCESSES], const char *verbs[TEXT_ACCESSES]);
/* Its memory, locks and threads, a line each, and an empty line behind. */
void text_facts(struct text *t, const json_t *f);
bool text_is_cycle(const json_t *f);
/* The two sides of a finding about memory, and where that memory is (text_memory.c). */
void text_accesses(struct text *t, const json_t *f);
void text_memory(struct text *t, const json_t *f);
void text_summary(struct text *t, const json_t *document);
/* How much of a rewritten program was watched: when that is asked for, or is too little (text_coverage.c). */
void text_coverage(struct text *t, const json_t *run);
/* The table of contention, when it was measured (text_contention.c). */
void text_contention(struct text *t, const json_t *document);
/* What suppressions and the baseline took, and what is left over of them (text_gate.c). */
void text_gate(struct text *t, const json_t *document);
/* With --verbose: who owns it, how to suppress it. */
void text_gate_finding(struct text *t, const json_t *f);

#endif
