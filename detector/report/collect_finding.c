/* One raw finding of the arena -> its JSON object, without id and texts (identity.c, advice.c add them). Called by
 * collect.c. Takes no locks; allocates with malloc. */
#include <stdlib.h>
#include <string.h>

#include "advice.h"
#include "analyze/finding.h"
#include "collect.h"
#include "escape.h"
#include "identity.h"
#include "label.h"
#include "names.h"
#include "view.h"

#define MAX_LOCKS 4096u
#define MAX_EVENTS 1024u
#define MAX_HELD 64u
#define MAX_FINDING_THREADS 256u

static const char *const kind_names[] = {
#define X(e, s, t) s,
    FINDING_KINDS(X)
#undef X
};
static const char *const rule_names[] = {
#define X(e, s) s,
    FINDING_RULES(X)
#undef X
};
static const char *const verdict_names[] = {
#define X(e, s) s,
    FINDING_VERDICTS(X)
#undef X
};
static const char *const action_names[] = {
#define X(e, s) s,
    EVENT_ACTIONS(X)
#undef X
};

static const char *const awaits_names[] = {
#define X(e, s) s,
    FINDING_AWAITS(X)
#undef X
};

static const struct {
    u32 bit;
    const char *name;
} flag_names[] = {
    {FINDING_TIMED, "timed"},
    {FINDING_OWNER_GONE, "owner-gone"},
    {FINDING_ENDED_PROGRAM, "ended-program"},
    {FINDING_BROKEN, "broken"},
    {FINDING_READERS_QUEUE, "readers-queue"},
    {FINDING_UNLOCK_FAILED, "unlock-failed"},
    {FINDING_RELOCK_CONVERSION, "conversion"},
    {FINDING_CROSS_PROCESS, "cross-process"},
    {FINDING_CONDITION_RELOCK, "condition-relock"},
    {FINDING_PY_TRY, "python-try"},
    {FINDING_LEVEL, "level"},
    {FINDING_ACROSS_CALLS, "across-calls"},
    {FINDING_MOVES, "moves"},
};

static const struct {
    u32 bit;
    const char *name;
} attr_names[] = {
    {ATTR_RECURSIVE, "recursive"},
    {ATTR_ERRORCHECK, "error-checking"},
    {ATTR_ROBUST, "robust"},
    {ATTR_WRITER_NONRECURSIVE, "prefers-writers"},
    {ATTR_ONCE, "once"},
    {ATTR_FILE, "file"},
    {ATTR_PYTHON, "python"},
    {ATTR_INTERPRETER, "interpreter"},
    {ATTR_PROCESS_OWNED, "of-process"},
};

static const char *thread_function(struct names *n, const struct thread_rec *r, char **owned)
{
    *owned = r->start_pc ? names_function_at(n, r->start_pc, r->process) : NULL;
    return *owned;
}

static json_t *text_of_name(const struct thread_rec *r)
{
    char *safe = escape_text(r->name, strnlen(r->name, sizeof r->name));
    json_t *j = json_string(safe);
    free(safe);
    return j;
}

static json_t *thread_json(struct names *n, ref_t ref)
{
    struct thread_rec r, creator;
    struct process_rec p;
    char *start;
    if (!view_get(ref, &r, sizeof r))
        return NULL;
    view_get(r.process, &p, sizeof p);
    json_t *j = json_object();
    json_object_set_new(j, "thread", json_integer(r.number));
    json_object_set_new(j, "process", json_integer(p.number));
    json_object_set_new(j, "pid", json_integer(p.pid));
    json_object_set_new(j, "name", text_of_name(&r));
    json_object_set_new(j, "main", json_boolean(r.is_main));
    if (thread_function(n, &r, &start))
        json_object_set_new(j, "start", json_string(start));
    free(start);
    if (view_get(r.creator, &creator, sizeof creator))
        json_object_set_new(j, "created_by", json_integer(creator.number));
    json_object_set_new(j, "created", names_stack(n, r.create_stack, 0, 0));
    return j;
}

