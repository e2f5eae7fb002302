/* Code that runs as a rewritten copy (access/rewrite_watch.c), as far as faults and signals must know. For fault.c and
 * signal.c. */
#ifndef SNARL_INTERCEPT_COPIES_H
#define SNARL_INTERCEPT_COPIES_H

#include <ucontext.h>

#include "base/types.h"

#define COPIES_WORDS 4u

/* What a handler has been shown in the place of a copy. */
struct copies_shown {
    u64 words[COPIES_WORDS]; /* of checks: the handler runs some, too */
    u64 shown, resume;       /* shown 0: nothing was changed */
};

struct copies {
    /* A fault at pc is not the program's: where to go on. 0: it may be. */
    u64 (*fault)(u64 pc);
    /* Before and after a handler of the program. The context is made to look as if the original code ran. */
    void (*show)(struct copies_shown *s, ucontext_t *c);
    void (*hide)(const struct copies_shown *s, ucontext_t *c);
};
/* NULL: nothing has been rewritten. fault.c */
extern const struct copies *copies __attribute__((visibility("hidden")));

#endif
