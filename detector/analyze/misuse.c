/* Lock misuse, and what --on-deadlock does when something can never go on. Called by the parts of the engine that
 * notice. Takes RANK_FINDINGS. */
#include "analyze/internal.h"

#include "base/hash.h"

void misuse_report(struct thread *t, enum finding_rule rule, enum finding_verdict verdict, struct object_head *o,
                   u32 flags, ref_t other, ref_t stack, enum event_action action)
{
    if (!detects(DETECT_MISUSE))
        return;
    u64 signature = hash_combine(hash_combine(rule, stack ? stack : arena_ref(o)), object_birth(o)->init_stack);
    u32 nevents = 1 + (other != 0);
    ref_t r = finding_begin(signature, 1, nevents);
    if (!r)
        return;
    struct finding_rec *f = arena_at(r);
    f->kind = FINDING_LOCK_MISUSE;
    f->rule = (u8)rule;
    f->verdict = (u8)verdict;
    f->flags = flags;
    bool ends = rule == RULE_RELOCK || rule == RULE_RWLOCK_UPGRADE;
    if (ends && verdict == VERDICT_OBSERVED)
        f->flags |= run()->options.on_deadlock == ON_DEADLOCK_ABORT   ? FINDING_ENDED_PROGRAM
                    : run()->options.on_deadlock == ON_DEADLOCK_BREAK ? FINDING_BROKEN
                                                                      : 0;
    ref_t obj = arena_ref(o);
    if (f->locks)
        *(ref_t *)arena_at(f->locks) = obj;
    u32 i = 0;
    if (other) {
        const struct thread_rec *h = THREAD_AT(other);
        finding_event_fill(&f->events[i], h, EVENT_HOLD, obj, o->kind, 0);
        const struct held_entry *e = arena_at(h->held);
        for (u32 k = 0; k < h->nheld && k < h->held_cap; k++)
            if (e[k].lock == obj) {
                f->events[i].stack = e[k].stack;
                f->events[i].site_pc = e[k].site_pc;
                f->events[i].mode = e[k].mode;
            }
        if (rule == RULE_FORK_WHILE_LOCKED)
            fork_hold_fill(&f->events[i], o->addr);
        i++;
    }
    finding_event_fill(&f->events[i], t->rec, action, obj, o->kind, stack);
    f->events[i].held = held_snapshot(t->rec, &f->events[i].nheld);
    finding_publish(r, ends);
}

void engine_misuse(struct thread *t, enum finding_rule rule, struct lock_rec *l, u32 flags, const u64 *fp)
{
    if (l && !(l->head.attrs & ATTR_UNTRACKED))
        misuse_report(t, rule, VERDICT_OBSERVED, &l->head, flags, 0, capture(t, fp), EVENT_ACQUIRE);
}

void engine_react(const ref_t *threads, u32 n)
{
    ref_t procs[64];
    u32 np = 0;
    if (run()->options.on_deadlock != ON_DEADLOCK_ABORT || !engine_hooks.end_processes)
        return;
    for (u32 i = 0; i < n; i++) {
        ref_t p = THREAD_AT(threads[i])->process;
        bool known = p == engine_process_ref;
        for (u32 k = 0; k < np; k++)
            known |= procs[k] == p;
        if (!known && np < ARRAY_LEN(procs) - 1)
            procs[np++] = p;
    }
    procs[np++] = engine_process_ref;
    engine_hooks.end_processes(procs, np);
}
