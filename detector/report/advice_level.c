/* Title, why and fix of a lock taken against the levels that the program gave its locks. Called by advice.c. Takes no
 * locks; allocates with malloc. */
#include <stdlib.h>

#include "advice.h"
#include "label.h"

/* Appends what a malloc'd label says and frees it. */
static void put(struct buffer *b, char *label)
{
    buffer_put(b, *label ? label : "?");
    free(label);
}

static json_int_t level_of(const json_t *finding, const json_t *event)
{
    const json_t *lock;
    size_t i;
    json_array_foreach (json_object_get(finding, "locks"), i, lock)
        if (json_equal(json_object_get(lock, "instance"), json_object_get(event, "instance")))
            return label_number(lock, "level");
    return 0;
}

static void put_lock(struct buffer *b, const json_t *finding, const json_t *event)
{
    put(b, label_object(finding, event));
    buffer_print(b, " (level %lld)", (long long)level_of(finding, event));
}

void advice_level(const json_t *finding, struct advice *a)
{
    size_t n;
    struct advice_step *s = advice_steps(finding, &n);
    const json_t *ask = n ? s[0].ask : NULL, *hold = n ? s[0].hold : NULL;
    buffer_put(&a->title, "against the lock levels: ");
    put_lock(&a->title, finding, ask);
    buffer_put(&a->title, " is taken while ");
    put_lock(&a->title, finding, hold);
    buffer_put(&a->title, " is held");
    put(&a->why, label_place(ask));
    buffer_put(&a->why, " takes ");
    put_lock(&a->why, finding, ask);
    buffer_put(&a->why, " while it holds ");
    put_lock(&a->why, finding, hold);
    buffer_put(&a->why, ". The program has given its locks levels, by which a lock may only be taken while those held "
                        "have lower ones. A thread that takes the two as the levels have it can wait for this one for "
                        "ever, and this one for it.");
    if (level_of(finding, ask) == level_of(finding, hold))
        buffer_put(&a->fix, "Both have the same level: give them different ones, in the order in which they are to be "
                            "taken, or do not hold two of that level at once.");
    else
        buffer_put(&a->fix, "Take the lock of the lower level first, or let go of the one held before asking; if this "
                            "order is the one that is meant, change the levels.");
    free(s);
}
