/* Title, why and fix of data races. Called by advice.c; the sides also by text_memory.c. Takes no locks; allocates with
 * malloc. */
#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "advice_access.h"
#include "base/types.h"
#include "label.h"

/* False: the event is no access. */
static bool access_of(const json_t *event, struct advice_access *a)
{
    static const struct {
        const char *action;
        enum advice_verb verb;
    } actions[] = {{"read", VERB_READ},          {"write", VERB_WRITE}, {"atomic-read", VERB_READ},
                   {"atomic-write", VERB_WRITE}, {"free", VERB_FREE},   {"use", VERB_USE},
                   {"init", VERB_INIT},          {"close", VERB_CLOSE}, {"destroy", VERB_DESTROY}};
    for (size_t i = 0; i < ARRAY_LEN(actions); i++) {
        if (!label_is(event, "action", actions[i].action))
            continue;
        bool allocation = json_is_true(json_object_get(event, "allocation"));
        *a = (struct advice_access){.event = event,
                                    .verb = allocation ? VERB_ALLOCATE : actions[i].verb,
                                    .atomic = strncmp(actions[i].action, "atomic", 6) == 0,
                                    .allocation = allocation};
        a->free = a->verb == VERB_FREE;
        a->write = a->verb != VERB_READ && a->verb != VERB_USE;
        return true;
    }
    return false;
}

size_t advice_accesses(const json_t *finding, struct advice_access out[2])
{
    const json_t *e;
    size_t i, n = 0;
    json_array_foreach (json_object_get(finding, "events"), i, e) {
        if (n < 2 && access_of(e, &out[n]))
            n++;
    }
    if (n == 2) { /* results have the later one first */
        struct advice_access later = out[0];
        out[0] = out[1];
        out[1] = later;
    }
    return n;
}

static void put_owned(struct buffer *b, char *label, const char *otherwise)
{
    buffer_put(b, *label ? label : otherwise);
    free(label);
}

void race_put_memory(struct buffer *b, const struct race *r)
{
    put_owned(b, label_memory(r->finding), "memory");
}

void race_put_thread(struct buffer *b, const struct race *r, const struct advice_access *a)
{
    put_owned(b, label_thread(r->finding, label_number(a->event, "thread")), "a thread");
}

static void put_place(struct buffer *b, const struct advice_access *a)
{
    put_owned(b, label_place(a->event), "a place that is no longer known");
}

void race_put_lock(struct buffer *b, const struct race *r, const json_t *held)
{
    put_owned(b, label_lock(r->finding, label_text(held, "class"), label_number(held, "instance")), "a lock");
}

/* The same lock as held by the other side. */
static const json_t *held_by(const struct advice_access *a, const json_t *lock)
{
    const json_t *h;
    size_t i;
    json_array_foreach (json_object_get(a->event, "held_at"), i, h) {
        if (json_equal(json_object_get(h, "instance"), json_object_get(lock, "instance")) &&
            label_is(h, "class", label_text(lock, "class")))
            return h;
    }
    return NULL;
}

static void find_locks(struct race *r)
{
    const json_t *h;
    size_t i;
    for (int side = 0; side < 2; side++) {
        json_array_foreach (json_object_get(r->a[side].event, "held_at"), i, h) {
            const json_t *other = held_by(&r->a[!side], h);
            if (!other && !r->hold[side] && !label_is(h, "class", LABEL_THREAD_END))
                r->hold[side] = h;
            r->locked |= other != NULL;
            if (other && (label_is(h, "mode", "shared") || label_is(other, "mode", "shared"))) {
                r->common[side] = h;
                r->common[!side] = other;
            }
        }
    }
}

static bool same_text(const struct race *r, char *(*label)(const json_t *))
{
    char *x = label(r->a[0].event), *y = label(r->a[1].event);
    bool same = *x && strcmp(x, y) == 0;
    free(x);
    free(y);
    return same;
}

