/* Shared by flow.c and step.c. */
#ifndef SNARL_SCAN_FLOW_H
#define SNARL_SCAN_FLOW_H

#include "analysis.h"

struct state_entry {
    struct state s;
    bool pending; /* not yet followed further */
};
struct states {
    struct state_entry *at;
    u32 n, cap;
};

struct flow {
    struct analysis *a;
    const struct function *f;
    struct summary *sum;
    struct states *in; /* by block of the function */
    bool *queued;
    bool record; /* all states are known: records are kept, nothing is passed on */
    bool coarse;
};

/* Whether it says anything new. With `one`, all become one state. */
bool states_add(struct analysis *a, struct states *l, const struct state *s, bool one);
void flow_record(struct flow *f, struct record r);
/* step.c: adds what becomes of a state after one instruction. */
void flow_step(struct flow *f, const struct state *s, u32 value, struct states *next);

#endif