/* By their numbers. */
static void add_thread(struct names *n, json_t *threads, ref_t ref)
{
    json_t *known, *j = json_array_size(threads) < MAX_FINDING_THREADS ? thread_json(n, ref) : NULL;
    size_t i, at = 0;
    if (!j)
        return;
    int64_t number = label_number(j, "thread");
    json_array_foreach (threads, i, known) {
        if (label_number(known, "thread") == number) {
            json_decref(j);
            return;
        }
        at += label_number(known, "thread") < number;
    }
    json_array_insert_new(threads, at, j);
}

static json_t *lock_json(struct names *n, ref_t ref)
{
    const struct lock_name *l = names_lock(n, ref);
    json_t *j = json_object(), *attrs = json_array();
    json_object_set_new(j, "class", json_string(l->class));
    json_object_set_new(j, "kind", json_string(l->kind));
    json_object_set_new(j, "shared", json_boolean(l->shared));
    json_object_set_new(j, "born", names_stack(n, l->born_stack, 0, 0));
    json_object_set_new(j, "instance", json_integer(l->instance));
    if (strcmp(l->local, l->class) != 0)
        json_object_set_new(j, "local", json_string(l->local));
    if (l->full)
        json_object_set_new(j, "name", json_string(l->full));
    if (l->file)
        json_object_set_new(j, "declared", json_pack("{s:s,s:I}", "file", l->file, "line", (json_int_t)l->line));
    for (size_t i = 0; i < ARRAY_LEN(attr_names); i++)
        if (l->attrs & attr_names[i].bit)
            json_array_append_new(attrs, json_string(attr_names[i].name));
    json_object_set_new(j, "attributes", attrs);
    struct view_object o;
    struct thread_rec r;
    if (!view_object(ref, &o))
        return j;
    if (o.level)
        json_object_set_new(j, "level", json_integer(o.level));
    if ((l->attrs & ATTR_THREAD_END) && view_get(o.birth.thread, &r, sizeof r))
        json_object_set_new(j, "ends_thread", json_integer(r.number));
    return j;
}

static const char *mode_name(u32 mode)
{
    return mode == MODE_SHARED ? "shared" : "exclusive";
}

/* "held" as the contract has it, and "held_at" with what a reader wants to know of each. */
static void add_held(struct names *n, json_t *event, const struct finding_event *e, ref_t process)
{
    u32 count = e->nheld < MAX_HELD ? e->nheld : MAX_HELD;
    struct held_snapshot *held = view_items(e->held, count, sizeof *held);
    json_t *classes = json_array(), *details = json_array();
    for (u32 i = 0; held && i < count; i++) {
        const struct lock_name *l = names_lock(n, held[i].lock);
        if (l->attrs & ATTR_INTERPRETER)
            continue;
        json_array_append_new(classes, json_string(l->class));
        json_array_append_new(details, json_pack("{s:s,s:I,s:s,s:o}", "class", l->class, "instance",
                                                 (json_int_t)l->instance, "mode", mode_name(held[i].mode), "stack",
                                                 names_stack(n, held[i].stack, held[i].site_pc, process)));
    }
    json_object_set_new(event, "held", classes);
    json_object_set_new(event, "held_at", details);
    if (held && e->nheld > count)
        json_object_set_new(event, "held_more", json_integer(e->nheld - count));
    free(held);
}

static void add_object(struct names *n, json_t *event, const struct finding_event *e, json_t *threads)
{
    if (e->object_kind == OBJ_THREAD) {
        struct thread_rec r;
        char *start = NULL, text[300];
        if (!view_get(e->object, &r, sizeof r))
            return;
        thread_function(n, &r, &start);
        snprintf(text, sizeof text, "thread:%s", start ? start : r.is_main ? "main" : "?");
        json_object_set_new(event, "object", json_string(text));
        json_object_set_new(event, "object_thread", json_integer(r.number));
        add_thread(n, threads, e->object);
        free(start);
    } else if (e->object) {
        const struct lock_name *l = names_lock(n, e->object);
        json_object_set_new(event, "object", json_string(l->class));
        json_object_set_new(event, "object_kind", json_string(l->kind));
        json_object_set_new(event, "instance", json_integer(l->instance));
    }
    if (e->awaits && e->awaits < AWAITS_COUNT)
        json_object_set_new(event, "awaits", json_string(awaits_names[e->awaits]));
    if (e->awaits == AWAITS_END && e->address)
        json_object_set_new(event, "object_pid", json_integer((json_int_t)e->address));
}

