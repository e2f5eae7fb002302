/* Title, why and fix of unprotected data. Called by advice.c. Takes no locks; allocates with malloc. */
#include <stdlib.h>
#include <string.h>

#include "advice_access.h"
#include "label.h"

/* Which side holds the guard, the first of the finding's locks; -1: none does alone. */
static int guarding_side(const struct race *r)
{
    const json_t *guard = json_array_get(json_object_get(r->finding, "locks"), 0), *h;
    size_t i;
    int side = -1;
    for (int s = 0; s < 2; s++) {
        json_array_foreach (json_object_get(r->a[s].event, "held_at"), i, h) {
            if (json_equal(json_object_get(h, "instance"), json_object_get(guard, "instance")) &&
                label_is(h, "class", label_text(guard, "class")))
                side = side < 0 ? s : 2;
        }
    }
    return side < 2 ? side : -1;
}

static void put_guard(struct buffer *b, const struct race *r)
{
    race_put_lock(b, r, json_array_get(json_object_get(r->finding, "locks"), 0));
}

static void title(const struct race *r, struct buffer *b)
{
    int with = guarding_side(r);
    buffer_put(b, "unprotected: ");
    race_put_memory(b, r);
    buffer_put(b, " is ");
    if (with >= 0 && r->hold[!with]) {
        buffer_put(b, race_participle(&r->a[with]));
        race_put_actor(b, r, &r->a[with]);
        buffer_put(b, " under ");
        put_guard(b, r);
        buffer_print(b, ", and %s", race_participle(&r->a[!with]));
        race_put_actor(b, r, &r->a[!with]);
        buffer_put(b, " under ");
        race_put_lock(b, r, r->hold[!with]);
    } else if (with >= 0) {
        buffer_put(b, race_participle(&r->a[!with]));
        race_put_actor(b, r, &r->a[!with]);
        buffer_put(b, " without ");
        put_guard(b, r);
        buffer_put(b, ", its guard elsewhere");
    } else {
        buffer_put(b, race_participle(&r->a[0]));
        race_put_actor(b, r, &r->a[0]);
        buffer_print(b, " and %s", race_participle(&r->a[1]));
        race_put_actor(b, r, &r->a[1]);
        buffer_put(b, " without a lock in common");
    }
}

void advice_unprotected(const json_t *finding, struct advice *a)
{
    struct race r;
    race_of(finding, &r);
    if (!r.n) {
        buffer_put(&a->title, "unprotected memory");
        buffer_put(&a->why,
                   "Two threads use the same memory, at least one of them writes, and no lock is held by both.");
        buffer_put(&a->fix, "Put one mutex around both accesses.");
        return;
    }
    title(&r, &a->title);
    race_why_sides(&r, &a->why);
    if (!race_why_locks(&r, &a->why))
        buffer_put(&a->why, " Neither holds a lock there.");
    buffer_put(&a->why, " They did not race in this run: between the two came critical sections of other data, and the "
                        "order in which those took their lock put the one first. With another timing they come the "
                        "other way round, and nothing keeps the two accesses apart.");
    race_fix(&r, &a->fix);
}
