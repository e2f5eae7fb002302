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

/* An edge that leads past a call of join in a loop. */
struct way_around {
    u32 from, to, call;
};

struct flow {
    struct analysis *a;
    const struct function *f;
    struct summary *sum;
    struct states *in; /* by block of the function */
    bool *queued;
    bool record; /* all states are known: records are kept, nothing is passed on */
    bool coarse;
    LIST(struct way_around) around;
    struct map deciding; /* values, and memory, that decide about joins */
    struct map live;     /* value and block: it is read there, or later, and made before */
};

/* Whether it says anything new. With `one`, all become one state. */
bool states_add(struct analysis *a, struct states *l, const struct state *s, bool one);
void flow_record(struct flow *f, struct record r);
/* step.c: the path of a joined thread's handle, as a value. */
u32 flow_handle(struct flow *f, const struct known *k, u32 value);
/* decide.c */
void flow_find_deciding(struct flow *f);
bool flow_decides(struct analysis *a, const struct map *deciding, u32 x, u32 y);
/* live.c */
void flow_find_live(struct flow *f);
void flow_forget_dead(struct flow *f, struct state *s, u32 to);
/* loop_join.c */
void flow_find_joins(struct flow *f);
void flow_pass_joins(struct flow *f, struct state *s, u32 from, u32 to);

/* step.c: adds what becomes of a state after one instruction. */
void flow_step(struct flow *f, const struct state *s, u32 value, struct states *next);

#endif
