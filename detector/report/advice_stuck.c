/* Title, why and fix of stuck threads and processes. Called by advice.c. Takes no locks; allocates with malloc. */
#include <stdlib.h>
#include <string.h>

#include "advice.h"
#include "label.h"
#include "view.h"

/* By the kind of what is waited for; `awaits`: what of it, NULL: does not matter. */
static const struct stuck_wait {
    const char *kind, *awaits, *what, *fix;
} stuck_waits[] = {
    {"condition", NULL, "a signal on condition ",
     "Change the shared state and signal while holding the mutex, and wait in a loop that tests that state before it "
     "waits: a signal that comes before the wait is not remembered (a lost wake-up). See that every path that changes "
     "the state signals, and wakes all waiters where more than one may go on."},
    {"sem", NULL, "a post of ",
     "See that every path posts the semaphore exactly once for each wait, error paths too, and that nobody waits for a "
     "post that only the waiting thread itself (or one that waits for it) could make: a pool whose task waits for "
     "another task of the same pool needs more threads, or no nesting."},
    {"barrier", NULL, "enough threads at barrier ",
     "The barrier asks for more threads than will ever come: make its count the number of threads that really wait "
     "there, and let no thread leave before its last round."},
    {"pipe", "room", "",
     "A pipe holds 64 KiB; then its writer waits for a reader. Read until the end of the file first, and only then "
     "wait "
     "for the writer's end or write to it; where both sides send much, let another thread or poll() read meanwhile."},
    {"socket", "room", "",
     "A socket holds only so much; then who sends waits for the other side to receive. Receive everything first, and "
     "only then wait for the sender; where both sides send much, let another thread or poll() receive meanwhile."},
    {"pipe", "data", "",
     "Decide who speaks first, and flush what stdio still has in its buffer. A reader sees the end of the file when "
     "the last writer has closed: close the ends that a process does not use, in the child and in the parent."},
    {"socket", "data", "",
     "Decide who speaks first, and flush what is still in a buffer. A reader sees the end when the other side has "
     "closed in every process that has it: close the ends that a process does not use, in the child and in the "
     "parent."},
    {"futex", NULL, "", "See who should have woken this, and why it waits itself."},
    {"events", NULL, "", "See who should have caused the event, and why it waits itself."},
    /* the last resort: mostly something else keeps it from ending */
    {"thread", NULL, "the end of ",
     "A thread can only be joined by another one that it does not wait for in turn: detach it, or let somebody else "
     "join."},
    {"child", NULL, "",
     "Before waiting for a child's end, do what it needs to come to its end: take what it sends, send what it waits "
     "for, close what it reads from."},
};
#define STUCK_WAITS (sizeof stuck_waits / sizeof *stuck_waits)

static void put_label(struct buffer *b, char *label)
{
    buffer_put(b, *label ? label : "?");
    free(label);
}

static const struct stuck_wait *wait_of(const json_t *event)
{
    bool join = advice_is_join(event) || label_is(event, "object", LABEL_THREAD_END);
    const char *kind = join ? "thread" : label_text(event, "object_kind");
    for (size_t i = 0; i < STUCK_WAITS; i++)
        if (strcmp(kind, stuck_waits[i].kind) == 0 &&
            (!stuck_waits[i].awaits || label_is(event, "awaits", stuck_waits[i].awaits)))
            return &stuck_waits[i];
    return NULL;
}

static bool is_last_resort(const struct stuck_wait *w)
{
    return strcmp(w->kind, "thread") == 0 || strcmp(w->kind, "child") == 0;
}

/* A thread that joins itself is refused: nobody waits. */
static void self_join(const json_t *finding, const json_t *join, struct advice *a)
{
    buffer_put(&a->title, "stuck: a thread joins itself");
    put_label(&a->why, label_thread(finding, label_number(join, "thread")));
    buffer_put(&a->why, " asks for its own end in ");
    put_label(&a->why, label_place(join));
    buffer_put(&a->why,
               ", which would be waiting for ever. The call returned an error and did not wait: what it should "
               "have waited for may still run.");
    buffer_put(&a->fix, wait_of(join)->fix);
}

