/* Which findings count: the grammar of --fail-on. */
#ifndef SNARL_REPORT_CLASSIFY_H
#define SNARL_REPORT_CLASSIFY_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

/* Comma-separated; a finding counts when one of the words says so:
 *   proven   observed or predicted, any kind; possible ones only of the kinds lock-order and lock-misuse
 *   all      everything
 *   none     nothing
 *   KIND     every finding of that kind, RULE every lock-misuse of that rule
 *   VERDICT  every finding of at least that verdict (possible: also predicted and observed)
 *   high, medium   static findings of at least that confidence */
struct fail_on {
    unsigned kinds, rules;
    int verdict;    /* weakest that counts; -1: none by verdict */
    int confidence; /* of static findings, 0 is the highest; -1: none by confidence */
    bool proven;
};

/* What counts of a scan when nothing is said. */
#define FAIL_ON_SCAN "proven,high"
/* Whether the document is the result of a scan. */
bool fail_on_of_scan(const json_t *document);

/* 0, or -EINVAL and a sentence in err. */
int fail_on_parse(struct fail_on *f, const char *list, char *err, size_t errlen);
/* Sets "counts" of every finding of a document; suppressed and accepted ones never count. Returns how many do. */
size_t fail_on_apply(const struct fail_on *f, json_t *document);

#endif