static json_t *event_json(struct names *n, const struct finding_rec *f, const struct finding_event *e,
                          const json_t *memory, json_t *threads)
{
    struct thread_rec r;
    if (e->action >= EVENT_ACTION_COUNT)
        return NULL;
    bool known = view_get(e->thread, &r, sizeof r);
    json_t *j = json_object();
    json_object_set_new(j, "process", json_integer(collect_process_number(r.process)));
    json_object_set_new(j, "thread", json_integer(r.number));
    json_object_set_new(j, "thread_name", known ? text_of_name(&r) : json_string(""));
    json_object_set_new(j, "action", json_string(action_names[e->action]));
    add_object(n, j, e, threads);
    json_object_set_new(j, "mode", json_string(mode_name(e->mode)));
    if (e->how & HOW_TRY)
        json_object_set_new(j, "try", json_true());
    if (e->how & HOW_TIMED)
        json_object_set_new(j, "timed", json_true());
    if (e->how & HOW_REACQUIRE)
        json_object_set_new(j, "after_wait", json_true());
    if (e->how & HOW_HANDLER)
        json_object_set_new(j, "in_handler", json_true());
    add_held(n, j, e, r.process);
    collect_access(j, e, f, memory);
    json_object_set_new(j, "stack", names_stack(n, e->stack, e->site_pc, r.process));
    if (known)
        add_thread(n, threads, e->thread);
    return j;
}

static void add_lock(struct names *n, json_t *locks, ref_t ref)
{
    const json_t *known;
    size_t i;
    json_int_t instance = names_lock(n, ref)->instance;
    json_array_foreach (locks, i, known) {
        if (label_number(known, "instance") == instance)
            return;
    }
    json_array_append_new(locks, lock_json(n, ref));
}

static json_t *locks_json(struct names *n, const struct finding_rec *f)
{
    u32 count = f->nlocks < MAX_LOCKS ? f->nlocks : MAX_LOCKS;
    ref_t *refs = view_items(f->locks, count, sizeof *refs);
    json_t *locks = json_array();
    for (u32 i = 0; refs && i < count; i++)
        if (refs[i] && view_pool(refs[i]) != POOL_THREAD)
            add_lock(n, locks, refs[i]);
    free(refs);
    return locks;
}

/* A finding about memory has no locks of its own: those that are held at its accesses. */
static void add_held_locks(struct names *n, json_t *locks, const struct finding_event *events, u32 nevents)
{
    for (u32 i = 0; i < nevents; i++) {
        u32 count = events[i].nheld < MAX_HELD ? events[i].nheld : MAX_HELD;
        struct held_snapshot *held = view_items(events[i].held, count, sizeof *held);
        for (u32 k = 0; held && k < count; k++)
            if (!(names_lock(n, held[k].lock)->attrs & ATTR_INTERPRETER))
                add_lock(n, locks, held[k].lock);
        free(held);
    }
}

/* The finding's events, malloc'd; NULL when there are none. */
static struct finding_event *copy_events(const struct finding_rec *f, ref_t ref, u32 *n)
{
    u32 count = f->nevents < MAX_EVENTS ? f->nevents : MAX_EVENTS;
    const char *base = arena_check(ref, sizeof *f + (u64)count * sizeof(struct finding_event));
    *n = base ? count : 0;
    struct finding_event *copy = view_alloc(count * sizeof *copy);
    if (base)
        memcpy(copy, base + sizeof *f, count * sizeof *copy);
    return copy;
}

