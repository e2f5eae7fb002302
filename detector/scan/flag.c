/* Flags: global variables that say whose turn it is. "if (turn == READING) work();" is in force in all that work() calls, and
 * code there that runs only when turn is something else is not reached. That another thread changes the flag meanwhile is not
 * believed; that the function does so, or one that it calls, is looked for. What is so when a thread is created is in force in
 * the thread, when nobody changes it later ("if (threads > 1) start();"). Called by context.c. Takes no locks; allocates
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

static bool changes_cells(struct analysis *a, u32 changed, const struct list_u32 *cells)
{
    for (u32 i = 0; i < cells->n; i++)
        if (sets_has(&a->sets, changed, cells->at[i]))
            return true;
    return false;
}

static bool instruction_changes(struct analysis *a, u32 value, const struct list_u32 *cells, u32 place)
{
    const struct value *v = &a->p->values.at[value];
    if (v->op == V_STORE || v->op == V_RMW)
        return path_meets(&a->ps, path_of(&a->ps, v->a), place);
    const struct call *c = v->op == V_CALL ? points_call(&a->pt, value) : NULL;
    bool starts = c && c->known && c->known->op == K_CREATE;
    for (u32 i = 0; c && !starts && i < c->targets.n; i++)
        if (changes_cells(a, a->changes[c->targets.at[i]], cells))
            return true;
    return false;
}

/* Whether the code of the function that comes after the instruction changes the variable. */
static bool changed_after(struct analysis *a, u32 value, const struct list_u32 *cells, u32 place)
{
    const struct program *p = a->p;
    const struct function *f = &p->functions.at[p->values.at[value].function];
    u32 home = a->block_of[value];
    for (u32 b = f->block; b < f->block + f->nblocks; b++) {
        const struct block *block = &p->blocks.at[b];
        bool reached = graph_reaches(p, home, b, NONE);
        for (u32 i = 0; (reached || b == home) && i < block->ncode; i++)
            if ((reached || i > a->place_of[value]) &&
                instruction_changes(a, p->code.at[block->code + i], cells, place))
                return true;
    }
    return false;
}

/* Variables of which something is known where threads are created. */
void flags_find_starting(struct whole *w)
{
    struct analysis *a = w->a;
    for (u32 f = 0; f < a->p->functions.n; f++)
        for (u32 i = 0; i < a->summary[f].record.n; i++) {
            const struct record *r = &a->summary[f].record.at[i];
            u32 facts =
                r->kind == R_CREATE || (r->kind == R_CALL && a->creates[r->path]) ? flags_in(a, r->at.facts) : 0;
            for (u32 k = 0, n = sets_count(&a->sets, facts); k < n; k++)
                *map_put(&w->starting, flag_of(a, sets_item(&a->sets, facts, k))) = 1;
        }
}

u32 flags_of_starting(struct whole *w, u32 facts)
{
    struct analysis *a = w->a;
    u32 out = 0;
    for (u32 i = 0, n = w->starting.n ? sets_count(&a->sets, facts) : 0; i < n; i++) {
        u32 fact = sets_item(&a->sets, facts, i), place = flag_of(a, fact);
        if (place && map_get(&w->starting, place))
            out = sets_add(&a->sets, out, fact);
    }
    return out;
}

static u32 each_time(struct analysis *a, u32 function, u32 value)
{
    const struct summary *sum = &a->summary[function];
    u32 out = NONE;
    for (u32 i = 0; i < sum->record.n; i++) {
        const struct record *r = &sum->record.at[i];
        if (r->value != value)
            continue;
        u32 facts = flags_in(a, r->at.facts);
        out = out == NONE ? facts : sets_common(&a->sets, out, facts);
    }
    return out == NONE ? 0 : out;
}

u32 flags_each_time(struct whole *w, u32 value, u32 context)
{
    struct analysis *a = w->a;
    u32 out = 0;
    for (u32 c = context; c != NONE; c = w->contexts.at[c].up) {
        out = sets_union(&a->sets, out, each_time(a, w->contexts.at[c].function, value));
        value = w->contexts.at[c].call;
    }
    return out;
}

/* What is true when a thread is created stays true when nobody changes it from there on: neither its creator nor any
 * thread. */
u32 flags_at_creation(struct whole *w, u32 facts, u32 call, u32 context)
{
    struct analysis *a = w->a;
    u32 out = 0;
    for (u32 i = 0, n = sets_count(&a->sets, facts); i < n; i++) {
        u32 fact = sets_item(&a->sets, facts, i), place = flag_of(a, fact), at = call;
        struct list_u32 cells = {0};
        for (u32 k = 0; k < path_cells(&a->ps, place)->n; k++)
            LIST_ADD(&cells, path_cells(&a->ps, place)->at[k]);
        bool changed = !cells.n || !map_get(&a->tested, cells.at[0]);
        for (u32 c = context; c != NONE && !changed; c = w->contexts.at[c].up) {
            changed = changed_after(a, at, &cells, place);
            at = w->contexts.at[c].call;
        }
        for (u32 k = 0; k < a->pt.calls.n && !changed; k++) {
            const struct call *c = &a->pt.calls.at[k];
            bool starts = c->known && (c->known->op == K_CREATE || c->known->op == K_CREATE_STATE);
            for (u32 t = 0; starts && t < c->targets.n; t++)
                changed |= changes_cells(a, a->changes[c->targets.at[t]], &cells);
        }
        if (!changed)
            out = sets_add(&a->sets, out, fact);
        store_free(cells.at);
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

/* Whether the function itself stores there after the instruction, and something else than 0. */
static bool set_after(struct analysis *a, u32 value, u32 place)
{
    const struct program *p = a->p;
    const struct function *f = &p->functions.at[p->values.at[value].function];
    u32 home = a->block_of[value];
    for (u32 b = f->block; b < f->block + f->nblocks; b++)
        for (u32 i = 0; i < p->blocks.at[b].ncode; i++) {
            u32 store = p->code.at[p->blocks.at[b].code + i];
            const struct value *v = &p->values.at[store];
            if (v->op != V_STORE || path_of(&a->ps, v->a) != place ||
                (p->values.at[v->b].op == V_CONST && value_number(&p->values.at[v->b]) == 0))
                continue;
            if ((b == home && i > a->place_of[value]) || graph_reaches(p, home, b, NONE))
                return true;
        }
    return false;
}

/* "if (!ready) { ...; ready = true; }": a function on the way to the deed has asked for the flag and sets it afterwards. */
bool flags_initialise(struct whole *w, u32 value, u32 context)
{
    struct analysis *a = w->a;
    for (u32 c = context; c != NONE; c = w->contexts.at[c].up) {
        u32 facts = each_time(a, w->contexts.at[c].function, value);
        for (u32 i = 0, n = sets_count(&a->sets, facts); i < n; i++) {
            u32 fact = sets_item(&a->sets, facts, i), place = flag_of(a, fact);
            if (!a->facts.at[fact].is_not && a->facts.at[fact].number == 0 && set_after(a, value, place))
                return true;
        }
        value = w->contexts.at[c].call;
    }
    return false;
}
