/* Title, why and fix of static findings. Called by emit.c. Takes no locks; allocates with malloc. */
#include <stdlib.h>

#include "emit.h"
#include "name.h"
#include "report/label.h"

struct sentences {
    struct buffer title, why, fix;
};

/* Puts what a malloc'd label says and frees it. */
static void put(struct buffer *b, char *label)
{
    buffer_put(b, label && *label ? label : "?");
    free(label);
}

static const json_t *event(const struct emit *e, size_t i)
{
    return json_array_get(json_object_get(e->finding, "events"), i);
}

/* "T2 (worker) writes it at put() at x.c:3, holding a and b" */
static void put_access(struct buffer *b, const struct emit *e, size_t i, const char *verb)
{
    const json_t *ev = event(e, i), *held;
    size_t k;
    put(b, label_thread(e->finding, label_number(ev, "thread")));
    buffer_print(b, " %s it in ", verb);
    put(b, label_place(ev));
    json_array_foreach (json_object_get(ev, "held"), k, held)
        buffer_print(b, "%s%s", k ? " and " : ", holding ", label_short(json_string_value(held)));
    if (!k)
        buffer_put(b, ", holding no lock");
}

static const char *verb_of(const struct emit *e, size_t i)
{
    const char *action = label_text(event(e, i), "action");
    return strstr(action, "write") ? "writes" : "reads";
}

static void memory_name(struct buffer *b, const struct emit *e)
{
    buffer_put(b, label_text(json_object_get(e->finding, "memory"), "shown"));
}

static void race(struct sentences *s, struct emit *e)
{
    buffer_put(&s->title, "data race: ");
    memory_name(&s->title, e);
    buffer_print(&s->title, " is %s in ", strcmp(verb_of(e, 0), "writes") == 0 ? "written" : "read");
    put(&s->title, label_function(event(e, 0)));
    buffer_print(&s->title, " and %s in ", strcmp(verb_of(e, 1), "writes") == 0 ? "written" : "read");
    put(&s->title, label_function(event(e, 1)));
    buffer_put(&s->title, ", with no lock in common");
    put_access(&s->why, e, 0, verb_of(e, 0));
    buffer_put(&s->why, "; ");
    put_access(&s->why, e, 1, verb_of(e, 1));
    buffer_put(&s->why, ". Both can run at the same time, and no lock is held by both.");
    buffer_put(&s->fix,
               "Take one lock around every access, or make the variable atomic; or let the threads meet (a join, a "
               "hand-over under a lock) before the second access.");
}

static void unprotected(struct sentences *s, struct emit *e, const struct found *f)
{
    struct name guard = name_of_path(e->w, f->guard);
    memory_name(&s->title, e);
    buffer_print(&s->title, " is used with %s in %u of %u places, without it in ", guard.shown, f->guarded,
                 f->accesses);
    const json_t *held = json_object_get(event(e, 0), "held");
    bool first = true;
    size_t k;
    json_t *h;
    char *class = emit_class(e, f->guard);
    json_array_foreach (held, k, h)
        first &= strcmp(json_string_value(h), class) != 0;
    put(&s->title, label_function(event(e, first ? 0 : 1)));
    put_access(&s->why, e, 0, verb_of(e, 0));
    buffer_put(&s->why, "; ");
    put_access(&s->why, e, 1, verb_of(e, 1));
    buffer_print(&s->why, ". In %u of %u places the lock %s is held: this looks like the one that was forgotten.",
                 f->guarded, f->accesses, guard.shown);
    buffer_print(&s->fix, "Hold %s in ", guard.shown);
    put(&s->fix, label_place(event(e, first ? 0 : 1)));
    buffer_put(&s->fix,
               ", too; or say why it need not be held there (before the threads start, after they were joined).");
    free(class);
    free(guard.local);
    free(guard.shown);
}

static void atomicity(struct sentences *s, struct emit *e, const struct found *f)
{
    struct name guard = f->guard ? name_of_path(e->w, f->guard) : (struct name){0};
    buffer_put(&s->title, "lost update: ");
    memory_name(&s->title, e);
    buffer_put(&s->title, " is read and written back in two steps in ");
    put(&s->title, label_function(event(e, 1)));
    put_access(&s->why, e, 0, "reads");
    buffer_put(&s->why, "; the value written back in ");
    put(&s->why, label_place(event(e, 1)));
    buffer_put(&s->why, " depends on it. ");
    if (guard.shown)
        buffer_print(&s->why, "In between %s is released. ", guard.shown);
    put_access(&s->why, e, 2, "writes");
    buffer_put(&s->why, "; when that comes in between, it is lost.");
    if (guard.shown)
        buffer_print(&s->fix, "Keep %s from the reading to the writing, or read again after taking it anew.",
                     guard.shown);
    else
        buffer_put(&s->fix, "Use one atomic operation (atomic_fetch_add, or a loop of compare and exchange).");
    free(guard.local);
    free(guard.shown);
}

