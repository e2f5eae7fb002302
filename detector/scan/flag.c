/* Flags: global variables that say whose turn it is. "if (turn == READING) work();" is in force in all that work() calls, and
 * code there that runs only when turn is something else is not reached. That another thread changes the flag meanwhile is not
 * believed; that the function does so, or one that it calls, is looked for. Called by context.c. Takes no locks; allocates
 * with malloc. */
#include "whole.h"

/* The variable of a fact, 0 when it is none of a global one. */
static u32 flag_of(const struct analysis *a, u32 fact)
{
    u32 value = a->facts.at[fact].value;
    if (value < a->p->values.n)
        return 0;
    u32 place = path_at(&a->ps, value - a->p->values.n)->base;
    const struct path *q = path_at(&a->ps, place);
    bool global = path_at(&a->ps, path_root_of(&a->ps, place))->kind == P_GLOBAL;
    return global && !q->has_deref && !q->has_index ? place : 0;
}

u32 flags_in(struct analysis *a, u32 facts)
{
    u32 out = 0;
    for (u32 i = 0, n = sets_count(&a->sets, facts); i < n; i++) {
        u32 fact = sets_item(&a->sets, facts, i);
        if (flag_of(a, fact))
            out = sets_add(&a->sets, out, fact);
    }
    return out;
}

/* Whether the function stores there itself, or one that it calls does. */
static bool changes(struct whole *w, u32 function, u32 place, bool callees)
{
    struct analysis *a = w->a;
    u32 *known = map_put(&w->changes, (u64)function << 33 | (u64)place << 1 | callees);
    if (*known)
        return *known == 2;
    const struct summary *sum = &a->summary[function];
    bool found = false;
    for (u32 i = 0; i < sum->record.n && !found; i++) {
        const struct record *r = &sum->record.at[i];
        if (r->kind == R_ACCESS && (r->flags & R_WRITE))
            found = path_meets(&a->ps, r->path, place);
        else if (r->kind == R_CALL && callees)
            found = changes(w, r->path, place, false);
    }
    *map_put(&w->changes, (u64)function << 33 | (u64)place << 1 | callees) = found ? 2 : 1;
    return found;
}

u32 flags_kept(struct whole *w, u32 function, u32 facts)
{
    struct analysis *a = w->a;
    u32 out = facts;
    for (u32 i = 0, n = sets_count(&a->sets, facts); i < n; i++) {
        u32 fact = sets_item(&a->sets, facts, i);
        if (changes(w, function, flag_of(a, fact), true))
            out = sets_drop(&a->sets, out, fact);
    }
    return out;
}
