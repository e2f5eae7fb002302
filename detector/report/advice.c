/* Title, why and fix of deadlocks and lock-order cycles; stuck programs are in advice_stuck.c, lock misuse in advice_misuse.c,
 * data races in advice_race.c, unprotected data in advice_unprotected.c. Called by
 * collect_finding.c. Takes no locks; allocates with malloc. */
#include "advice.h"

#include <stdlib.h>
#include <string.h>

#include "label.h"
#include "view.h"

#define MAX_NAMED ADVICE_MAX_NAMED

struct advice_step *advice_steps(const json_t *finding, size_t *n)
{
    const json_t *events = json_object_get(finding, "events"), *e, *hold = NULL;
    struct advice_step *steps = view_alloc((json_array_size(events) + 1) * sizeof *steps);
    size_t i;
    *n = 0;
    json_array_foreach (events, i, e) {
        if (label_is(e, "action", "hold")) {
            hold = e;
        } else if (label_is(e, "action", "wait") || label_is(e, "action", "acquire")) {
            bool same = hold && label_number(hold, "thread") == label_number(e, "thread");
            steps[(*n)++] = (struct advice_step){same ? hold : NULL, e};
            hold = NULL;
        }
    }
    return steps;
}

/* Appends what a malloc'd label says and frees it. */
static void put_label(struct buffer *b, char *label)
{
    buffer_put(b, *label ? label : "?");
    free(label);
}

static void put_place(struct buffer *b, const json_t *event)
{
    put_label(b, label_place(event));
}

static bool same_object(const json_t *x, const json_t *y)
{
    static const char *const keys[] = {"object", "instance", "object_thread"};
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++)
        if (!json_equal(json_object_get(x, keys[i]), json_object_get(y, keys[i])) &&
            (json_object_get(x, keys[i]) || json_object_get(y, keys[i])))
            return false;
    return true;
}

/* "a, b and c": what the steps hold, or where they hold nothing, what they ask for; each once. */
static void put_locks(struct buffer *b, const json_t *finding, const struct advice_step *s, size_t n)
{
    const json_t **named = view_alloc((n + 1) * sizeof *named);
    size_t known = 0, shown;
    for (size_t i = 0, k; i < n; i++) {
        const json_t *of = s[i].hold ? s[i].hold : s[i].ask;
        for (k = 0; k < known && !same_object(named[k], of); k++)
            ;
        if (k == known)
            named[known++] = of;
    }
    shown = known > MAX_NAMED ? MAX_NAMED : known;
    for (size_t i = 0; i < shown; i++) {
        buffer_put(b, i == 0 ? "" : i + 1 == known ? " and " : ", ");
        put_label(b, label_object(finding, named[i]));
    }
    if (known > shown)
        buffer_print(b, " and %zu more", known - shown);
    free(named);
}

bool advice_is_join(const json_t *event)
{
    return json_object_get(event, "object_thread") != NULL;
}

static bool any_join(const struct advice_step *s, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (advice_is_join(s[i].ask))
            return true;
    return false;
}

bool advice_speaks(const json_t *finding, const char *language)
{
    const json_t *e, *f;
    size_t i, k;
    json_array_foreach (json_object_get(finding, "events"), i, e)
        json_array_foreach (json_object_get(e, "stack"), k, f)
            if (label_is(f, "language", language) && !json_is_true(json_object_get(f, "interpreter")))
                return true;
    return false;
}

/* Two instances of one class: no fixed order of names helps. */
static bool one_class(const json_t *finding)
{
    const json_t *locks = json_object_get(finding, "locks"), *l;
    size_t i;
    json_array_foreach (locks, i, l)
        if (strcmp(label_text(l, "class"), label_text(json_array_get(locks, 0), "class")) != 0)
            return false;
    return json_array_size(locks) > 1;
}

static void order_title(const json_t *finding, struct buffer *b, const struct advice_step *s, size_t n, bool struck)
{
    const char *who = label_flag(finding, "cross-process") ? "processes" : "threads";
    if (struck && label_flag(finding, "owner-gone")) {
        buffer_put(b, n > 1 ? "deadlock: threads wait for " : "deadlock: a thread waits for ");
        put_label(b, n ? label_object(finding, s[n - 1].ask) : strdup("a lock"));
        buffer_put(b, ", whose owner is gone");
    } else if (struck && any_join(s, n)) {
        buffer_print(b, "deadlock: %zu threads wait for each other, one for the other's end: ", n);
        put_locks(b, finding, s, n);
    } else if (struck) {
        buffer_print(b, "deadlock: %zu %s wait for each other%s: ", n, who, n > 2 ? " in a ring" : "");
        put_locks(b, finding, s, n);
    } else if (n == 2) {
        buffer_put(b, "possible deadlock: ");
        put_locks(b, finding, s, n);
        buffer_put(b, " are taken in both orders");
    } else {
        buffer_print(b, "possible deadlock: the orders of %zu locks make a ring: ", n);
        put_locks(b, finding, s, n);
    }
}

