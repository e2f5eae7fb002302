/* Between the files of the SARIF renderer. */
#ifndef SNARL_REPORT_SARIF_H
#define SNARL_REPORT_SARIF_H

#include <jansson.h>
#include <stddef.h>

/* Index of the rule in the list, to which it is added when it is new. */
size_t sarif_rule(json_t *rules, const char *name);

#endif
