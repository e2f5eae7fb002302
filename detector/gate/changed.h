/* Lines that were changed since a revision of git. */
#ifndef SNARL_GATE_CHANGED_H
#define SNARL_GATE_CHANGED_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

struct changed;

/* Reads a unified diff without context (git diff -U0 --no-prefix), whose new files are below `root`. Never NULL. */
struct changed *changed_parse(const char *text, size_t n, const char *root);
/* Asks git, in the current folder's repository; files that git does not know yet count as new. NULL and a message in err
 * when it cannot answer. */
struct changed *changed_load(const char *revision, char *err, size_t errlen);
void changed_free(struct changed *c);
/* The root of the current folder's repository, malloc'd; NULL: there is none. */
char *changed_root(void);

bool changed_line(const struct changed *c, const char *file, long line);
/* A frame of the finding, or where its memory or locks are declared or made, lies in a changed line. */
bool changed_touches(const struct changed *c, const json_t *finding);

#endif
