/* The sentences of a finding, written for somebody who has to act on it: title, why it is a problem, how to fix it.
 * From the JSON alone. */
#ifndef SNARL_REPORT_ADVICE_H
#define SNARL_REPORT_ADVICE_H

#include <jansson.h>
#include <stdbool.h>

#include "buffer.h"

/* Sets "title", "why" and "fix". */
void advice_write(json_t *finding);

/* ---- between advice*.c ---- */
struct advice {
    struct buffer title, why, fix;
};
void advice_order(const json_t *finding, struct advice *a);
void advice_level(const json_t *finding, struct advice *a);
void advice_misuse(const json_t *finding, struct advice *a);
void advice_race(const json_t *finding, struct advice *a);
void advice_unprotected(const json_t *finding, struct advice *a);
void advice_lost(const json_t *finding, struct advice *a);
/* One side of a finding about memory. */
struct advice_access {
    const json_t *event;
    enum advice_verb {
        VERB_READ,
        VERB_WRITE,
        VERB_FREE,
        VERB_ALLOCATE,
        /* of a thing that is more than its bytes, a lock or a descriptor: */
        VERB_USE,
        VERB_INIT,
        VERB_CLOSE,
        VERB_DESTROY,
        ADVICE_VERBS
    } verb;
    bool write, atomic, free, allocation; /* of the verb: all but reads and uses write */
};
/* The earlier access, then the later one. Returns how many there are. */
size_t advice_accesses(const json_t *finding, struct advice_access out[2]);
/* Of a race for a lock or a descriptor: what it leads to, and what to do. False: it is no such race. */
bool advice_thing_why(const json_t *finding, const struct advice_access a[2], struct buffer *b);
bool advice_thing_fix(const json_t *finding, const struct advice_access a[2], struct buffer *b);
/* Is code of this language in the stacks? */
bool advice_speaks(const json_t *finding, const char *language);
void advice_stuck(const json_t *finding, struct advice *a);

/* One step of a cycle: where a lock is held and the next one is asked for. */
struct advice_step {
    const json_t *hold; /* NULL when it holds none that the others want (a join's target) */
    const json_t *ask;
};
/* Is what it waits for a thread's end? */
bool advice_is_join(const json_t *event);
/* What has been done about it, and other remarks. */
void advice_order_notes(const json_t *finding, struct buffer *b, bool struck);
#define ADVICE_MAX_NAMED 6 /* locks listed by name in a sentence */
/* malloc'd array. */
struct advice_step *advice_steps(const json_t *finding, size_t *n);

#endif