static void order(struct sentences *s, struct emit *e)
{
    const json_t *events = json_object_get(e->finding, "events"), *ev;
    size_t i, n = json_array_size(events);
    buffer_put(&s->title, "possible deadlock: ");
    json_array_foreach (events, i, ev) {
        if (i % 2)
            continue;
        buffer_put(&s->title, i ? i + 2 >= n ? " and " : ", " : "");
        put(&s->title, label_object(e->finding, ev));
    }
    buffer_put(&s->title, n == 2  ? " are taken in a ring: each thread its own, then the next one's"
                          : n > 4 ? " are taken in a circle"
                                  : " are taken in both orders");
    for (i = 1; i < n; i += 2) {
        buffer_put(&s->why, i > 1 ? "; " : "");
        put(&s->why, label_thread(e->finding, label_number(event(e, i), "thread")));
        buffer_put(&s->why, " takes ");
        put(&s->why, label_object(e->finding, event(e, i)));
        buffer_put(&s->why, " in ");
        put(&s->why, label_place(event(e, i)));
        buffer_put(&s->why, " while it holds ");
        put(&s->why, label_object(e->finding, event(e, i - 1)));
    }
    buffer_put(&s->why, ". These threads can run at the same time; when each has its first lock, all wait for ever.");
    buffer_put(&s->fix, "Decide on one order and keep it everywhere. Or let go of the first lock before asking for the "
                        "second; or take the second one with a trylock, and when that fails give the first one back.");
}

static const struct {
    const char *rule, *title, *why, *fix;
} misuses[] = {
    {"relock", "$L is locked again by the thread that holds it",
     "$T takes $L in $W, and already holds it on the way there. It is not a recursive lock: the thread waits for "
     "itself.",
     "Call the inner function without the lock, or split it into one that locks and one that expects the lock to be "
     "held."},
    {"rwlock-upgrade", "$L is locked for writing by a thread that reads it",
     "$T asks for $L for writing in $W while it holds it for reading. It waits for all readers, itself among them.",
     "Give the reading lock back first, take the writing lock, and test again what was read."},
    {"unlock-not-locked", "$L is unlocked on a path where it is not locked",
     "$T unlocks $L in $W, but no lock of it is held on the way there: it was never taken, or given back before.",
     "Find the path that skips the lock or unlocks twice; one place that unlocks makes this impossible."},
    {"wait-without-lock", "a condition is waited for without $L being held",
     "$T waits in $W with $L, which it does not hold there.", "Take the mutex before the test of the awaited state."},
    {"destroy-locked", "$L is destroyed while it is held", "$T destroys $L in $W and still holds it.",
     "Give it back first, and destroy it only after its last user is done."},
    {"lock-left-at-thread-exit", "a thread ends and keeps $L",
     "$T ends in $W and still holds $L: nobody can unlock it.", "Unlock on every way out of the thread."},
    {"returns-holding", "a path returns and keeps $L",
     "$L is taken in $W and given back on other ways out of the function, but on one way it is kept, and no caller "
     "gives "
     "it back. The next thread that asks for it waits for ever.",
     "Unlock before every return, or leave through one exit that does."},
};

static void expand(struct buffer *b, const char *text, const struct emit *e)
{
    const json_t *ev = event(e, json_array_size(json_object_get(e->finding, "events")) - 1);
    for (; *text; text++) {
        if (*text != '$') {
            buffer_add(b, text, 1);
            continue;
        }
        text++;
        put(b, *text == 'L'   ? label_object(e->finding, ev)
               : *text == 'T' ? label_thread(e->finding, label_number(ev, "thread"))
                              : label_place(ev));
    }
}

static void misuse(struct sentences *s, struct emit *e, const struct found *f)
{
    for (size_t i = 0; i < ARRAY_LEN(misuses); i++) {
        if (strcmp(misuses[i].rule, f->rule) != 0)
            continue;
        expand(&s->title, misuses[i].title, e);
        expand(&s->why, misuses[i].why, e);
        expand(&s->fix, misuses[i].fix, e);
    }
}

void emit_sentences(struct emit *e, const struct found *f)
{
    struct sentences s = {0};
    switch (f->kind) {
    case FOUND_RACE:
        race(&s, e);
        break;
    case FOUND_UNPROTECTED:
        unprotected(&s, e, f);
        break;
    case FOUND_ATOMICITY:
        atomicity(&s, e, f);
        break;
    case FOUND_ORDER:
        order(&s, e);
        break;
    default:
        misuse(&s, e, f);
    }
    const char *const keys[] = {"title", "why", "fix"};
    struct buffer *const texts[] = {&s.title, &s.why, &s.fix};
    for (size_t i = 0; i < ARRAY_LEN(keys); i++) {
        char *text = buffer_take(texts[i]);
        json_object_set_new(e->finding, keys[i], json_string(text));
        free(text);
    }
}
