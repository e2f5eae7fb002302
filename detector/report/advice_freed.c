/* Title, why and fix of a use after free that is in order. Called by advice.c. Takes no locks; allocates with malloc. */
#include <stdlib.h>

#include "advice.h"
#include "label.h"

static void put(struct buffer *b, char *label)
{
    buffer_put(b, *label ? label : "a place that is no longer known");
    free(label);
}

static const char *participle(const struct advice_access *use)
{
    return use->verb == VERB_USE ? "used" : use->write ? "written" : "read";
}

void advice_freed(const json_t *finding, struct advice *a)
{
    struct advice_access side[2];
    if (advice_accesses(finding, side) < 2) {
        buffer_put(&a->title, "use after free");
        buffer_put(&a->why, "A thread uses memory that was freed.");
        buffer_put(&a->fix, "Free it when nobody uses it any more.");
        return;
    }
    buffer_put(&a->title, "use after free: ");
    put(&a->title, label_memory(finding));
    buffer_print(&a->title, " is %s in ", participle(&side[1]));
    put(&a->title, label_function(side[1].event));
    buffer_put(&a->title, " after it was freed in ");
    put(&a->title, label_function(side[0].event));
    put(&a->why, label_thread(finding, label_number(side[0].event, "thread")));
    buffer_put(&a->why, " freed the block in ");
    put(&a->why, label_place(side[0].event));
    buffer_put(&a->why, "; ");
    put(&a->why, label_thread(finding, label_number(side[1].event, "thread")));
    buffer_put(&a->why, " still uses it in ");
    put(&a->why, label_place(side[1].event));
    buffer_put(&a->why, ". A lock, a join or the like puts the free first, so this is no data race, but the memory may "
                        "belong to somebody else by then.");
    buffer_put(&a->fix, "What leads to the block must be taken away together with it, under the same lock: set the "
                        "pointer to NULL before the free and look at it before each use. Or count the users, and let "
                        "the last one free it.");
}