static const struct advice_access *only(const struct race *r, bool first, bool second)
{
    return first == second ? NULL : first ? &r->a[0] : &r->a[1];
}

void race_of(const json_t *finding, struct race *r)
{
    *r = (struct race){.finding = finding, .memory = json_object_get(finding, "memory")};
    r->n = advice_accesses(finding, r->a);
    if (r->n < 2)
        r->a[1] = r->a[0];
    if (!r->n)
        return;
    r->cxx = advice_speaks(finding, "c++");
    r->processes = r->n == 2 && label_number(r->a[0].event, "process") != label_number(r->a[1].event, "process");
    r->same_function = same_text(r, label_function);
    r->same_line = r->n == 2 && same_text(r, label_place);
    find_locks(r);
    r->freed = only(r, r->a[0].free, r->a[1].free);
    r->atomic = only(r, r->a[0].atomic, r->a[1].atomic);
    r->plain = only(r, !r->a[0].atomic, !r->a[1].atomic);
    r->writer = only(r, r->a[0].write, r->a[1].write);
    r->reader = only(r, !r->a[0].write, !r->a[1].write);
}

/* ---- title ---- */

const char *race_participle(const struct advice_access *a)
{
    static const char *const words[ADVICE_VERBS] = {"read", "written",     "freed",  "allocated",
                                                    "used", "initialised", "closed", "destroyed"};
    if (a->atomic)
        return a->write ? "atomically written" : "atomically read";
    return words[a->verb];
}

/* "in add()", or "by T2 (worker)" */
void race_put_actor(struct buffer *b, const struct race *r, const struct advice_access *a)
{
    char *function = label_function(a->event);
    buffer_put(b, *function ? " in " : " by ");
    if (*function)
        buffer_put(b, function);
    else
        race_put_thread(b, r, a);
    free(function);
}

static void race_title(const struct race *r, struct buffer *b)
{
    const struct advice_access *first = &r->a[0], *second = &r->a[1];
    if (!r->a[0].free && !r->a[0].write && r->a[1].write && !r->a[1].free) { /* the write is what matters */
        first = &r->a[1];
        second = &r->a[0];
    }
    buffer_put(b, "data race: ");
    race_put_memory(b, r);
    buffer_print(b, " is %s", race_participle(first));
    if (r->same_function && strcmp(race_participle(first), race_participle(second)) == 0) {
        race_put_actor(b, r, first);
        buffer_print(b, " by two %s, with no order between them", r->processes ? "processes" : "threads");
    } else if (r->same_function) {
        buffer_print(b, " and %s", race_participle(second));
        race_put_actor(b, r, second);
        buffer_print(b, " by two %s, with no order between them", r->processes ? "processes" : "threads");
    } else {
        bool same = strcmp(race_participle(first), race_participle(second)) == 0;
        race_put_actor(b, r, first);
        buffer_print(b, same ? " and" : " and %s", race_participle(second));
        race_put_actor(b, r, second);
        buffer_put(b, ", with no order between them");
    }
}

/* ---- why ---- */

static void put_sides(const struct race *r, struct buffer *b)
{
    static const char *const past[ADVICE_VERBS] = {"read", "wrote",       "freed",  "allocated",
                                                   "used", "initialised", "closed", "destroyed"};
    static const char *const now[ADVICE_VERBS] = {"reads", "writes",      "frees",  "allocates",
                                                  "uses",  "initialises", "closes", "destroys"};
    const struct advice_access *x = &r->a[0], *y = &r->a[1];
    race_put_thread(b, r, x);
    if (r->same_line) {
        buffer_put(b, " and ");
        race_put_thread(b, r, y);
        buffer_put(b, " both run the same line, ");
        put_place(b, y);
        buffer_put(b, ".");
        return;
    }
    buffer_print(b, " %s ", past[x->verb]);
    race_put_memory(b, r);
    buffer_put(b, " in ");
    put_place(b, x);
    buffer_put(b, "; ");
    race_put_thread(b, r, y);
    buffer_print(b, " %s it in ", now[y->verb]);
    put_place(b, y);
    buffer_put(b, ".");
}