static json_t *events_json(struct names *n, const struct finding_rec *f, const struct finding_event *e, u32 count,
                           const json_t *memory, json_t *threads)
{
    json_t *events = json_array();
    for (u32 i = 0; i < count; i++) {
        json_t *j = event_json(n, f, &e[i], memory, threads);
        if (j)
            json_array_append_new(events, j);
    }
    /* The memory of a hold may be all that is lost: an event that says nothing is left out if others say something. An
     * access still says who did what. */
    for (size_t i = json_array_size(events); i-- > 0 && json_array_size(events) > 1;)
        if (!memory && !json_array_size(json_object_get(json_array_get(events, i), "stack")))
            json_array_remove(events, i);
    return events;
}

/* A thread of Python's is known by the outermost function of the program's own; all begin in the same one of the interpreter. */
static const char *python_start(const json_t *stack)
{
    for (size_t i = json_array_size(stack); i-- > 0;) {
        const json_t *frame = json_array_get(stack, i);
        if (label_is(frame, "language", "python") && !names_python_library(label_text(frame, "file")))
            return label_text(frame, "function");
    }
    return "";
}

static void name_python_threads(const json_t *threads, const json_t *events)
{
    json_t *t;
    const json_t *e;
    size_t i, k;
    json_array_foreach (threads, i, t)
        json_array_foreach (events, k, e) {
            const char *start = python_start(json_object_get(e, "stack"));
            if (*start && !json_is_true(json_object_get(t, "main")) &&
                label_number(t, "thread") == label_number(e, "thread"))
                json_object_set_new(t, "start", json_string(start));
        }
}

/* Does a step of a cycle begin with this event? A hold and what the same thread asks for then are one step. */
static bool step_begins(const json_t *events, size_t i)
{
    const json_t *e = json_array_get(events, i), *before = i ? json_array_get(events, i - 1) : NULL;
    return label_is(e, "action", "hold") || !before || !label_is(before, "action", "hold") ||
           label_number(before, "thread") != label_number(e, "thread");
}

/* The same cycle begins with the same lock in every run, whichever thread came first. */
static void rotate_cycle(json_t *finding)
{
    json_t *events = json_object_get(finding, "events"), *turned = json_array();
    size_t n = json_array_size(events), first = 0;
    const char *least = NULL;
    for (size_t i = 0; i < n; i++) {
        const char *class = label_text(json_array_get(events, i), "object");
        if (step_begins(events, i) && (!least || strcmp(class, least) < 0)) {
            least = class;
            first = i;
        }
    }
    for (size_t i = 0; i < n; i++)
        json_array_append(turned, json_array_get(events, (first + i) % n));
    json_object_set_new(finding, "events", turned);
}

static void append_once(json_t *list, json_t *item)
{
    json_t *known;
    size_t i;
    json_array_foreach (list, i, known) {
        if (known == item)
            return;
    }
    json_array_append(list, item);
}

/* Locks in the order in which the events name them, the others behind. */
static void sort_locks(json_t *finding)
{
    json_t *locks = json_object_get(finding, "locks"), *sorted = json_array(), *e, *l;
    size_t i, k;
    json_array_foreach (json_object_get(finding, "events"), i, e) {
        json_array_foreach (locks, k, l) {
            if (json_equal(json_object_get(l, "instance"), json_object_get(e, "instance")))
                append_once(sorted, l);
        }
    }
    json_array_foreach (locks, k, l) {
        append_once(sorted, l);
    }
    json_object_set_new(finding, "locks", sorted);
}

/* What the engine could not know when the order was new: a semaphore turned out to be no lock, or nobody ever
 * write-locked the lock whose waiting writers would have made the readers queue. */
static bool cycle_is_void(const struct finding_rec *f)
{
    struct view_object o;
    u32 count = f->nlocks < MAX_LOCKS ? f->nlocks : MAX_LOCKS;
    ref_t *refs = f->kind == FINDING_LOCK_ORDER ? view_items(f->locks, count, sizeof *refs) : NULL;
    bool is_void = false;
    for (u32 i = 0; refs && i < count; i++) {
        if (!view_object(refs[i], &o))
            continue;
        u32 queue = o.head.attrs & (ATTR_WRITER_NONRECURSIVE | ATTR_WRITE_LOCKED_EVER);
        is_void |= o.head.kind == OBJ_SEM && !(o.head.attrs & ATTR_LOCKLIKE);
        is_void |= (f->flags & FINDING_READERS_QUEUE) && o.head.kind == OBJ_RWLOCK && queue == ATTR_WRITER_NONRECURSIVE;
    }
    free(refs);
    return is_void;
}