/* "T2 (worker) holds a and waits for b", or "first() at x.c:4 takes b while it holds a" */
static void put_step(const json_t *finding, struct buffer *b, const struct advice_step *s, bool struck)
{
    if (!struck)
        put_place(b, s->ask);
    else
        put_label(b, label_thread(finding, label_number(s->ask, "thread")));
    if (s->hold && struck) {
        buffer_put(b, " holds ");
        put_label(b, label_object(finding, s->hold));
        buffer_put(b, " and");
    }
    buffer_put(b, !struck ? " takes " : advice_is_join(s->ask) ? " waits for the end of " : " waits for ");
    put_label(b, label_object(finding, s->ask));
    if (s->hold && !struck) {
        buffer_put(b, " while it holds ");
        put_label(b, label_object(finding, s->hold));
    }
}

void advice_order_notes(const json_t *finding, struct buffer *b, bool struck)
{
    if (label_flag(finding, "timed"))
        buffer_put(b, " One of the waits gives up by itself after its time-out, so the threads stall and may go on, "
                      "rather than hang for ever.");
    if (label_flag(finding, "condition-relock"))
        buffer_put(b, " One of the waits is the end of a condition wait: waiting on a condition gives back its own "
                      "mutex only and has to "
                      "take it again before it returns; any other lock stays held all the time.");
    if (label_flag(finding, "readers-queue"))
        buffer_put(b, " Two readers do block each other here: this read-write lock prefers writers, so a reader queues "
                      "behind a writer that waits.");
    if (label_flag(finding, "cross-process") && !label_is(finding, "kind", "stuck"))
        buffer_put(b, " The locks are shared between processes.");
    if (label_flag(finding, "python-try") && !struck)
        buffer_put(b,
                   " CPython first tries a lock and waits only if it is taken; at another moment the same line waits.");
    if (struck && label_flag(finding, "ended-program"))
        buffer_put(
            b, " Nothing could have ended this, so snarl ended the program (--on-deadlock=report leaves it hanging).");
    if (struck && label_flag(finding, "broken"))
        buffer_print(b, " As --on-deadlock=break asks, %s was made to fail with EDEADLK so that the rest could go on.",
                     label_is(finding, "kind", "stuck") ? "one of these calls" : "the last acquisition");
}

static void order_why(const json_t *finding, struct buffer *b, const struct advice_step *s, size_t n, bool struck)
{
    size_t shown = n > MAX_NAMED ? MAX_NAMED : n;
    for (size_t i = 0; i < shown; i++) {
        put_step(finding, b, &s[i], struck);
        buffer_put(b, i + 1 < shown ? "; " : ".");
    }
    if (n > shown)
        buffer_print(b, " %zu more steps close the ring.", n - shown);
    if (struck && label_flag(finding, "owner-gone"))
        buffer_put(b, " The thread that held the lock has ended, or was left behind by a fork, without unlocking it: "
                      "nobody can unlock it any more.");
    else if (struck)
        buffer_put(b, " Each has what the next one needs, and none of them lets go: they wait for ever.");
    else
        buffer_print(b,
                     " %s threads that do this at the same time each get their first lock and then wait for ever for "
                     "the next one. %s",
                     n == 2 ? "Two" : "As many",
                     label_flag(finding, "across-runs") ? "No run did it all: each had a part of it."
                                                        : "This run got away with it by its timing.");
    advice_order_notes(finding, b, struck);
}

static void fix_gone(const json_t *finding, struct buffer *b, const struct advice_step *s, size_t n)
{
    buffer_put(b, "Unlock ");
    put_label(b, n ? label_object(finding, s[n - 1].ask) : strdup("the lock"));
    buffer_put(b, " on every way out of the thread that takes it: early returns, error paths, pthread_exit, "
                  "cancellation (pthread_cleanup_push; in "
                  "C++ a lock guard). If it was lost in a fork: fork before there are threads, use posix_spawn, or "
                  "take the lock in a "
                  "pthread_atfork handler so that the child gets it free. If owners may die at any time, make it a "
                  "robust mutex.");
}