void race_why_sides(const struct race *r, struct buffer *b)
{
    put_sides(r, b);
    if (b->text)
        b->text[0] = (char)toupper((unsigned char)b->text[0]); /* "a thread that has ended" */
}

bool race_why_locks(const struct race *r, struct buffer *b)
{
    if (r->common[0]) {
        bool both = label_is(r->common[0], "mode", "shared") && label_is(r->common[1], "mode", "shared");
        buffer_put(b, " Both hold ");
        race_put_lock(b, r, r->common[0]);
        buffer_put(b, both ? ", but only for reading: readers do not keep each other out."
                           : ", but one of them only for reading.");
    } else if (r->hold[0] && r->hold[1]) {
        buffer_put(b, " The one holds ");
        race_put_lock(b, r, r->hold[0]);
        buffer_put(b, ", the other ");
        race_put_lock(b, r, r->hold[1]);
        buffer_put(b, ": different locks do not keep threads apart.");
    } else if (r->hold[0] || r->hold[1]) {
        int with = r->hold[0] ? 0 : 1;
        buffer_put(b, " ");
        race_put_thread(b, r, &r->a[with]);
        buffer_put(b, " holds ");
        race_put_lock(b, r, r->hold[with]);
        buffer_put(b, ", ");
        race_put_thread(b, r, &r->a[!with]);
        buffer_put(b, " does not: a lock keeps out only those who take it.");
    } else {
        return false;
    }
    return true;
}

static bool on_anothers_stack(const struct race *r)
{
    json_int_t owner = label_number(r->memory, "thread");
    bool own = label_is(r->memory, "region", "stack") || json_is_true(json_object_get(r->memory, "thread_local"));
    return own && owner &&
           (label_number(r->a[0].event, "thread") == owner) != (label_number(r->a[1].event, "thread") == owner);
}

static void why_harm(const struct race *r, struct buffer *b)
{
    const char *name = label_text(r->memory, "name"), *brace = strchr(name, '{');
    if (advice_thing_why(r->finding, r->a, b))
        return;
    if (r->freed == &r->a[0])
        buffer_put(b, " This is a use after free: the block may belong to somebody else by then.");
    else if (r->freed)
        buffer_put(b, " Only this run's timing put the free last; the other way round it is a use after free.");
    else if (r->a[0].free)
        buffer_put(b, " Both free it: a double free.");
    else if (r->a[0].allocation)
        buffer_put(b, " The block was handed over without anything that puts its making first: what was written into "
                      "it may not be there yet.");
    else if (r->atomic)
        buffer_put(b, " One side is atomic, the other is not, and that mixing is the bug: atomic operations are in "
                      "order only with each other, and the compiler may split, repeat or leave out the plain access.");
    else if (!r->writer)
        buffer_put(b, " When the two meet, one of the writes is lost, or the value is a mixture of both.");
    else
        buffer_put(b, " What is read may be old, half written, or a copy that the compiler kept in a register.");
    if (brace && strchr(brace, ','))
        buffer_put(b, " Bit-fields that share bytes are written together: to change one is to write the others back.");
    if (json_is_true(json_object_get(r->memory, "volatile")))
        buffer_put(b, " volatile puts nothing in order between threads.");
    if (on_anothers_stack(r) && json_is_true(json_object_get(r->memory, "thread_local")))
        buffer_put(b, " The variable is thread-local, but its address was given to another thread.");
    else if (on_anothers_stack(r))
        buffer_put(b, " It is a local variable of the one thread that another thread has the address of; once its "
                      "function returns, that address is somebody else's.");
}

/* ---- fix ---- */

