/* Lock-order cycles: can the cycle that a new order closes become a deadlock in another schedule? Called by order.c
 * with RANK_GRAPH held, only when the lock-level graph has a cycle there. Takes RANK_FINDINGS to report.
 *
 * Goodlock (Havelund 2000; Bensalem & Havelund 2005) over contexts. Step i of a cycle: thread t_i holds lock f_i and
 * asks for a_i = f_(i+1). It can close only if
 *   - the threads differ,
 *   - no lock is held by two of them that keeps them apart (a gate; shared on both sides is no gate),
 *   - each asked-for mode conflicts with the mode in which the next thread holds the lock,
 *   - no two steps are ordered by create, join, fork, wait or barrier,
 *   - each step blocks (a try never gets here), and not every step gives up by itself,
 *   - all locks were alive at once: dead locks have no uid and are never walked. */
#include "analyze/internal.h"

#include "base/hash.h"

#define MAX_STEPS 16u
#define SEARCH_BUDGET 100000u
#define MAX_CYCLE_FINDINGS 2000u

struct step {
    ref_t witness;
    ref_t from_node; /* ancestor node whose lock is held */
};

struct search {
    struct step step[MAX_STEPS]; /* step[0] is the new witness */
    u32 n, limit;                /* steps taken, steps allowed */
    u32 budget;
    u32 flags;
    u32 found;
    u32 deepest; /* most steps on any path so far */
};

/* Does a thread asking for `lock` in mode `ask` block on one that holds it in mode `hold`? */
static bool modes_block(ref_t lock, u32 ask, u32 hold, u32 *flags)
{
    if (ask == MODE_EXCLUSIVE || hold == MODE_EXCLUSIVE)
        return true;
    u32 attrs = LOCK_AT(lock)->head.attrs;
    if (attrs & ATTR_WRITER_NONRECURSIVE) { /* the report drops it if nobody ever write-locks it */
        *flags |= FINDING_READERS_QUEUE;
        return true;
    }
    return false;
}

/* A lock held on both paths, exclusively on one at least. Marks one path, then walks the other. */
static bool have_gate(struct search *s, const struct order_node *a, const struct order_node *b)
{
    u32 exclusive = ++run()->next_search, shared = ++run()->next_search;
    for (ref_t x = a->parent; x; x = NODE_AT(x)->parent)
        if (lock_is_lock(NODE_AT(x)->lock))
            LOCK_AT(NODE_AT(x)->lock)->head.mark = NODE_AT(x)->mode == MODE_EXCLUSIVE ? exclusive : shared;
    for (ref_t y = b->parent; y; y = NODE_AT(y)->parent) {
        u32 mark = LOCK_AT(NODE_AT(y)->lock)->head.mark;
        if (mark == exclusive || (mark == shared && NODE_AT(y)->mode == MODE_EXCLUSIVE))
            return true;
    }
    u32 cost = (a->depth + b->depth) / 16;
    s->budget -= cost < s->budget ? cost : s->budget;
    return false;
}

static bool compatible(struct search *s, const struct order_witness *w)
{
    for (u32 i = 0; i < s->n; i++) {
        const struct order_witness *o = WITNESS_AT(s->step[i].witness);
        if (o->thread == w->thread || have_gate(s, NODE_AT(o->node), NODE_AT(w->node)))
            return false;
    }
    for (u32 i = 0; i < s->n; i++) {
        const struct order_witness *o = WITNESS_AT(s->step[i].witness);
        if (segment_before(o->segment, w->segment) || segment_before(w->segment, o->segment))
            return false;
    }
    return true;
}

/* The hold of `lock` on the way to a witness's own acquire. */
static ref_t outer_hold(const struct order_witness *w, ref_t lock)
{
    ref_t h = w->hold ? HOLD_AT(w->hold)->outer : 0;
    while (h && HOLD_AT(h)->lock != lock)
        h = HOLD_AT(h)->outer;
    return h;
}

