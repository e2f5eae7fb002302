/* Which facts outlive a call: one about a global variable stays true when the function that is called changes that variable
 * nowhere. Called by flow.c and step.c. Takes no locks; allocates with malloc. */
#include "analysis.h"

/* ---- variables that are tested ---- */

static void tested(struct analysis *a, u32 value, struct list_u32 *cells)
{
    const struct value *v = value == NONE ? NULL : &a->p->values.at[value];
    if (!v || v->op != V_LOAD)
        return;
    points_of_value(&a->pt, v->a, cells);
    if (cells->n != 1 || cells->at[0] == CELL_ANY)
        return;
    if (a->pt.objects.at[a->pt.cells.at[cells->at[0]].object].kind == OBJ_GLOBAL)
        *map_put(&a->tested, cells->at[0]) = 1;
}

void keep_begin(struct analysis *a)
{
    const struct program *p = a->p;
    struct list_u32 cells = {0};
    for (u32 i = 0; i < p->values.n; i++) {
        const struct value *v = &p->values.at[i];
        if (v->op == V_CMP || v->op == V_BRANCH || v->op == V_SWITCH)
            tested(a, v->a, &cells);
        if (v->op == V_CMP)
            tested(a, v->b, &cells);
    }
    a->changes = store_alloc((p->functions.n + 1) * sizeof *a->changes);
    a->creates = store_alloc(p->functions.n + 1);
    a->calls_of = store_alloc((p->functions.n + 1) * sizeof *a->calls_of);
    for (u32 i = 0; i < a->pt.calls.n; i++)
        LIST_ADD(&a->calls_of[a->pt.calls.at[i].function], i);
    store_free(cells.at);
}

/* ---- what functions change ---- */

static u32 add_path(struct analysis *a, u32 changed, u32 pointer)
{
    const struct list_u32 *cells = path_cells(&a->ps, path_of(&a->ps, pointer));
    for (u32 i = 0; i < cells->n; i++)
        if (map_get(&a->tested, cells->at[i]))
            changed = sets_add(&a->sets, changed, cells->at[i]);
    return changed;
}

static u32 add_call(struct analysis *a, u32 changed, u32 value)
{
    const struct value *v = &a->p->values.at[value];
    const struct call *c = points_call(&a->pt, value);
    if (!c)
        return changed;
    bool writes = c->known && (c->known->op == K_WRITES || c->known->op == K_COPIES);
    bool starts = c->known && (c->known->op == K_CREATE || c->known->op == K_CREATE_STATE);
    a->creates[c->function] |= starts;
    if (writes && c->known->arg < v->c)
        changed = add_path(a, changed, a->p->args.at[v->b + c->known->arg]);
    for (u32 i = 0; i < c->targets.n && !starts; i++)
        a->creates[c->function] |= a->creates[c->targets.at[i]];
    for (u32 i = 0; i < c->targets.n && !starts; i++)
        changed = sets_union(&a->sets, changed, a->changes[c->targets.at[i]]);
    return changed;
}

static void add_calls(struct analysis *a, u32 function)
{
    u32 changed = a->changes[function];
    for (u32 i = 0; i < a->calls_of[function].n; i++)
        changed = add_call(a, changed, a->pt.calls.at[a->calls_of[function].at[i]].value);
    a->changes[function] = changed;
}

void keep_function(struct analysis *a, u32 function)
{
    const struct function *f = &a->p->functions.at[function];
    u32 changed = a->changes[function];
    for (u32 b = f->block; b < f->block + f->nblocks; b++)
        for (u32 i = 0; i < a->p->blocks.at[b].ncode; i++) {
            u32 value = a->p->code.at[a->p->blocks.at[b].code + i];
            const struct value *v = &a->p->values.at[value];
            if (v->op == V_STORE || v->op == V_RMW || v->op == V_COPY)
                changed = add_path(a, changed, v->a);
        }
    a->changes[function] = changed;
    add_calls(a, function);
}

/* Cycles of calls are gone through once more until nothing is added. */
void keep_settle(struct analysis *a)
{
    for (bool again = true; again;) {
        again = false;
        for (u32 i = 0; i < a->order.n; i++) {
            u32 before = a->changes[a->order.at[i]];
            add_calls(a, a->order.at[i]);
            again |= before != a->changes[a->order.at[i]];
        }
    }
}

bool keep_variable(struct analysis *a, u32 place)
{
    const struct path *q = path_at(&a->ps, place);
    return path_at(&a->ps, path_root_of(&a->ps, place))->kind == P_GLOBAL && !q->has_deref && !q->has_index;
}

void keep_call(struct analysis *a, struct state *s, u32 function)
{
    u32 set = s->facts, n = sets_count(&a->sets, set), changed = a->changes[function];
    for (u32 i = 0; i < n; i++) {
        u32 fact = sets_item(&a->sets, set, i), value = a->facts.at[fact].value;
        if (value < a->p->values.n)
            continue;
        u32 place = path_at(&a->ps, value - a->p->values.n)->base;
        bool kept = keep_variable(a, place);
        const struct list_u32 *cells = kept ? path_cells(&a->ps, place) : NULL;
        for (u32 k = 0; kept && k < cells->n; k++)
            kept = map_get(&a->tested, cells->at[k]) && !sets_has(&a->sets, changed, cells->at[k]);
        if (!kept)
            s->facts = sets_drop(&a->sets, s->facts, fact);
    }
}