static void fix_lock(const struct race *r, struct buffer *b)
{
    int with = r->hold[0] ? 0 : 1;
    const json_t *lock = r->hold[with];
    if (r->same_line && !r->hold[!with]) {
        buffer_put(b, "Take ");
        race_put_lock(b, r, lock);
        buffer_put(b, " on every way to ");
        put_place(b, &r->a[with]);
        buffer_put(b, ": ");
        race_put_thread(b, r, &r->a[!with]);
        buffer_put(b, " comes there without it.");
        return;
    }
    buffer_put(b, r->hold[!with] ? "Decide on one lock for " : "Take ");
    if (r->hold[!with]) {
        race_put_memory(b, r);
        buffer_put(b, ": take ");
    }
    race_put_lock(b, r, lock);
    buffer_put(b, " in ");
    put_place(b, &r->a[!with]);
    buffer_put(b, " too, as ");
    put_place(b, &r->a[with]);
    buffer_put(b, r->hold[!with] ? " does, and wherever else it is used." : " does.");
}

static bool shaped(const struct race *r, const char *shape)
{
    return label_is(r->memory, "shape", shape);
}

/* Can a C11 or C++ atomic stand in its place? */
static bool lock_free(const struct race *r)
{
    return shaped(r, "integer") || shaped(r, "bool") || shaped(r, "pointer");
}

/* The name as it may stand in code: not that of an allocation or a group of bit-fields. */
static bool has_name(const struct race *r)
{
    const char *shown = label_text(r->memory, "shown");
    return *shown && !strpbrk(shown, " {");
}

static const char *code_name(const struct race *r)
{
    return has_name(r) ? label_text(r->memory, "shown") : "x";
}

static void put_address(struct buffer *b, const struct race *r)
{
    const char *name = code_name(r);
    buffer_print(b, "%s%s", *name == '*' ? "" : "&", name + (*name == '*'));
}

static void fix_flag(const struct race *r, struct buffer *b)
{
    buffer_put(b, "If it only tells the other thread something (a flag, a pointer to what is ready), make it atomic: ");
    if (r->cxx)
        buffer_put(b, "std::atomic, stored with memory_order_release and loaded with memory_order_acquire");
    else {
        buffer_put(b, "_Atomic, written by atomic_store_explicit(");
        put_address(b, r);
        buffer_put(b, ", …, memory_order_release) and read by atomic_load_explicit(");
        put_address(b, r);
        buffer_put(b, ", memory_order_acquire)");
    }
    buffer_put(b, "; what was written before the store is then seen after the load. Otherwise put one mutex around "
                  "both accesses.");
}

static void fix_count(const struct race *r, struct buffer *b)
{
    const char *type = label_text(r->memory, "type");
    if (strncmp(type, "volatile ", 9) == 0)
        type += 9;
    buffer_put(b, "Put one mutex around both accesses, or make it atomic (");
    buffer_print(b, r->cxx ? "std::atomic<%s>)" : "_Atomic %s)", *type ? type : "int");
    if (!shaped(r, "integer")) {
        buffer_put(b, ".");
        return;
    }
    buffer_print(b, *code_name(r) == '*' ? ": then (%s)++ is one step" : ": then %s++ is one step", code_name(r));
    if (!r->cxx) {
        buffer_put(b, ", and so is atomic_fetch_add(");
        put_address(b, r);
        buffer_put(b, ", n)");
    }
    buffer_put(b, ".");
}

/* One thread made the other: often the order that was meant is that of their lives. */
static void fix_lives(const struct race *r, struct buffer *b)
{
    const json_t *t;
    size_t i;
    json_int_t one = label_number(r->a[0].event, "thread"), other = label_number(r->a[1].event, "thread");
    json_array_foreach (json_object_get(r->finding, "threads"), i, t) {
        json_int_t thread = label_number(t, "thread"), by = label_number(t, "created_by");
        if (!by || by == thread || !((thread == one && by == other) || (thread == other && by == one)))
            continue;
        const struct advice_access *creator = by == one ? &r->a[0] : &r->a[1];
        buffer_print(b, " If the %s before the access in ",
                     r->processes ? "child is to be done by then, wait for it"
                                  : "thread is to be done by then, join it");
        put_place(b, creator);
        if (creator->write && !creator->free)
            buffer_print(b, "; if that is to come first, do it before the %s",
                         r->processes ? "fork" : "thread is created");
        buffer_put(b, ".");
        return;
    }
}