static ref_t hold_list(ref_t hold, u32 *n)
{
    u32 count = 0;
    for (ref_t h = hold; h && count < ENGINE_MAX_HELD_SHOWN; h = HOLD_AT(h)->outer)
        count++;
    ref_t blob = count ? arena_blob(count * sizeof(struct held_snapshot)) : 0;
    if (!blob)
        count = 0;
    u32 i = count;
    for (ref_t h = hold; h && i; h = HOLD_AT(h)->outer) {
        const struct hold_rec *r = HOLD_AT(h);
        ((struct held_snapshot *)arena_at(blob))[--i] = (struct held_snapshot){
            .lock = r->lock, .stack = r->stack, .site_pc = r->site_pc, .mode = r->mode, .how = r->how};
        pin_object(r->lock);
    }
    *n = count;
    return blob;
}

static void fill_event(struct finding_event *e, const struct order_witness *w, ref_t hold, enum event_action action)
{
    const struct hold_rec *h = HOLD_AT(hold);
    *e = (struct finding_event){.thread = w->thread,
                                .object = h->lock,
                                .stack = h->stack,
                                .action = (u8)action,
                                .mode = h->mode,
                                .how = action == EVENT_ACQUIRE ? w->how : h->how,
                                .object_kind = LOCK_AT(h->lock)->head.kind,
                                .site_pc = h->site_pc};
    e->held = hold_list(h->outer, &e->nheld);
    pin_object(h->lock);
}

/* Threads of one process never wait for each other's POSIX record locks. */
static bool record_step_inside(const struct search *s)
{
    for (u32 i = 0; i < s->n; i++) {
        const struct order_witness *w = WITNESS_AT(s->step[i].witness),
                                   *next = WITNESS_AT(s->step[(i + 1) % s->n].witness);
        if ((LOCK_AT(NODE_AT(w->node)->lock)->head.attrs & ATTR_RECORD) &&
            THREAD_AT(w->thread)->process == THREAD_AT(next->thread)->process)
            return true;
    }
    return false;
}

static void report(struct search *s)
{
    u64 signature = 0;
    u32 flags = s->flags, timed = 0;
    for (u32 i = 0; i < s->n; i++) {
        const struct order_witness *w = WITNESS_AT(s->step[i].witness);
        const struct hold_rec *h = HOLD_AT(w->hold);
        signature +=
            hash_combine(hash_combine(NODE_AT(s->step[i].from_node)->lock, h->lock), h->stack ? h->stack : h->site_pc);
        timed += (w->how & HOW_TIMED) != 0;
        flags |= w->how & HOW_PYTRY ? FINDING_PY_TRY : 0;
        flags |= w->how & HOW_REACQUIRE ? FINDING_CONDITION_RELOCK : 0;
        flags |= THREAD_AT(w->thread)->process != THREAD_AT(WITNESS_AT(s->step[0].witness)->thread)->process
                     ? FINDING_CROSS_PROCESS
                     : 0;
    }
    if (timed == s->n || record_step_inside(s))
        return; /* everybody gives up: no deadlock */
    s->found++;
    if (run()->nfindings > MAX_CYCLE_FINDINGS)
        return;
    ref_t r = finding_begin(signature, s->n, 2 * s->n);
    if (!r)
        return;
    struct finding_rec *f = arena_at(r);
    f->kind = FINDING_LOCK_ORDER;
    f->verdict = VERDICT_POSSIBLE;
    f->flags = flags | (timed ? FINDING_TIMED : 0);
    for (u32 i = 0; i < s->n; i++) {
        const struct order_witness *w = WITNESS_AT(s->step[i].witness);
        ref_t from = NODE_AT(s->step[i].from_node)->lock, hold = outer_hold(w, from);
        if (f->locks)
            ((ref_t *)arena_at(f->locks))[i] = from;
        if (hold)
            fill_event(&f->events[2 * i], w, hold, EVENT_HOLD);
        fill_event(&f->events[2 * i + 1], w, w->hold, EVENT_ACQUIRE);
    }
    finding_publish(r, false);
}

/* At that time only the witness's own thread could know the lock that it held: nobody could have been waiting for
 * it. */
