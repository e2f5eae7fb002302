/* Suppressions: what a team does not want to hear of. ThreadSanitizer's files work as they are; see snarl-run(1) for
 * the whole grammar. */
#ifndef SNARL_GATE_SUPPRESS_H
#define SNARL_GATE_SUPPRESS_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

/* X(enumerator, name, what has no effect of it, or NULL) */
#define SUPPRESS_TYPES(X)                                                                                              \
    X(RACE, "race", NULL)                                                                                              \
    X(RACE_TOP, "race_top", NULL)                                                                                      \
    X(DEADLOCK, "deadlock", NULL)                                                                                      \
    X(MUTEX, "mutex", NULL)                                                                                            \
    X(FROM_LIB, "called_from_lib", NULL)                                                                               \
    X(KIND, "kind", NULL)                                                                                              \
    X(ID, "id", NULL)                                                                                                  \
    X(THREAD, "thread", "snarl reports no threads that were never joined")                                             \
    X(SIGNAL, "signal", "snarl reports no unsafe calls in signal handlers")                                            \
    X(NONE, "none", "it is the type of nothing")
enum suppress_type {
#define X(e, name, why) SUPPRESS_##e,
    SUPPRESS_TYPES(X)
#undef X
        SUPPRESS_TYPE_COUNT
};

struct suppression {
    enum suppress_type type;
    char *rule;    /* as it stands in the file, without the remark */
    char *kind;    /* of KIND: a kind of finding or a rule of lock-misuse */
    char **step;   /* patterns; several must match frames of one stack in this order, innermost first */
    size_t nsteps; /* 0: anything */
    char *owner;   /* or NULL */
    char *expires; /* YYYY-MM-DD, the last day on which it works, or NULL */
    bool expired;
    const char *file;
    int line;
    size_t used; /* findings that it took */
};

struct suppressions {
    struct suppression *item;
    size_t n;
    char **files; /* names, escaped */
    size_t nfiles;
};

/* Adds the suppressions of a text. today: YYYY-MM-DD. 0, or -EINVAL and "file:line:column: what is wrong" in err. */
int suppress_parse(struct suppressions *s, const char *text, size_t n, const char *name, const char *today, char *err,
                   size_t errlen);
void suppress_free(struct suppressions *s);

/* Name of a type, and why it has no effect (NULL: it has). */
const char *suppress_type_name(enum suppress_type type);
const char *suppress_no_effect(enum suppress_type type);

/* The first one that takes this finding, or NULL. Expired ones take nothing. */
struct suppression *suppress_find(struct suppressions *s, const json_t *finding);

/* Ready-made suppressions of a finding, the most exact one first: new array of strings. */
json_t *suppress_offer(const json_t *finding);

#endif
