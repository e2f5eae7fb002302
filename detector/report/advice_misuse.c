/* Title, why and fix of lock misuse, one entry per rule. Called by advice.c. Takes no locks; allocates with malloc.
 *
 * In the templates: $L the lock, $T the thread that did it, $W where ("f() at x.c:3"), $O another thread that holds the
 * lock, $H where it was taken, $F "the call returned an error" when it did. A part in {braces} is left out when
 * something in it is unknown. */
#include <stdlib.h>
#include <string.h>

#include "advice.h"
#include "label.h"

struct rule_text {
    const char *rule, *title, *why, *fix;
};

static const struct rule_text rules[] = {
    {"unlock-not-owner", "$L is unlocked by a thread that does not hold it",
     "$T unlocks $L in $W{, but $O holds it, taken in $H}. A mutex belongs to the thread that locked it. Unlocked by "
     "somebody else, its owner goes on "
     "believing that it is alone, and the next thread walks in.{ $F.}",
     "Let the thread that locks also unlock. To hand something over or to wake another thread, use a condition "
     "variable or a semaphore: "
     "sem_post may be called by any thread."},
    {"unlock-not-locked", "$L is unlocked although nobody holds it",
     "$T unlocks $L in $W, but it is not locked at that moment: it was never locked on this path, or it is unlocked "
     "twice. For a normal mutex "
     "this is undefined: later, two threads may hold it at once, or none may ever get it.{ $F.}",
     "Find the path to $W that skips the lock, or that has unlocked before (often an error path). One place that "
     "unlocks, at the end "
     "of the function or in a lock guard, makes this impossible."},
    {"relock", "a thread waits for itself: $L is locked again by its owner",
     "$T already holds $L{, taken in $H,} and asks for it again in $W. It is not a recursive lock, so the thread waits "
     "for itself, for ever.",
     "Call the inner function only without the lock, or split it: one that locks and calls another that expects the "
     "lock to be held. A "
     "recursive mutex also stops the hang, but then the inner function works on data that the outer one has half "
     "changed."},
    {"destroy-locked", "$L is destroyed while it is locked",
     "$T destroys $L, or gives back its memory, in $W{, while $O holds it}{; it was taken in $H}. Whoever holds it "
     "may unlock memory that "
     "is no lock any more, and whoever waits for it may wait for ever.{ $F.}",
     "Give it back first, and destroy it only after its last user is done: join the threads that use it, or count the "
     "references to the object that holds it."},
    {"use-destroyed", "$L is used after it was destroyed",
     "$T uses $L in $W, but it was destroyed before. What happens then is undefined; with luck it is an error, without "
     "it a hang or a broken heap.",
     "Find out who still has the object after its end: join threads before destroying what they use, and destroy in "
     "the reverse order of "
     "creation. If the lock is to be used again, initialise it again."},
    {"lock-left-at-thread-exit", "a thread ended and left $L locked",
     "$T ended while it held $L{, taken in $H}. Nobody can unlock it any more: the next thread that asks for it waits "
     "for ever.",
     "Unlock on every way out of the thread: early returns, error paths, pthread_exit, and cancellation "
     "(pthread_cleanup_push); in C++ "
     "a lock guard does it. If threads may die with it by design, make the mutex robust (PTHREAD_MUTEX_ROBUST)."},
    {"wait-without-lock", "a condition is waited for without its mutex being held: $L",
     "$T waits on a condition in $W without holding the mutex $L that it hands over. Waiting gives that mutex back and "
     "takes it again, so it must "
     "be held; without it, the test of the awaited state and the wait are not one step, and a wake-up in between is "
     "lost.{ $F.}",
     "Lock the mutex, test the awaited state in a loop, and wait inside that loop: lock; while (!ready) wait; use; "
     "unlock."},
    {"wait-two-mutexes", "threads wait on one condition with different mutexes: $L",
     "$T waits on a condition in $W with mutex $L, while another thread waits on it with another mutex{ (in $H)}. All "
     "waiters of a condition must use "
     "the same mutex; otherwise nothing protects the state that they wait for.",
     "Give each condition one mutex, the one that protects the awaited state, and use it in every wait. Two states "
     "need two conditions."},
    {"fork-while-locked", "a child process takes $L, which another thread held at the fork",
     "$T takes $L in $W. At the fork{ $O of the parent held it, taken in $H}, and only the forking thread lives on in "
     "the child: nobody there "
     "will ever unlock it, so this waits for ever.",
     "Between fork and exec call only async-signal-safe functions; better, start programs with posix_spawn. Otherwise "
     "fork before the first "
     "thread starts, or register pthread_atfork handlers that take the lock before the fork and release it in both "
     "processes. In Python, start processes by \"spawn\" or \"forkserver\", or do the same with os.register_at_fork."},
    {"rwlock-upgrade", "$L is asked for writing by a thread that already holds it for reading",
     "$T holds $L for reading{, taken in $H,} and asks for it for writing in $W. A writer waits until all readers are "
     "gone, itself included: it "
     "waits for ever.",
     "Give the read lock back first, take the write lock, and check again what was read: it may have changed in "
     "between. Or take the write lock "
     "from the start where a write may follow."},
    {"returns-holding", "a path returns and keeps $L",
     "$T takes $L in $W and keeps it on one way out of the function, though it is given back on the others.",
     "Unlock before every return, or leave through one exit that does."},
    {"not-initialised", "$L is used without having been initialised",
     "$T uses $L in $W, but no initialisation was seen and its memory does not look like an initialised lock.{ $F.} It "
     "may work by chance "
     "today, where memory happens to be zero.",
     "Initialise it before its first use: a static initialiser (PTHREAD_MUTEX_INITIALIZER), the init function, or for "
     "objects on the heap right "
     "after the allocation, before any other thread can see them."},
};

