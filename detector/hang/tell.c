/* Set of threads -> finding. Called by hang.c. In a child process: takes the locks of the arena; allocates there. */
#include "tell.h"

#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "analyze/finding.h"
#include "base/hash.h"
#include "base/ilock.h"
#include "inspect/feed_stack.h"
#include "model/objects.h"
#include "model/run.h"
#include "report/view.h"

#define MAX_FINDINGS 100000u
#define MAX_EVENTS 1024u
#define MAX_HELD 32u

/* ---- is it news? ---- */

static bool is_final(const struct finding_rec *f)
{
    return f->complete && !(f->flags & FINDING_BROKEN) &&
           (f->kind == FINDING_DEADLOCK || f->kind == FINDING_STUCK ||
            (f->kind == FINDING_LOCK_MISUSE && (f->rule == RULE_RELOCK || f->rule == RULE_RWLOCK_UPGRADE)));
}

static bool speaks_of(const struct finding_event *events, u32 n, const struct snapshot *s, const bool *part)
{
    for (u32 i = 0; i < n; i++) {
        int at = snapshot_thread(s, events[i].thread);
        if (at >= 0 && part[at])
            return true;
    }
    return false;
}

bool tell_known(const struct snapshot *s, const bool *part)
{
    struct run_state run;
    struct finding_rec f;
    bool known = false;
    ref_t r = view_run(&run) ? run.findings : 0;
    for (u32 steps = 0; r && !known && steps < MAX_FINDINGS && view_get(r, &f, sizeof f); r = f.next, steps++) {
        u32 n = f.nevents < MAX_EVENTS ? f.nevents : MAX_EVENTS;
        const char *base = is_final(&f) ? arena_check(r, sizeof f + n * sizeof(struct finding_event)) : NULL;
        struct finding_event *events = base ? view_alloc(n * sizeof *events) : NULL;
        if (!base)
            continue;
        memcpy(events, base + sizeof f, n * sizeof *events);
        known = speaks_of(events, n, s, part);
        free(events);
    }
    return known;
}

/* ---- what is waited for ---- */

static const struct {
    enum object_kind kind;
    const char *name;
} things[] = {
    [NEED_PROCESS] = {OBJ_CHILD, "child"},    [NEED_CHILDREN] = {OBJ_CHILD, "child"},
    [NEED_WRITER] = {OBJ_PIPE, "pipe"},       [NEED_READER] = {OBJ_PIPE, "pipe"},
    [NEED_SOCKET] = {OBJ_SOCKET, "socket"},   [NEED_COUNTER] = {OBJ_EVENTS, "event counter"},
    [NEED_MEMORY] = {OBJ_WORD, "futex word"}, [NEED_THREAD] = {OBJ_WORD, "futex word"},
};

static ref_t thing(enum object_kind kind, const char *name, u64 a, u64 b)
{
    struct object_birth birth = {.name = string_intern(name, (u32)strlen(name))};
    u64 key[3] = {(u64)kind << 56 | 1ULL << 48, a, b};
    bool fresh;
    return arena_ref(objects_make(0, kind, ATTR_SHARED | ATTR_NAMED, &birth, key, &fresh));
}

/* One thing when it is one; else "what is polled for". */
static ref_t waited_thing(const struct still_thread *t)
{
    if (t->wait == WAIT_FOR_WORD)
        return thing(OBJ_WORD, "futex word", t->process, t->argument[0]);
    if (!t->nneeds || (t->wait == WAIT_FOR_EVENT && t->nneeds > 1))
        return thing(OBJ_EVENTS, "events", t->tid, 0);
    const struct need *n = &t->need[0];
    return thing(things[n->kind].kind, things[n->kind].name, n->device, n->number);
}

static const enum finding_awaits awaits[] = {
    [WAIT_NOT] = AWAITS_NOTHING,     [WAIT_FOR_LOCK] = AWAITS_NOTHING, [WAIT_FOR_THREAD] = AWAITS_NOTHING,
    [WAIT_FOR_WORD] = AWAITS_WAKE,   [WAIT_FOR_DATA] = AWAITS_DATA,    [WAIT_FOR_ROOM] = AWAITS_ROOM,
    [WAIT_FOR_EVENT] = AWAITS_EVENT, [WAIT_FOR_CHILD] = AWAITS_END,
};

/* ---- events ---- */

static ref_t stack_of(const struct still_thread *t, const struct outside_stack *o)
{
    u64 frames[STACK_MAX_FRAMES];
    if ((t->rec.wait.seq & 1) && t->rec.wait.stack)
        return t->rec.wait.stack;
    u32 most = run()->options.stack_depth, n = o->n < most ? o->n : most;
    for (u32 i = 0; i < n; i++)
        frames[i] = o->frame[i] & FRAME_PYTHON
                        ? FRAME_PYTHON | feed_python_frame(&o->python[FRAME_OFFSET(o->frame[i])],
                                                           o->python[FRAME_OFFSET(o->frame[i])].line)
                        : o->frame[i];
    return n ? stack_intern(frames, n, o->cut || n < o->n ? STACK_CUT : 0) : 0;
}

static struct held_entry *held_of(const struct still_thread *t, u32 *n)
{
    *n = t->rec.nheld < MAX_HELD ? t->rec.nheld : MAX_HELD;
    struct held_entry *h = view_items(t->rec.held, *n, sizeof *h);
    if (!h)
        *n = 0;
    return h;
}

