/* Many results as one: runs of test shards and machines. */
#ifndef SNARL_MERGE_MERGE_H
#define SNARL_MERGE_MERGE_H

#include <jansson.h>
#include <stddef.h>

struct merge_source {
    size_t n;
    /* Reads a result; the caller frees it. NULL: it is broken, and the merge ends. */
    json_t *(*load)(size_t i, void *arg);
    /* What it is called in the report. */
    const char *(*name)(size_t i, void *arg);
    void *arg;
};

/* One document of all: findings of the same id are one, with their counts summed; the lock graphs are joined, and cycles
 * that no single run has become findings (flag "across-runs"). Each result is read once, and a second time when the
 * joined graph has a cycle; never two at a time. NULL when one could not be read. */
json_t *merge_results(const struct merge_source *from);

#endif