static bool held_unpublished(ref_t witness, ref_t from_node)
{
    const struct order_witness *w = WITNESS_AT(witness);
    u32 bit = NODE_AT(w->node)->depth - NODE_AT(from_node)->depth - 1;
    return bit < 16 && (w->unpublished >> bit & 1);
}

/* Does acquiring at node `d` close the cycle on the new witness's held set? Returns the ancestor of step[0] that holds
 * d's lock. */
static ref_t closes(struct search *s, const struct order_node *d)
{
    for (ref_t r = NODE_AT(WITNESS_AT(s->step[0].witness)->node)->parent; r; r = NODE_AT(r)->parent)
        if (NODE_AT(r)->lock == d->lock)
            return r;
    return 0;
}

static void walk_lock(struct search *s, ref_t lock, u32 ask);

/* Node d is acquired below from_node: try it as the next step with each of its witnesses. */
static void try_step(struct search *s, ref_t from_node, ref_t dref)
{
    const struct order_node *d = NODE_AT(dref);
    for (u32 i = 0; i < s->n; i++)
        if (NODE_AT(s->step[i].from_node)->lock == d->lock && i)
            return; /* each lock once */
    ref_t first = closes(s, d);
    if (!first && s->n + 1 >= s->limit) { /* cheapest test first: this length cannot close here, a greater one may */
        s->deepest = s->limit;
        return;
    }
    for (ref_t r = d->witnesses; r && s->budget; r = WITNESS_AT(r)->next) {
        struct order_witness *w = WITNESS_AT(r);
        s->budget--;
        if (!w->hold || held_unpublished(r, from_node) || !compatible(s, w))
            continue;
        u32 flags = s->flags;
        s->step[s->n++] = (struct step){r, from_node};
        if (s->n > s->deepest)
            s->deepest = s->n;
        if (first) {
            s->step[0].from_node = first;
            if (!held_unpublished(s->step[0].witness, first) &&
                modes_block(d->lock, d->mode, NODE_AT(first)->mode, &s->flags))
                report(s);
        } else if (s->n < s->limit) {
            walk_lock(s, d->lock, d->mode);
        }
        s->n--;
        s->flags = flags;
    }
}

/* All steps that hold `lock`, in a mode that blocks somebody who asks for it in mode `ask`. */
static void walk_lock(struct search *s, ref_t lock, u32 ask)
{
    for (ref_t m = lock_is_lock(lock) ? LOCK_AT(lock)->nodes : 0; m && s->budget; m = NODE_AT(m)->next_of_lock) {
        u32 flags = s->flags;
        s->budget--;
        if (!modes_block(lock, ask, NODE_AT(m)->mode, &s->flags)) {
            s->flags = flags;
            continue;
        }
        /* Everything below m, without recursion: down, else right, else up. */
        ref_t d = NODE_AT(m)->first_child;
        while (d && s->budget) {
            const struct order_node *n = NODE_AT(d);
            s->budget--;
            if (n->acquired && lock_is_lock(n->lock) && n->lock != lock && reach_tangled(n->lock, lock))
                try_step(s, m, d);
            ref_t next = n->first_child;
            while (!next && d != m) {
                next = NODE_AT(d)->next_sibling;
                if (!next)
                    d = NODE_AT(d)->parent;
            }
            d = d == m ? 0 : next;
        }
        s->flags = flags;
    }
}

void cycles_search(ref_t witness)
{
    const struct order_witness *w = WITNESS_AT(witness);
    const struct order_node *n = NODE_AT(w->node);
    struct search s = {.n = 1, .budget = SEARCH_BUDGET};
    if (!w->hold || !lock_is_lock(n->lock))
        return;
    s.step[0] = (struct step){witness, n->parent};
    /* Shortest cycles first; longer ones through the same new order would only repeat the story. */
    for (s.limit = 2; s.limit <= MAX_STEPS && !s.found && s.budget; s.limit++) {
        s.deepest = 1;
        walk_lock(&s, n->lock, n->mode);
        if (s.deepest < s.limit)
            break; /* no path is longer */
    }
    if (!s.budget)
        run_lost(LOSS_search_cut);
}
