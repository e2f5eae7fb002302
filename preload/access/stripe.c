/* The slow side of stripes: waiting for one. Called by the atomics of preload/access. Takes no other lock, allocates
 * nothing. */
#include "stripe.h"

#include "base/sys.h"

#define SPINS 128
#define PATIENCE_NS 30000000ULL /* a holder that only waits for a processor is back by then */

struct stripe stripes[1u << STRIPE_BITS];

static bool try(struct stripe_hold *h, u32 from)
{
    h->word = (from + 1) | 1;
    return __atomic_compare_exchange_n(&h->stripe->word, &from, h->word, false, __ATOMIC_ACQUIRE, __ATOMIC_RELAXED);
}

/* Waits until the stripe could be taken, true, or did not move for so long that its holder must have left it. */
static bool wait_patiently(struct stripe_hold *h, u32 *last)
{
    u64 since = 0;
    *last = 0;
    for (u32 n = 0; !since || sys_now() - since < PATIENCE_NS; n++) {
        u32 now = __atomic_load_n(&h->stripe->word, __ATOMIC_RELAXED);
        if (!(now & 1) && try(h, now))
            return true;
        if (now != *last || (n == SPINS && !since))
            since = n < SPINS ? 0 : sys_now();
        *last = now;
        if (n < SPINS)
            __builtin_ia32_pause();
        else
            sys_call3(SYS_sched_yield, 0, 0, 0);
    }
    return false;
}

void stripe_wait(struct stripe_hold *h)
{
    u32 last;
    while (!wait_patiently(h, &last))
        if (try(h, last)) {
            h->overruled = true;
            return;
        }
}

void stripe_after_fork(void)
{
    for (u32 i = 0; i < 1u << STRIPE_BITS; i++)
        if (stripes[i].word & 1)
            stripes[i].word++;
}
