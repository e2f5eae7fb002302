/* What the full way of an access (access.c, access_full.c) and the quick one (access_quick.c) share. Nothing outside
 * detector/analyze includes this. */
#ifndef SNARL_ANALYZE_ACCESS_STEPS_H
#define SNARL_ANALYZE_ACCESS_STEPS_H

#include "analyze/accesses.h"
#include "analyze/granule.h"
#include "analyze/runs.h"
#include "analyze/site.h"

struct access {
    struct thread *t;
    struct accesses *a;
    const u64 *fp;
    u32 kind;
    u32 flags; /* of its site */
    bool call; /* by code that tells of its entries */
    ref_t stack;
    u32 site;  /* 0: not yet looked up */
    u32 late;  /* the epoch of an access that has waited; else 0 */
    u32 crowd; /* whose guard is held now; else 0 */
    bool stepped;
    struct run_step step; /* of the last granule, when `stepped`: it would be the same for others */
};

/* Where it was made, looked up once. May unwind. */
u32 access_site(struct access *x);
/* Looks at what the shadow keeps of these bytes of the granule at addr, reports races, records the access. */
void granule_access(struct access *x, u64 addr, u32 mask);

/* Records met in the shadow may have condemned numbers (recycle.h). */
static SNARL_HOT bool cycle_runs(const struct accesses *a)
{
    return snarl_unlikely(a->cycle & 1);
}

static SNARL_HOT struct instruction_memo *instruction_memo(struct accesses *a, const u64 *fp)
{
    u64 h = (fp[1] ^ a->frames.context) + (u64)fp;
    return &a->instructions[h * 0x9e3779b97f4a7c15ULL >> (64 - INSTRUCTION_MEMO_BITS)];
}
static SNARL_HOT bool instruction_known(const struct accesses *a, const struct instruction_memo *m, const u64 *fp)
{
    return m->pc == fp[1] && m->context == a->frames.context && m->sp == (u64)fp;
}

/* What the thread knows of sites of several stacks: `site`, for the bytes masks >> 8, with those of masks & 255 from
 * `stack` added. */
static SNARL_HOT struct merge_memo *merge_memo(struct accesses *a, u32 site, u32 masks, ref_t stack)
{
    return &a->merges[(site * 31 + masks * 5 + stack) % MERGE_MEMO];
}
static SNARL_HOT bool merge_known(const struct merge_memo *m, u32 site, u32 masks, ref_t stack)
{
    return m->site == site && m->masks == masks && m->stack == stack;
}

#endif