static void fill(struct finding_event *e, const struct still_thread *t, enum event_action action, ref_t object)
{
    e->thread = t->ref;
    e->object = object;
    e->action = (u8)action;
    struct thread_rec *r = arena_at(t->ref);
    r->pinned = 1;
    if (t->wait == WAIT_FOR_THREAD && action == EVENT_WAIT) {
        e->object_kind = OBJ_THREAD;
        ((struct thread_rec *)arena_at(object))->pinned = 1;
        return;
    }
    struct object_head *o = arena_at(object);
    e->object_kind = o->kind;
    __atomic_fetch_or(&o->pinned, PIN_FINDING, __ATOMIC_RELAXED);
}

static void wait_event(struct finding_event *e, const struct still_thread *t, const struct outside_stack *stack)
{
    bool known = (t->rec.wait.seq & 1) && t->rec.wait.object && awaits[t->wait] != AWAITS_END;
    u32 n;
    fill(e, t, EVENT_WAIT, known ? t->rec.wait.object : waited_thing(t));
    e->stack = stack_of(t, stack);
    e->mode = known ? t->rec.wait.mode : 0;
    e->awaits = known ? AWAITS_NOTHING : awaits[t->wait];
    if (e->awaits == AWAITS_END && t->need[0].kind == NEED_PROCESS)
        e->address = t->need[0].number;
    struct held_entry *held = held_of(t, &n);
    e->held = n ? arena_blob(n * sizeof(struct held_snapshot)) : 0;
    struct held_snapshot *to = e->held ? arena_at(e->held) : NULL;
    for (u32 i = 0; to && i < n; i++)
        to[i] =
            (struct held_snapshot){held[i].lock, held[i].stack, held[i].site_pc, held[i].mode, (u8)held[i].how, 0, 0};
    e->nheld = to ? n : 0;
    free(held);
}

/* What t holds that another one of the set waits for; false: nothing. */
static bool hold_event(struct finding_event *e, const struct snapshot *s, const bool *part,
                       const struct still_thread *t)
{
    u32 n;
    struct held_entry *held = held_of(t, &n);
    bool found = false;
    for (u32 i = 0; i < s->nthreads && !found; i++)
        for (u32 k = 0; part[i] && (s->thread[i].rec.wait.seq & 1) && k < n && !found; k++) {
            if (held[k].lock != s->thread[i].rec.wait.object)
                continue;
            struct view_object o;
            if (view_object(held[k].lock, &o) && (o.head.attrs & ATTR_THREAD_END))
                continue; /* that is its life */
            found = true;
            if (!e)
                break;
            fill(e, t, EVENT_HOLD, held[k].lock);
            e->stack = held[k].stack;
            e->site_pc = held[k].site_pc;
            e->mode = held[k].mode;
            e->how = (u8)held[k].how;
        }
    free(held);
    return found;
}

/* ---- the finding ---- */

static u32 members(const struct snapshot *s, const bool *part, u32 *list)
{
    u32 n = 0;
    for (u32 i = 0; i < s->nthreads; i++)
        if (part[i] && n < TELL_THREADS)
            list[n++] = i;
    for (u32 i = 1; i < n; i++) /* as they were made */
        for (u32 k = i; k && s->thread[list[k]].rec.number < s->thread[list[k - 1]].rec.number; k--) {
            u32 other = list[k];
            list[k] = list[k - 1];
            list[k - 1] = other;
        }
    return n;
}

static void write_finding(const struct snapshot *s, const bool *part, const struct outside_stack *stacks, u32 flags)
{
    u32 list[TELL_THREADS], n = members(s, part, list), nevents = n;
    u64 signature = 0;
    if (!n)
        return;
    for (u32 i = 0; i < n; i++) {
        const struct still_thread *t = &s->thread[list[i]];
        signature += hash_combine(hash_combine(t->ref, t->rec.wait.seq), t->switches);
        nevents += hold_event(NULL, s, part, t);
        if (t->process != s->thread[list[0]].process)
            flags |= FINDING_CROSS_PROCESS;
    }
    ref_t r = finding_begin(signature, n, nevents);
    if (!r)
        return;
    struct finding_rec *f = arena_at(r);
    struct finding_event *e = f->events;
    f->kind = FINDING_STUCK;
    f->verdict = VERDICT_OBSERVED;
    f->flags = flags;
    f->process = s->process[s->thread[list[0]].process].ref;
    for (u32 i = 0; i < n; i++) {
        e += hold_event(e, s, part, &s->thread[list[i]]);
        wait_event(e, &s->thread[list[i]], &stacks[list[i]]);
        if (f->locks && !e->awaits && e->object_kind != OBJ_THREAD)
            ((ref_t *)arena_at(f->locks))[i] = e->object;
        e++;
    }
    finding_publish(r, true);
}

bool tell(const struct snapshot *s, const bool *part, const struct outside_stack *stacks, u32 flags)
{
    int status = 0;
    pid_t child = fork();
    if (child == 0) {
        ilock_forked();
        write_finding(s, part, stacks, flags);
        _exit(0);
    }
    return child > 0 && waitpid(child, &status, 0) == child && WIFEXITED(status);
}
