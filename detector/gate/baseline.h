/* The lock-order baseline: which orders of locks and which findings a team knows. A text file for review in a diff; see
 * snarl-check(1). */
#ifndef SNARL_GATE_BASELINE_H
#define SNARL_GATE_BASELINE_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

#include "report/buffer.h"

enum baseline_kind {
    BASELINE_ORDER,  /* order A < B: seen and agreed to */
    BASELINE_RULE,   /* order A* < B < C, rule A < B: declared by hand, for all classes that match */
    BASELINE_LEVEL,  /* level N A*: locks of a lower level first */
    BASELINE_ACCEPT, /* accept ID */
};

struct baseline_entry {
    enum baseline_kind kind;
    char **name; /* classes or patterns; of ACCEPT the id */
    size_t nnames;
    long level;
    char *remark;  /* behind '#', or NULL */
    char *comment; /* whole lines before it, with their line ends, or NULL */
    int line;      /* 0: added since */
    bool seen;     /* in the results at hand */
    bool gone;     /* to be left out when it is written */
};

struct baseline {
    char *file; /* escaped */
    struct baseline_entry *entry;
    size_t n;
    char *head, *tail; /* comments before the first blank line, and behind the last entry */
};

/* 0, or -EINVAL and "file:line:column: what is wrong" in err. */
int baseline_parse(struct baseline *b, const char *text, size_t n, const char *name, char *err, size_t errlen);
void baseline_free(struct baseline *b);
/* A new entry at the end; names are copied. second: NULL for ACCEPT. */
struct baseline_entry *baseline_add(struct baseline *b, enum baseline_kind kind, const char *first, const char *second);
/* The text of the file: rules as they stood, then orders and accepted findings sorted. malloc'd. */
char *baseline_text(const struct baseline *b);
/* Replaces the file, all or nothing. 0 or -errno. */
int baseline_write(const char *path, const char *text);

/* The entry that accepts a finding, or NULL. */
struct baseline_entry *baseline_accepts(struct baseline *b, const json_t *finding);

#endif
