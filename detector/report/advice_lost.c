/* Title, why and fix of lost updates. Called by advice.c. Takes no locks; allocates with malloc. */
#include <stdlib.h>
#include <string.h>

#include "advice.h"
#include "label.h"

/* The read, the other thread's write, the write that it is lost to; and the lock. */
struct lost {
    const json_t *finding, *read, *other, *write, *lock;
    bool seen; /* the other write came in between */
};

static void put_owned(struct buffer *b, char *label, const char *otherwise)
{
    buffer_put(b, *label ? label : otherwise);
    free(label);
}

static void put_memory(struct buffer *b, const struct lost *l)
{
    put_owned(b, label_memory(l->finding), "memory");
}

static void put_lock(struct buffer *b, const struct lost *l)
{
    put_owned(b, label_lock(l->finding, label_text(l->lock, "class"), label_number(l->lock, "instance")), "a lock");
}

static void put_thread(struct buffer *b, const struct lost *l, const json_t *event)
{
    put_owned(b, label_thread(l->finding, label_number(event, "thread")), "another thread");
}

static void put_place(struct buffer *b, const json_t *event)
{
    put_owned(b, label_place(event), "a place that is no longer known");
}

static bool same_text(char *x, char *y)
{
    bool same = *x && strcmp(x, y) == 0;
    free(x);
    free(y);
    return same;
}

static void lost_title(const struct lost *l, struct buffer *b)
{
    buffer_put(b, "lost update: ");
    put_memory(b, l);
    buffer_put(b, " is read and written back under ");
    put_lock(b, l);
    buffer_put(b, " in two critical sections, and ");
    if (l->seen)
        put_thread(b, l, l->other);
    else
        buffer_put(b, "another thread");
    buffer_put(b, l->seen ? " wrote it in between" : " can write it in between");
}

static void lost_why(const struct lost *l, struct buffer *b)
{
    put_thread(b, l, l->read);
    buffer_put(b, " read ");
    put_memory(b, l);
    buffer_put(b, " in ");
    put_place(b, l->read);
    buffer_put(b, ", gave ");
    put_lock(b, l);
    buffer_put(b, " back, took it again, and ");
    if (same_text(label_place(l->read), label_place(l->write))) {
        buffer_put(b, "wrote on the same line");
    } else {
        buffer_put(b, "wrote in ");
        put_place(b, l->write);
    }
    buffer_put(b, " without a look at what had become of it. ");
    if (l->seen) {
        buffer_put(b, "In between ");
        put_thread(b, l, l->other);
        buffer_put(b, " wrote it in ");
        put_place(b, l->other);
        buffer_put(b, ": that update is gone.");
    } else {
        put_thread(b, l, l->other);
        buffer_put(b, " writes it in ");
        put_place(b, l->other);
        buffer_put(b, ", and nothing but the lock, which is free in between, keeps it from doing so there: its update "
                      "is then gone. This run's timing kept the two apart.");
    }
    buffer_put(b, " Each access is locked, so this is no data race; what belongs together is not.");
}

/* Can a C11 or C++ atomic stand in its place? */
static bool lock_free(const struct lost *l)
{
    const json_t *memory = json_object_get(l->finding, "memory");
    return label_is(memory, "shape", "integer") || label_is(memory, "shape", "bool") ||
           label_is(memory, "shape", "pointer");
}

static void lost_fix(const struct lost *l, struct buffer *b)
{
    buffer_put(b, "Hold ");
    put_lock(b, l);
    buffer_put(b, " from the read to the write. If the work in between takes too long for that, read ");
    put_memory(b, l);
    buffer_put(b, " again after taking the lock for the write, and begin anew when it has changed.");
    if (lock_free(l))
        buffer_put(b,
                   advice_speaks(l->finding, "c++")
                       ? " For a single value an atomic does both: compare_exchange_weak() in a loop, or fetch_add()."
                       : " For a single value an atomic does both: atomic_compare_exchange_weak() in a loop, or "
                         "atomic_fetch_add().");
    if (label_flag(l->finding, "across-calls"))
        buffer_put(b,
                   " Each of the two calls takes the lock for itself, so it is their caller who has to hold one from "
                   "the first to the last: another lock, unless this one may be taken twice.");
}

void advice_lost(const json_t *finding, struct advice *a)
{
    const json_t *events = json_object_get(finding, "events");
    struct lost l = {.finding = finding,
                     .read = json_array_get(events, 0),
                     .other = json_array_get(events, 1),
                     .write = json_array_get(events, 2),
                     .lock = json_array_get(json_object_get(finding, "locks"), 0),
                     .seen = label_is(finding, "verdict", "observed")};
    lost_title(&l, &a->title);
    if (l.write) {
        lost_why(&l, &a->why);
    } else {
        buffer_put(&a->why,
                   "What was read under a lock is written back in a later critical section, and another thread "
                   "can write in between: its update is lost.");
    }
    lost_fix(&l, &a->fix);
}
