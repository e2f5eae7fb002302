/* Raw findings in the arena. Called by everything in analyze/ that finds something.
 * Takes RANK_FINDINGS; allocates arena blobs. */
#include "analyze/internal.h"

void pin_thread(ref_t t)
{
    if (t)
        THREAD_AT(t)->pinned = 1;
}

void pin_object(ref_t o)
{
    if (o)
        __atomic_fetch_or(&((struct object_head *)arena_at(o))->pinned, PIN_FINDING, __ATOMIC_RELAXED);
}

/* Under the findings lock: a fresh record at the end of the list, not yet complete. */
static ref_t finding_new(struct run_state *rs, u64 signature, u32 nlocks, u32 nevents)
{
    ref_t r = arena_blob(sizeof(struct finding_rec) + nevents * sizeof(struct finding_event));
    if (!r) {
        run_lost(LOSS_arena_full);
        return 0;
    }
    struct finding_rec *f = arena_at(r);
    f->signature = signature;
    f->count = 1;
    f->nevents = nevents;
    f->when_ns = sys_now() - rs->start_ns;
    f->process = engine_process_ref;
    f->locks = nlocks ? arena_blob(nlocks * sizeof(ref_t)) : 0;
    f->nlocks = f->locks ? nlocks : 0;
    if (rs->findings_tail)
        ((struct finding_rec *)arena_at(rs->findings_tail))->next = r;
    else
        rs->findings = r;
    rs->findings_tail = r;
    return r;
}

ref_t finding_begin(u64 signature, u32 nlocks, u32 nevents)
{
    struct run_state *rs = run();
    struct finding_rec *known = NULL;
    u64 mask = ilock_acquire(&rs->findings_lock);
    for (ref_t r = rs->findings; r && !known; r = ((struct finding_rec *)arena_at(r))->next)
        if (((struct finding_rec *)arena_at(r))->signature == signature)
            known = arena_at(r);
    if (known)
        known->count++;
    ref_t fresh = known ? 0 : finding_new(rs, signature, nlocks, nevents);
    ilock_release(&rs->findings_lock, mask);
    return fresh;
}

void finding_publish(ref_t r, bool urgent)
{
    struct run_state *rs = run();
    __atomic_store_n(&((struct finding_rec *)arena_at(r))->complete, 1, __ATOMIC_RELEASE);
    __atomic_fetch_add(&rs->nfindings, 1, __ATOMIC_RELAXED);
    __atomic_fetch_add(&rs->urgent, urgent, __ATOMIC_RELAXED);
    __atomic_fetch_add(&rs->news, 1, __ATOMIC_RELEASE);
    sys_futex_wake(&rs->news, 0x7fffffff);
    if (engine_hooks.found)
        engine_hooks.found(r);
}

void finding_event_fill(struct finding_event *e, const struct thread_rec *r, enum event_action action, ref_t object,
                        u32 object_kind, ref_t stack)
{
    e->thread = arena_ref(r);
    e->object = object;
    e->stack = stack;
    e->action = (u8)action;
    e->object_kind = (u8)object_kind;
    pin_thread(e->thread);
    if (object_kind == OBJ_THREAD)
        pin_thread(object);
    else
        pin_object(object);
}