/* What the placeholders stand for in one finding; NULL when unknown. */
struct facts {
    char *of[26];
};

static void set_fact(struct facts *f, char letter, char *value)
{
    if (value && !*value) {
        free(value);
        value = NULL;
    }
    f->of[letter - 'A'] = value;
}

static struct facts gather(const json_t *finding)
{
    struct facts f = {{NULL}};
    const json_t *e, *act = NULL, *hold = NULL;
    size_t i;
    json_array_foreach (json_object_get(finding, "events"), i, e) {
        if (label_is(e, "action", "hold"))
            hold = e;
        else if (!act)
            act = e;
    }
    const json_t *lock = json_array_get(json_object_get(finding, "locks"), 0), *any = act ? act : hold;
    set_fact(&f, 'L', label_lock(finding, label_text(lock, "class"), label_number(lock, "instance")));
    if (any) {
        set_fact(&f, 'T', label_thread(finding, label_number(any, "thread")));
        set_fact(&f, 'W', label_place(any));
    }
    if (hold) {
        set_fact(&f, 'H', label_place(hold));
        if (!act || label_number(hold, "thread") != label_number(act, "thread"))
            set_fact(&f, 'O', label_thread(finding, label_number(hold, "thread")));
    }
    if (label_flag(finding, "unlock-failed"))
        set_fact(&f, 'F', strdup("The call returned an error and changed nothing"));
    return f;
}

static bool complete(const struct facts *f, const char *from, const char *to)
{
    for (const char *p = from; p < to; p++)
        if (*p == '$' && p[1] >= 'A' && p[1] <= 'Z' && !f->of[p[1] - 'A'])
            return false;
    return true;
}

static void expand(struct buffer *b, const char *template, const struct facts *f)
{
    for (const char *p = template; *p; p++) {
        const char *end = *p == '{' ? strchr(p, '}') : NULL;
        if (end && !complete(f, p, end)) {
            p = end;
        } else if (*p == '$' && p[1] >= 'A' && p[1] <= 'Z') {
            const char *value = f->of[*++p - 'A'];
            buffer_put(b, value ? value : "?");
        } else if (*p != '{' && *p != '}') {
            buffer_add(b, p, 1);
        }
    }
}

void advice_misuse(const json_t *finding, struct advice *a)
{
    struct facts f = gather(finding);
    const struct rule_text *text = NULL;
    for (size_t i = 0; i < sizeof rules / sizeof *rules; i++)
        if (label_is(finding, "rule", rules[i].rule))
            text = &rules[i];
    expand(&a->title, text ? text->title : "$L is used against its rules", &f);
    expand(&a->why, text ? text->why : "$T misuses $L in $W.", &f);
    expand(&a->fix, text ? text->fix : "See the manual page of the call.", &f);
    if (label_flag(finding, "ended-program"))
        buffer_put(
            &a->why,
            " Nothing could have ended this, so snarl ended the program (--on-deadlock=report leaves it hanging).");
    if (label_flag(finding, "broken"))
        buffer_put(&a->why, " As --on-deadlock=break asks, the acquisition was made to fail with EDEADLK.");
    if (label_flag(finding, "conversion"))
        buffer_put(
            &a->why,
            " A file lock is converted by giving it up and taking it anew; two that do this at once block each other.");
    for (size_t i = 0; i < sizeof f.of / sizeof *f.of; i++)
        free(f.of[i]);
}
