/* What findings about two accesses have in common: for the sentences of data races (advice_race.c) and of unprotected
 * data (advice_unprotected.c). Nothing outside advice*.c includes this. */
#ifndef SNARL_REPORT_ADVICE_ACCESS_H
#define SNARL_REPORT_ADVICE_ACCESS_H

#include "advice.h"

/* What a data race consists of. */
struct race {
    const json_t *finding, *memory;
    struct advice_access a[2]; /* earlier, later; both the same when only one is known */
    size_t n;
    bool processes; /* two of them */
    bool cxx, same_function, same_line, locked; /* locked: both hold a lock, and that should have been enough */
    const json_t *hold[2];                      /* the first lock of each side that the other has not; NULL */
    const json_t *common[2]; /* as held by either side: a lock that both hold, one at least for reading only */
    const struct advice_access *freed, *plain, *atomic, *writer,
        *reader; /* the one side that is so; NULL: none or both */
};

void race_of(const json_t *finding, struct race *r);
void race_put_memory(struct buffer *b, const struct race *r);
void race_put_thread(struct buffer *b, const struct race *r, const struct advice_access *a);
/* As held by a side. */
void race_put_lock(struct buffer *b, const struct race *r, const json_t *held);
/* "read", "atomically written" */
const char *race_participle(const struct advice_access *a);
/* " in add()", or " by T2 (worker)" */
void race_put_actor(struct buffer *b, const struct race *r, const struct advice_access *a);
/* Who did what, and where; begins the text. */
void race_why_sides(const struct race *r, struct buffer *b);
/* Which locks they hold, when a lock is held by both for reading, or any by one alone. False: nothing was said. */
bool race_why_locks(const struct race *r, struct buffer *b);
void race_fix(const struct race *r, struct buffer *b);

#endif
