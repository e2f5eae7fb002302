/* Levels that the program has given to its locks: is one asked for against them? Called by order.c with RANK_GRAPH held,
 * when an order is news to a thread. Takes RANK_FINDINGS to report, allocates arena blobs for a finding.
 *
 * A level is the program's own statement, so what contradicts it is told of at once: no second thread need come from the
 * other side. Locks without a level take no part. */
#include "analyze/internal.h"

#include "base/hash.h"

/* The hold of the highest level, the innermost of these; NULL when nothing that has a level is held. */
static const struct held_entry *highest(const struct thread *t)
{
    const struct held_entry *best = NULL;
    for (u32 i = t->rec->nheld; i-- > 0;) {
        const struct held_entry *h = &t->held[i];
        u32 level = LOCK_AT(h->lock)->level;
        if (level && !(h->how & HOW_PHANTOM) && lock_is_lock(h->lock) && (!best || level > LOCK_AT(best->lock)->level))
            best = h;
    }
    return best;
}

static u64 place(const struct held_entry *h)
{
    return h->stack ? h->stack : h->site_pc;
}

static void fill(struct finding_event *e, const struct thread *t, const struct held_entry *h, enum event_action action)
{
    finding_event_fill(e, t->rec, action, h->lock, LOCK_AT(h->lock)->head.kind, h->stack);
    e->site_pc = h->site_pc;
    e->mode = h->mode;
    e->how = h->how;
}

void levels_check(struct thread *t, const struct held_entry *asked)
{
    const struct held_entry *h = highest(t);
    u32 level = LOCK_AT(asked->lock)->level;
    if (!h || LOCK_AT(h->lock)->level < level || !detects(DETECT_DEADLOCK))
        return;
    u64 signature = hash_combine(hash_combine(place(h), place(asked)), (u64)LOCK_AT(h->lock)->level << 32 | level);
    ref_t r = finding_begin(signature, 2, 2);
    if (!r)
        return;
    struct finding_rec *f = arena_at(r);
    f->kind = FINDING_LOCK_ORDER;
    f->verdict = VERDICT_POSSIBLE;
    f->flags = FINDING_LEVEL;
    if (f->locks) {
        ((ref_t *)arena_at(f->locks))[0] = h->lock;
        ((ref_t *)arena_at(f->locks))[1] = asked->lock;
    }
    fill(&f->events[0], t, h, EVENT_HOLD);
    fill(&f->events[1], t, asked, EVENT_ACQUIRE);
    f->events[1].held = held_snapshot(t->rec, &f->events[1].nheld);
    finding_publish(r, false);
}