/* Machine code alone does not tell whether a plain move was meant to be atomic. */
static void moves_verdict(json_t *finding, const json_t *memory)
{
    if (json_object_get(memory, "type") && !json_is_true(json_object_get(memory, "atomic")))
        json_object_set_new(finding, "verdict", json_string(verdict_names[VERDICT_OBSERVED]));
}

static bool in_atomic_function(const json_t *event)
{
    const char *function = label_text(json_array_get(json_object_get(event, "stack"), 0), "function");
    return strncmp(function, "std::atomic", 11) == 0 || strncmp(function, "std::__atomic", 13) == 0;
}

/* Debug information says so: of the memory, or of both accesses. */
static bool is_atomic(const struct finding_rec *f, const json_t *finding)
{
    const json_t *events = json_object_get(finding, "events");
    return (f->flags & FINDING_MOVES) &&
           (json_is_true(json_object_get(json_object_get(finding, "memory"), "atomic")) ||
            (in_atomic_function(json_array_get(events, 0)) && in_atomic_function(json_array_get(events, 1))));
}

json_t *collect_finding(struct names *n, const struct finding_rec *f, ref_t ref)
{
    if (f->kind >= FINDING_KIND_COUNT || f->rule >= RULE_COUNT || f->verdict >= VERDICT_COUNT || cycle_is_void(f))
        return NULL;
    json_t *j = json_object(), *threads = json_array(), *flags = json_array(), *memory = NULL;
    u32 nevents;
    ref_t owner = 0;
    struct finding_event *events = copy_events(f, ref, &nevents);
    json_object_set_new(j, "id", json_string(""));
    json_object_set_new(j, "kind", json_string(kind_names[f->kind]));
    if (f->kind == FINDING_LOCK_MISUSE)
        json_object_set_new(j, "rule", json_string(rule_names[f->rule]));
    json_object_set_new(j, "verdict", json_string(verdict_names[f->verdict]));
    json_object_set_new(j, "title", json_string(""));
    json_object_set_new(j, "why", json_string(""));
    json_object_set_new(j, "fix", json_string(""));
    json_object_set_new(j, "count", json_integer(f->count ? f->count : 1));
    json_t *locks = locks_json(n, f);
    json_object_set_new(j, "locks", locks);
    if (f->mem_size || f->kind == FINDING_DATA_RACE) {
        memory = collect_memory(n, f, events, nevents, &owner);
        json_object_set_new(j, "memory", memory);
        if (f->flags & FINDING_MOVES)
            moves_verdict(j, memory);
        if (f->kind == FINDING_DATA_RACE || f->kind == FINDING_UNPROTECTED)
            add_held_locks(n, locks, events, nevents);
    }
    json_object_set_new(j, "events", events_json(n, f, events, nevents, memory, threads));
    if (owner)
        add_thread(n, threads, owner);
    name_python_threads(threads, json_object_get(j, "events"));
    free(events);
    json_object_set_new(j, "suppressed_by", json_null());
    json_object_set_new(j, "in_baseline", json_false());
    json_object_set_new(j, "counts", json_true());
    for (size_t i = 0; i < ARRAY_LEN(flag_names); i++)
        if (f->flags & flag_names[i].bit)
            json_array_append_new(flags, json_string(flag_names[i].name));
    json_object_set_new(j, "flags", flags);
    json_object_set_new(j, "threads", threads);
    json_object_set_new(j, "when_s", json_real((double)f->when_ns / 1e9));
    if ((f->kind == FINDING_DEADLOCK || f->kind == FINDING_LOCK_ORDER) && !(f->flags & FINDING_OWNER_GONE))
        rotate_cycle(j);
    sort_locks(j);
    if (is_atomic(f, j)) {
        json_decref(j);
        return NULL;
    }
    identity_set(j);
    advice_write(j);
    return j;
}
