/* Makes an atomic operation and what it does to its clock one step.
 *
 * A release store replaces the clock that earlier releases have left. Between the clock and the store another thread's
 * operation must not come, or the value of one would stand beside the clock of the other, and an acquire that reads the
 * value would miss the edge: a false race. So operations that write and order lock the stripe of their address, and an
 * acquire load reads value and clock again when the stripe has moved meanwhile.
 *
 * No lock can be held for ever: a holder that left its operation (a fault, whose handler jumps away) is overruled after
 * a time. Who overrules joins clocks instead of replacing them, which at worst hides a race. */
#ifndef SNARL_ACCESS_STRIPE_H
#define SNARL_ACCESS_STRIPE_H

#include "base/types.h"

#define STRIPE_BITS 9

/* Even: free. Odd: held. Moves at each step of a holder. */
struct stripe {
    _Alignas(64) u32 word;
};

struct stripe_hold {
    struct stripe *stripe; /* NULL: nothing is held */
    u32 word;              /* its value while held */
    bool overruled;        /* another one holds it, too */
};

extern struct stripe stripes[1u << STRIPE_BITS] __attribute__((visibility("hidden")));

static inline struct stripe *stripe_of(u64 addr)
{
    return &stripes[(addr >> 3) * 0x9e3779b97f4a7c15ULL >> (64 - STRIPE_BITS)];
}

/* The stripe is held by somebody. */
void stripe_wait(struct stripe_hold *h) __attribute__((visibility("hidden")));

static SNARL_HOT void stripe_take(struct stripe_hold *h, u64 addr)
{
    struct stripe *s = stripe_of(addr);
    u32 free = __atomic_load_n(&s->word, __ATOMIC_RELAXED) & ~1u;
    h->stripe = s;
    h->word = free | 1;
    h->overruled = false;
    if (snarl_unlikely(
            !__atomic_compare_exchange_n(&s->word, &free, free | 1, false, __ATOMIC_ACQUIRE, __ATOMIC_RELAXED)))
        stripe_wait(h);
}

static SNARL_HOT void stripe_give(struct stripe_hold *h)
{
    if (snarl_likely(__atomic_load_n(&h->stripe->word, __ATOMIC_RELAXED) == h->word))
        __atomic_store_n(&h->stripe->word, h->word + 1, __ATOMIC_RELEASE);
}

/* In a forked child: who held a stripe is not there. */
void stripe_after_fork(void) __attribute__((visibility("hidden")));

#endif
