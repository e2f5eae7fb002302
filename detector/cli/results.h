/* Results that a verb is given: files, run folders, folders full of result files. */
#ifndef SNARL_CLI_RESULTS_H
#define SNARL_CLI_RESULTS_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

struct results {
    char **path;
    size_t n;
    size_t common; /* of every path: what results_merge leaves away of names */
    json_t *kept;  /* of standard input, which cannot be read twice */
};

/* Every result behind the arguments, folders in the order of names. Files in folders that are JSON, but nobody's result,
 * are left out (said). False: something is not there (said). */
bool results_list(struct results *r, char **arguments, size_t n);
/* One of them; NULL when it is broken (said). A run's own data is read with its graph, if wanted. */
json_t *results_load(struct results *r, size_t i, bool with_graph);
json_t *results_merge(struct results *r);
/* All of them as one document, merged when there are several; NULL when one is broken (said). */
json_t *results_join(struct results *r);
void results_free(struct results *r);

#endif