static size_t processes_of(const struct advice_step *s, size_t n)
{
    size_t count = 0;
    for (size_t i = 0; i < n; i++) {
        bool known = false;
        for (size_t k = 0; k < i; k++)
            known |= label_number(s[k].ask, "process") == label_number(s[i].ask, "process");
        count += !known;
    }
    return count;
}

/* Was it seen from outside, where what is no lock shows? */
static bool from_outside(const json_t *finding, const struct advice_step *s, size_t n)
{
    bool outside = label_flag(finding, "cross-process");
    for (size_t i = 0; i < n; i++)
        outside |= json_object_get(s[i].ask, "awaits") != NULL;
    return outside;
}

static void put_title(struct buffer *b, const json_t *finding, const struct advice_step *s, size_t n)
{
    size_t processes = processes_of(s, n);
    if (n == 1)
        buffer_print(b, "stuck: %s waits, and nobody is left to wake it",
                     from_outside(finding, s, n) ? "a thread" : "the only thread");
    else if (processes > 1)
        buffer_print(b, "stuck: %zu processes wait for one another, and nobody is left to wake one of them", processes);
    else
        buffer_print(b, "stuck: %s%zu threads wait, and nobody is left to wake one of them",
                     from_outside(finding, s, n) ? "" : "all ", n);
}

/* "Let go of a before waiting in f()": who holds what another one of them waits for. */
static bool put_let_go(struct buffer *b, const json_t *finding, const struct advice_step *s, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (!s[i].hold)
            continue;
        buffer_print(b, "%sLet go of ", b->length ? " " : "");
        put_label(b, label_object(finding, s[i].hold));
        buffer_put(b, " before waiting in ");
        put_label(b, label_place(s[i].ask));
        buffer_put(b, ".");
    }
    return b->length != 0;
}

static void put_fixes(struct buffer *b, const json_t *finding, const struct advice_step *s, size_t n)
{
    bool told[STUCK_WAITS] = {false}, lets_go = put_let_go(b, finding, s, n);
    for (int last = 0; last < 2; last++)
        for (size_t i = 0; i < n; i++) {
            const struct stuck_wait *w = wait_of(s[i].ask);
            if (!w || told[w - stuck_waits] || is_last_resort(w) != last || (last && b->length) ||
                (lets_go && strcmp(w->kind, "sem") == 0))
                continue;
            told[w - stuck_waits] = true;
            buffer_print(b, "%s%s", b->length ? " " : "", w->fix);
        }
    if (!b->length)
        buffer_put(b, "See who should have woken these threads, and why it waits itself.");
}

void advice_stuck(const json_t *finding, struct advice *a)
{
    size_t n;
    struct advice_step *s = advice_steps(finding, &n);
    if (n == 1 && label_flag(finding, "unlock-failed") && advice_is_join(s[0].ask)) {
        self_join(finding, s[0].ask, a);
        free(s);
        return;
    }
    put_title(&a->title, finding, s, n);
    size_t shown = n > ADVICE_MAX_NAMED ? ADVICE_MAX_NAMED : n;
    for (size_t i = 0; i < shown; i++) {
        const struct stuck_wait *w = wait_of(s[i].ask);
        buffer_put(&a->why, i ? "; " : "");
        put_label(&a->why, label_thread(finding, label_number(s[i].ask, "thread")));
        if (s[i].hold) {
            buffer_put(&a->why, " holds ");
            put_label(&a->why, label_object(finding, s[i].hold));
            buffer_put(&a->why, " and");
        }
        bool end = label_is(s[i].ask, "object", LABEL_THREAD_END);
        buffer_print(&a->why, " waits for %s", w && !end ? w->what : "");
        put_label(&a->why, label_object(finding, s[i].ask));
        buffer_put(&a->why, " in ");
        put_label(&a->why, label_place(s[i].ask));
    }
    if (n > shown)
        buffer_print(&a->why, "; and %zu more", n - shown);
    buffer_put(&a->why,
               from_outside(finding, s, n)
                   ? ". Whoever could end one of these waits - has the other end, shares the memory, is the child - is "
                     "among the waiting: all of them stand still, and no other process has a part in it."
                   : ". Every thread of the process waits, and everybody who could wake one of them is among the "
                     "waiting.");
    advice_order_notes(finding, &a->why, true);
    put_fixes(&a->fix, finding, s, n);
    free(s);
}
