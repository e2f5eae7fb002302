/* Locks as data: a lock that is initialised, or ends, while another thread uses it without order is a race for the lock.
 * Called by the engine where locks begin, are taken and let go, and end. Takes RANK_FINDINGS for a report.
 *
 * For conditions and barriers their first byte is accessed: a use is an atomic read, the beginning and the end are
 * writes. Locks proper are taken too often for that, and need it not. All that was done to a lock before it was let go is
 * in the clock that it leaves (for readers, in the entry that they share): whoever ends it must know that clock. And who
 * takes it must know the time of its initialisation before he takes over that clock. So a lock costs a comparison when it
 * is taken, and three stores when it is let go.
 *
 * The code on both sides must be watched, as for accesses by functions of libc: others may order by means that are not
 * seen. Locks that processes share are left out: other processes' threads have no part in what is told here. */
#include "analyze/accesses.h"
#include "base/hash.h"

static bool is_watched(u64 pc, const u64 *fp)
{
    return !engine_hooks.watches || engine_hooks.watches(pc, fp);
}

static bool is_data(const struct lock_rec *l)
{
    return (l->head.kind == OBJ_MUTEX || l->head.kind == OBJ_RWLOCK || l->head.kind == OBJ_SPIN) &&
           !(l->head.attrs & (ATTR_SHARED | ATTR_UNTRACKED | ATTR_INTERPRETER));
}

/* The thread's state when its accesses count now. */
static struct accesses *looking(struct thread *t)
{
    struct accesses *a = access_now && detects(DETECT_RACE) ? accesses_of(t) : NULL;
    return a && (a->ignored_reads || a->ignored_writes) ? NULL : a;
}

struct use {
    ref_t thread, stack;
    u64 pc;
    enum event_action action;
};

static void event_set(struct finding_event *e, const struct lock_rec *l, const struct use *u)
{
    e->thread = u->thread;
    e->action = (u8)u->action;
    e->stack = u->stack;
    e->site_pc = u->pc;
    e->address = l->head.addr;
    e->size = 1;
    pin_thread(u->thread);
}

static SNARL_COLD void lock_race(struct thread *t, const struct lock_rec *l, const struct use *now,
                                 const struct use *then, const u64 *fp)
{
    struct object_birth memory = {.init_stack = now->stack};
    if (access_is_intended(l->head.addr, 1))
        return;
    if (engine_hooks.locate_access)
        engine_hooks.locate_access(t, l->head.addr, fp, &memory);
    ref_t r = finding_begin(hash_combine(memory_signature(&memory, now->stack, then->stack), then->pc), 0, 2);
    if (!r)
        return;
    struct finding_rec *f = arena_at(r);
    f->kind = FINDING_DATA_RACE;
    f->verdict = VERDICT_OBSERVED;
    f->mem_address = l->head.addr;
    f->mem_size = 1;
    f->memory = memory;
    pin_thread(memory.thread);
    event_set(&f->events[0], l, now);
    f->events[0].held = held_snapshot(t->rec, &f->events[0].nheld);
    event_set(&f->events[1], l, then);
    finding_publish(r, false);
}

void lock_begins(struct thread *t, struct lock_rec *l, const u64 *fp)
{
    struct accesses *a = looking(t);
    if (!a || !is_data(l) || !is_watched(0, fp))
        return;
    l->begun_lane = a->clock.lane;
    l->begun_time = clock_now(&a->clock);
}

SNARL_COLD void lock_used_slow(struct thread *t, struct lock_rec *l, const u64 *fp)
{
    struct accesses *a = looking(t);
    if (!a || clock_time(&a->clock, l->begun_lane) >= l->begun_time)
        return;
    l->begun_time = 0; /* once told, what follows is in order */
    if (!is_watched(0, fp))
        return;
    struct use now = {.thread = t->ref, .stack = capture(t, fp), .action = EVENT_USE};
    struct use then = {.thread = l->birth.thread, .stack = l->birth.init_stack, .action = EVENT_INIT};
    lock_race(t, l, &now, &then, fp);
}

void lock_ends(struct thread *t, struct lock_rec *l, enum event_action how, const u64 *fp)
{
    struct accesses *a = looking(t);
    if (!a || !fp || !is_data(l) || !hb_lock_unknown(t, l) || !l->user_number)
        return;
    if (!is_watched(0, fp) || !is_watched(l->user_pc, NULL))
        return;
    ref_t user = THREAD_AT(l->user)->number == l->user_number ? l->user : 0;
    struct use now = {.thread = t->ref, .stack = capture(t, fp), .action = how};
    struct use then = {.thread = user, .stack = l->user_stack, .pc = l->user_pc, .action = EVENT_USE};
    lock_race(t, l, &now, &then, fp);
}

void sync_access_slow(struct thread *t, u64 addr, u32 kind, const u64 *fp)
{
    if (fp && is_watched(0, fp))
        access_range(t, addr, 1, kind, fp);
}
