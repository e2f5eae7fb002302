/* The must order. Called by the engine's thread, process and barrier parts and by the cycle search.
 * Takes no lock of its own beyond the arena's; allocates arena records. */
#include "segment.h"

#include "base/arena.h"
#include "model/run.h"

#define MAX_SEGMENTS (4u << 20)
#define SEARCH_STEPS 200000u
#define SEARCH_STACK 1024u

ref_t segment_new(ref_t thread, ref_t prev, ref_t other)
{
    struct run_state *rs = run();
    u32 number = __atomic_add_fetch(&rs->next_segment, 1, __ATOMIC_RELAXED);
    ref_t r = number < MAX_SEGMENTS ? arena_alloc(POOL_SEGMENT, sizeof(struct segment_rec)) : 0;
    if (!r) {
        rs->segments_full = 1;
        return prev ? prev : other;
    }
    struct segment_rec *s = arena_at(r);
    s->prev = prev;
    s->other = other;
    s->thread = thread;
    s->number = number;
    return r;
}

bool segment_before(ref_t a, ref_t b)
{
    struct run_state *rs = run();
    if (!a || !b || a == b)
        return true;
    const struct segment_rec *from = arena_at(a);
    u32 search = ++rs->next_search, steps = 0, n = 0;
    ref_t todo[SEARCH_STACK];
    todo[n++] = b;
    while (n) {
        struct segment_rec *s = arena_at(todo[--n]);
        if (s->number < from->number || s->reserved[0] == search)
            continue;
        /* Within one thread segments are totally ordered. */
        if (s == from || (s->thread && s->thread == from->thread))
            return true;
        s->reserved[0] = search;
        if (++steps > SEARCH_STEPS || n + 2 > SEARCH_STACK) {
            run_lost(LOSS_search_cut);
            return true;
        }
        if (s->prev)
            todo[n++] = s->prev;
        if (s->other)
            todo[n++] = s->other;
    }
    return rs->segments_full != 0;
}
