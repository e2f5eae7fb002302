/* Orders of locks: those of a result held against those of a baseline. */
#ifndef SNARL_GATE_ORDERS_H
#define SNARL_GATE_ORDERS_H

#include <jansson.h>

#include "baseline.h"

/* Marks the entries that the result's orders need, and adds a finding (kind lock-order, flag "baseline") for each order
 * that is against the baseline's. What is wrong stands in the new object: "against" (how many), "new" (orders that are
 * not listed: array of {"from", "to", "first_seen"}).
 *
 * An order contradicts when the baseline leads from its second lock to its first one, by lines of the file and by
 * declared rules, and does not list it. Between classes with many locks only declared rules decide: elsewhere the
 * finding has the flag "by-class" and does not count by itself. */
json_t *orders_check(struct baseline *b, json_t *document);

/* Takes out the findings of an earlier orders_check. */
void orders_forget(json_t *document);

/* Adds a line for each order of the result that has none. */
void orders_learn(struct baseline *b, const json_t *document);

/* The name of a class without the main program's module, as far as the name alone tells. Points into it. */
const char *orders_bare_name(const char *class);

#endif
