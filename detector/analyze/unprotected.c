/* Unprotected data as findings: two accesses that only the order in which locks were taken in this run kept apart.
 * Called by the slow path of accesses. Takes RANK_FINDINGS, and what naming memory takes.
 *
 * Such data mostly has a guard: the lock that most of its accesses hold. What shows of it is what the shadow still has
 * of the variable: each access there that holds a lock speaks for it. */
#include "analyze/accesses.h"
#include "analyze/granule.h"
#include "analyze/site.h"
#include "analyze/weak.h"
#include "base/hash.h"

#define GUARDS 16u
#define HOLDS_MOST 64u

struct guards {
    u32 n;
    struct {
        ref_t lock;
        u32 votes;
    } guard[GUARDS];
};

static void vote(struct guards *g, ref_t lock)
{
    u32 i = 0;
    while (i < g->n && g->guard[i].lock != lock)
        i++;
    if (i == GUARDS)
        return;
    if (i == g->n)
        g->guard[g->n++].lock = lock;
    g->guard[i].votes++;
}

static void vote_record(struct guards *g, u64 record, u32 mask)
{
    u32 n = 0;
    if (!(record & mask & SLOT_MASK) || slot_is_set((u32)record))
        return;
    for (ref_t h = epochs[slot_epoch((u32)record)].hold; h && n < HOLDS_MOST; h = HOLD_AT(h)->outer, n++)
        vote(g, HOLD_AT(h)->lock);
}

static void vote_readers(struct guards *g, u64 record, u32 mask)
{
    vote_record(g, record, mask);
    const struct readers *r = slot_is_set((u32)record) ? readers_at(slot_epoch((u32)record)) : NULL;
    for (u32 i = 0; r && i < r->n; i++)
        vote_record(g, r->member[i], mask);
}

/* All that the granule has. A crowd's records are not looked at: its guard is somebody's. */
static void vote_granule(struct guards *g, u64 addr, u32 mask)
{
    struct granule now = granule_load(addr);
    if (cell_is_crowd(now.seen))
        return;
    vote_readers(g, now.newer, mask);
    vote_readers(g, now.older, mask);
}

/* The one that has most votes; the first of them, which is the innermost. */
static ref_t guard_of(const struct guards *g)
{
    u32 best = 0;
    for (u32 i = 1; i < g->n; i++)
        if (g->guard[i].votes > g->guard[best].votes)
            best = i;
    return g->n ? g->guard[best].lock : 0;
}

void unprotected_found(struct thread *t, struct accesses *a, u64 addr, u32 mask, u32 kind, ref_t stack, const u64 *fp,
                       u64 record)
{
    struct guards g = {0};
    a->weak->found++;
    clock_join(weak_clock(a), &a->clock);
    accesses_learned(a);
    epoch_relation(a, slot_epoch((u32)record)); /* its sections may have to end first */
    if (access_is_told(a, addr, mask, stack, record_site(record)))
        return;
    struct object_birth memory = {.init_stack = stack};
    if (engine_hooks.locate_access)
        engine_hooks.locate_access(t, addr + (u32)__builtin_ctz(mask), fp, &memory);
    vote_record(&g, record, mask);
    for (u32 i = t->rec->nheld; i-- > 0;)
        vote(&g, t->held[i].lock);
    vote_granule(&g, addr, mask);
    ref_t guard = guard_of(&g);
    ref_t r = finding_begin(hash_combine(memory_place(&memory), FINDING_UNPROTECTED), guard ? 1 : 0, 2);
    if (!r)
        return;
    struct finding_rec *f = arena_at(r);
    f->kind = FINDING_UNPROTECTED;
    f->verdict = VERDICT_POSSIBLE;
    if (f->locks)
        *(ref_t *)arena_at(f->locks) = guard;
    if (guard)
        pin_object(guard);
    accesses_fill(f, t, &memory, addr, mask, kind, stack, record);
    finding_publish(r, false);
}