static void fix_join(const json_t *finding, struct buffer *b, const struct advice_step *s, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (!advice_is_join(s[i].ask))
            continue;
        buffer_put(b, "Before the join in ");
        put_place(b, s[i].ask);
        buffer_put(b, ", unlock what ");
        put_label(b, label_object(finding, s[i].ask));
        buffer_put(b, " needs to come to its end");
        const json_t *held = json_object_get(s[i].ask, "held");
        if (json_array_size(held)) {
            buffer_put(b, " (here: ");
            buffer_put(b, label_short(json_string_value(json_array_get(held, 0))
                                          ? json_string_value(json_array_get(held, 0))
                                          : "?"));
            buffer_put(b, ")");
        }
        buffer_put(b, ". Copy what you need out of the locked section, unlock, then join.");
        return;
    }
}

/* The order of the first step is proposed; the last step is the one that has to change. */
static void fix_order(const json_t *finding, struct buffer *b, const struct advice_step *s, size_t n)
{
    const struct advice_step *last = &s[n - 1];
    if (one_class(finding)) {
        buffer_put(b, "Both locks come from the same place, so fix an order among the objects themselves: compare "
                      "their addresses or ids and always "
                      "lock the lower one first, in ");
    } else {
        buffer_put(b, "Decide on one order and keep it everywhere: ");
        for (size_t i = 0; i < n && i < MAX_NAMED; i++) {
            buffer_put(b, i ? " before " : "");
            put_label(b,
                      s[i].hold ? label_object(finding, s[i].hold) : label_object(finding, s[i ? i - 1 : n - 1].ask));
        }
        buffer_put(b, ". Then change ");
    }
    put_place(b, last->ask);
    if (!one_class(finding) && last->hold) {
        buffer_put(b, ": take ");
        put_label(b, label_object(finding, last->ask));
        buffer_put(b, " before ");
        put_label(b, label_object(finding, last->hold));
        buffer_put(b, " (now taken in ");
        put_place(b, last->hold);
        buffer_put(b, ")");
    }
    buffer_put(b, ". Or let go of the first lock before asking for the second");
    if (advice_speaks(finding, "c++"))
        buffer_put(b, "; where both are needed at once, std::scoped_lock takes them without deadlock.");
    else if (advice_speaks(finding, "python"))
        buffer_put(b, "; or take the second one with a time-out and start again when it fails.");
    else
        buffer_put(
            b, "; or take the second one with a trylock, and when that fails give the first one back and start again.");
    if (label_flag(finding, "condition-relock"))
        buffer_put(b, " Do not hold another lock while waiting on a condition.");
}

void advice_order(const json_t *finding, struct advice *a)
{
    size_t n;
    bool struck = label_is(finding, "kind", "deadlock");
    struct advice_step *s = advice_steps(finding, &n);
    order_title(finding, &a->title, s, n, struck);
    order_why(finding, &a->why, s, n, struck);
    if (label_flag(finding, "owner-gone"))
        fix_gone(finding, &a->fix, s, n);
    else if (any_join(s, n))
        fix_join(finding, &a->fix, s, n);
    else if (n)
        fix_order(finding, &a->fix, s, n);
    else
        buffer_put(&a->fix, "Take the locks in the same order everywhere.");
    free(s);
}

void advice_write(json_t *finding)
{
    struct advice a = {{0}, {0}, {0}};
    if (label_is(finding, "kind", "lock-misuse"))
        advice_misuse(finding, &a);
    else if (label_is(finding, "kind", "stuck"))
        advice_stuck(finding, &a);
    else if (label_flag(finding, "level"))
        advice_level(finding, &a);
    else if (label_is(finding, "kind", "data-race"))
        advice_race(finding, &a);
    else if (label_is(finding, "kind", "unprotected"))
        advice_unprotected(finding, &a);
    else if (label_is(finding, "kind", "atomicity"))
        advice_lost(finding, &a);
    else
        advice_order(finding, &a);
    const char *keys[] = {"title", "why", "fix"};
    struct buffer *texts[] = {&a.title, &a.why, &a.fix};
    for (int i = 0; i < 3; i++) {
        char *text = buffer_take(texts[i]);
        json_object_set_new(finding, keys[i], json_string(text));
        free(text);
    }
}