void race_fix(const struct race *r, struct buffer *b)
{
    if (advice_thing_fix(r->finding, r->a, b))
        return;
    if (r->freed || r->a[0].free) {
        buffer_put(b, "Free it only when nobody can use it any more: join the threads that use it first, or count its "
                      "users and let the last one free it. A lock around the use alone does not help: what finds the "
                      "block must be taken away under that lock before the free.");
    } else if (r->a[0].allocation) {
        buffer_put(b, "Hand the block over so that its making comes first: under a lock that both sides take, by a "
                      "release store and an acquire load of the pointer to it, or when the thread is created.");
        return;
    } else if (r->atomic) {
        buffer_put(b, "Make the plain access in ");
        put_place(b, r->plain);
        buffer_print(b, " atomic too%s, and declare it %s so that no plain access is left over.",
                     r->cxx            ? ""
                     : r->plain->write ? " (atomic_store, atomic_fetch_add)"
                                       : " (atomic_load)",
                     r->cxx ? "std::atomic" : "_Atomic");
    } else if (r->common[0]) {
        buffer_put(b, "Take ");
        race_put_lock(b, r, r->common[0]);
        buffer_put(b, " for writing in ");
        put_place(b, r->writer ? r->writer : &r->a[1]);
        buffer_put(b, r->writer || r->same_line ? "." : " and wherever else it is changed.");
    } else if (r->hold[0] || r->hold[1]) {
        fix_lock(r, b);
    } else if (on_anothers_stack(r)) {
        buffer_put(b,
                   "Whoever owns a local variable must not leave its function, nor use it, while another thread does: "
                   "join that thread first, or give it a copy of its own. For what both use while they run, put one "
                   "mutex around both accesses.");
        return;
    } else if (lock_free(r) && r->writer && !r->same_function) {
        fix_flag(r, b);
    } else if (lock_free(r)) {
        fix_count(r, b);
    } else {
        buffer_put(b, "Put one mutex around both accesses, and around every other use of it.");
    }
    if (r->processes && !r->atomic && !r->common[0] && !r->hold[0] && !r->hold[1])
        buffer_put(b, " A mutex of several processes lies in the shared memory and has PTHREAD_PROCESS_SHARED in its "
                      "attributes.");
    if (on_anothers_stack(r))
        buffer_put(b, " Whoever owns a local variable must not leave its function while another thread uses it: join "
                      "that thread first.");
    else if (!r->freed && !r->a[0].free)
        fix_lives(r, b);
}

void advice_race(const json_t *finding, struct advice *a)
{
    struct race r;
    race_of(finding, &r);
    if (!r.n) {
        buffer_put(&a->title, "data race");
        buffer_put(&a->why,
                   "Two threads use the same memory, at least one of them writes, and nothing orders the two.");
        buffer_put(&a->fix, "Put one mutex around both accesses.");
        return;
    }
    race_title(&r, &a->title);
    race_why_sides(&r, &a->why);
    if (!race_why_locks(&r, &a->why)) {
        buffer_put(&a->why, r.locked ? " Nothing puts" : " No lock is held by both, and nothing else puts");
        buffer_put(&a->why, " the one before the other: no join, no signal or post, no atomic release and acquire.");
    }
    why_harm(&r, &a->why);
    if (label_is(finding, "verdict", "possible"))
        buffer_put(&a->why, " The machine code of both is what atomic operations are compiled to, too, and no debug "
                            "information says what this memory is: if it is atomic, this is no race.");
    race_fix(&r, &a->fix);
}
