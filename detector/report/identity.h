/* Stable ids: the same bug has the same id in every run, on every machine. */
#ifndef SNARL_REPORT_IDENTITY_H
#define SNARL_REPORT_IDENTITY_H

#include <jansson.h>

#include "base/types.h"

/* Sets "id" of a finding from its kind, rule, locks and events. */
void identity_set(json_t *finding);

/* Hash of a cycle's locks (their instances in this run) and of the functions that take them, without their callers. */
u64 identity_cycle(const json_t *finding);

/* A function's name as ids use it, malloc'd: without parameters, template arguments, compiler suffixes (.part.0, [clone
 * …]) and with lambdas named alike. */
char *identity_function(const char *name);

#endif
