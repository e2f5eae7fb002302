/* The rules: what is wrong in the whole program. Each adds findings; emit.c writes them down. */
#ifndef SNARL_SCAN_RULES_H
#define SNARL_SCAN_RULES_H

#include "whole.h"

enum rule_kind { FOUND_RACE, FOUND_UNPROTECTED, FOUND_ATOMICITY, FOUND_ORDER, FOUND_MISUSE };

/* One side of a finding: a deed, and what it is about. */
struct side {
    u32 deed;
    u32 lock; /* order, misuse: the lock's path that is held, 0: none */
};

struct found {
    u8 kind;
    const char *rule; /* misuse */
    u32 cell;         /* memory */
    u32 path;         /* memory or lock, as the first side names it */
    u32 guard;        /* unprotected: the lock that most accesses hold; atomicity: that of both sections; a path */
    u32 guarded, accesses;
    u32 score; /* how sure; higher first */
    LIST(struct side) side;
    LIST(struct side) more; /* order: other places with the same locks */
    struct list_u32 others; /* deeds of other places that take part */
};

/* A lock taken while another one is held. */
struct order_step {
    u32 held, deed; /* held: element */
};

struct findings {
    struct whole *w;
    LIST(struct found) at;
    LIST(struct order_step) steps;
};

void race_rule(struct findings *f);

/* turn.c */
struct turns;
struct turns *turns_find(struct whole *w);
void turns_free(struct turns *t);
/* Whether an atomic variable seems to keep the two apart. */
bool turns_part(struct turns *t, const struct deed *x, const struct deed *y);
/* Whether a condition or a semaphore seems to hand over from one to the other. */
bool turns_hand_over(struct turns *t, const struct deed *x, const struct deed *y);
/* Whether main has threads still to create when it does this: others may wait for something to do until then. */
bool turns_starting(struct turns *t, const struct deed *d);
/* Whether threads of this kind seem to be one at a time: they have one handle. */
bool turns_one_by_one(struct whole *w, u32 root);
void order_rule(struct findings *f);
void misuse_rule(struct findings *f);

void atomicity_rule(struct findings *f);

/* lock.c: what of a lock is the same wherever it is named. */
struct lock_node {
    u32 node;
    bool one; /* one object; else a class of them */
};
/* At most LOCK_NODES: several when a path may name several objects that are told apart. */
#define LOCK_NODES 4
u32 lock_nodes(struct whole *w, u32 path, struct lock_node *out);
/* The deed that took a lock which another deed holds; NONE when it cannot be told. */
u32 lock_taken_at(const struct whole *w, u32 deed, u32 element);
/* The model of the function that a deed calls; NULL when there is none. */
const struct known *lock_call(const struct whole *w, const struct deed *d);

#endif
