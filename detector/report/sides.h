/* A finding told side by side: what each thread did, and where. The words are those of the text report; renderers
 * with more room than a terminal set them their way. */
#ifndef SNARL_REPORT_SIDES_H
#define SNARL_REPORT_SIDES_H

#include <jansson.h>
#include <stddef.h>

/* What goes with a side: a lock that it holds. */
struct side_lock {
    char *text;          /* "lock_a was taken", "also holds lock_c" */
    const json_t *stack; /* NULL when unknown */
};

struct side {
    json_int_t thread;
    char *who;           /* "T2 (worker)" */
    char *text;          /* "T2 (worker) takes b while it holds a" */
    const json_t *event; /* what `text` tells of */
    const json_t *hold;  /* of a step of a cycle: the event of the lock it holds; else NULL */
    struct side_lock *locks;
    size_t nlocks;
};

/* Of what is held at an event ("held_at"), the lock that another event of the finding asks for; NULL when there is none. Where a
 * hung program is looked at from outside, nothing tells where that was taken, so there is no event of holding it. */
const json_t *sides_wanted(const json_t *finding, const json_t *event);

/* malloc'd; for sides_free. */
struct side *sides_of(const json_t *finding, size_t *n);
void sides_free(struct side *s, size_t n);

#endif
