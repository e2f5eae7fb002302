/* What objects are like: reached by several threads, several in one, arrays. Called by scan.c after the solver. Takes no
 * locks; allocates with malloc. */
#include "cellset.h"
#include "points_internal.h"

static void reach(struct points *pt, struct list_u32 *work, u32 object)
{
    struct object *o = &pt->objects.at[object];
    if (o->escapes || o->kind == OBJ_FUNCTION)
        return;
    o->escapes = true;
    LIST_ADD(work, object);
}

static void reach_value(struct points *pt, struct list_u32 *work, u32 value)
{
    struct list_u32 cells = {0};
    points_of_value(pt, value, &cells);
    for (u32 i = 0; i < cells.n; i++)
        reach(pt, work, pt->cells.at[cells.at[i]].object);
    store_free(cells.at);
}

void points_escape(struct points *pt)
{
    struct list_u32 work = {0}, cells = {0};
    for (u32 i = 0; i < pt->objects.n; i++)
        if (pt->objects.at[i].kind == OBJ_GLOBAL)
            reach(pt, &work, i);
    for (u32 i = 0; i < pt->calls.n; i++) {
        const struct call *c = &pt->calls.at[i];
        const struct value *v = &pt->p->values.at[c->value];
        if (c->known && c->known->op == K_CREATE && c->known->third < v->c)
            reach_value(pt, &work, pt->p->args.at[v->b + c->known->third]);
    }
    while (work.n) {
        const struct object *o = &pt->objects.at[work.at[--work.n]];
        for (u32 i = 0; i < o->cells.n; i++) {
            points_of_cell(pt, o->cells.at[i], &cells);
            for (u32 k = 0; k < cells.n; k++)
                reach(pt, &work, pt->cells.at[cells.at[k]].object);
        }
    }
    store_free(work.at);
    store_free(cells.at);
}

static bool on_cycle(const struct program *p, u32 value)
{
    const struct function *f = &p->functions.at[p->values.at[value].function];
    for (u32 b = 0; b < f->nblocks; b++) {
        const struct block *block = &p->blocks.at[f->block + b];
        for (u32 i = 0; block->loop && i < block->ncode; i++)
            if (p->code.at[block->code + i] == value)
                return true;
    }
    return false;
}

void points_count(struct points *pt, const bool *repeated)
{
    const struct program *p = pt->p;
    struct list_u32 cells = {0};
    for (u32 i = 0; i < pt->objects.n; i++) {
        struct object *o = &pt->objects.at[i];
        if (o->kind == OBJ_UNTYPED)
            o->many = true;
        if (o->kind == OBJ_STACK || o->kind == OBJ_HEAP)
            o->many = repeated[p->values.at[o->of].function] || (o->kind == OBJ_HEAP && on_cycle(p, o->of));
    }
    for (u32 i = 0; i < p->values.n; i++) {
        const struct value *v = &p->values.at[i];
        if (v->op != V_INDEX && (v->op != V_FIELD || !p->steps.at[v->b].element))
            continue;
        points_of_value(pt, v->a, &cells);
        for (u32 k = 0; k < cells.n; k++)
            pt->objects.at[pt->cells.at[cells.at[k]].object].indexed = true;
    }
    store_free(cells.at);
}

/* Whether a type has an array around the offset. */
static bool array_around(const struct program *p, u32 type, u32 offset)
{
    for (int depth = 0; depth < 20; depth++) {
        const struct type *t = &p->types.at[type];
        u32 inner = 0;
        if (t->kind == T_ARRAY)
            return true;
        for (u32 i = 0; t->kind == T_STRUCT && i < t->nfields; i++) {
            const struct field *f = &p->fields.at[t->field + i];
            u32 size = p->types.at[f->type].size;
            if (offset >= f->offset && (offset < f->offset + size || !size)) {
                inner = f->type;
                offset -= f->offset;
                break;
            }
        }
        if (!inner)
            return false;
        type = inner;
    }
    return false;
}

bool points_in_array(const struct points *pt, u32 cell)
{
    struct cell c = pt->cells.at[cell];
    const struct object *o = &pt->objects.at[c.object];
    if (!o->indexed)
        return false;
    if (o->kind == OBJ_GLOBAL && pt->p->globals.at[o->of].type)
        return array_around(pt->p, pt->p->globals.at[o->of].type, c.offset);
    return true;
}

u32 points_cell_of_type(struct points *pt, u32 type, u32 offset)
{
    u32 object = solver_object(pt, OBJ_UNTYPED, type, pt->p->types.at[type].size);
    pt->objects.at[object].many = pt->objects.at[object].escapes = true;
    return solver_cell(pt, object, offset);
}
