/* Types of objects, so that a step into a structure does not lead into objects of another one: pointers that many kinds of
 * objects share (list items, void pointers) would mix them all. Called by the points-to solver and by path.c. Takes no locks;
 * allocates with malloc.
 *
 * A global or local variable has its declared type; new memory has that of the structure which it is first used as. A step
 * fits when the structure is there in the object, or when the object's type is how the structure begins (a larger structure
 * was allocated). Where either is not known, it fits. */
#include "points_internal.h"

#define MAX_DEPTH 12

/* Whether a structure stands at an offset of a type. */
static bool has_at(const struct program *p, u32 type, u32 offset, u32 what, int depth)
{
    const struct type *t = &p->types.at[type];
    if (type == what && offset == 0)
        return true;
    if (depth > MAX_DEPTH)
        return false;
    if (t->kind == T_ARRAY) {
        u32 size = p->types.at[t->element].size;
        return has_at(p, t->element, size ? offset % size : offset, what, depth + 1);
    }
    for (u32 i = 0; t->kind == T_STRUCT && i < t->nfields; i++) {
        const struct field *f = &p->fields.at[t->field + i];
        u32 size = p->types.at[f->type].size;
        if (offset >= f->offset && (offset < f->offset + size || (!size && offset == f->offset)) &&
            has_at(p, f->type, offset - f->offset, what, depth + 1))
            return true;
    }
    return false;
}

static bool is_known(const struct program *p, u32 type)
{
    const struct type *t = &p->types.at[type];
    while (type && t->kind == T_ARRAY) {
        type = t->element;
        t = &p->types.at[type];
    }
    return type && t->kind == T_STRUCT && t->nfields && t->size;
}

static u32 type_of(const struct points *pt, const struct object *o)
{
    switch (o->kind) {
    case OBJ_GLOBAL:
        return pt->p->globals.at[o->of].type;
    case OBJ_STACK:
        return pt->p->values.at[o->of].a;
    case OBJ_HEAP:
        return pt->solver->heap_type[o->of];
    default:
        return 0;
    }
}

static bool fits(struct points *pt, const struct object *o, int64_t start, u32 type)
{
    const struct program *p = pt->p;
    u32 own = type_of(pt, o);
    if (!is_known(p, own) || !is_known(p, type) || start < 0)
        return true;
    u32 *known = map_put(&pt->solver->fits, hash_combine(hash_combine(own, type), (u64)start) >> 1);
    if (!*known)
        *known = 1 + (has_at(p, own, (u32)start, type, 0) || (start == 0 && has_at(p, type, 0, own, 0)));
    return *known == 2;
}

u32 points_step(struct points *pt, u32 cell, const struct step *s)
{
    struct cell c = pt->cells.at[cell];
    const struct object *o = &pt->objects.at[c.object];
    if (s->type && o->kind != OBJ_FUNCTION && o->kind != OBJ_UNTYPED &&
        !fits(pt, o, (int64_t)c.offset + s->offset - s->within, s->type))
        return NONE;
    return points_shift(pt, cell, s->offset);
}

void points_types(struct points *pt)
{
    const struct program *p = pt->p;
    pt->solver->heap_type = store_alloc((p->values.n + 1) * sizeof *pt->solver->heap_type);
    for (u32 i = 0; i < p->values.n; i++) {
        const struct value *v = &p->values.at[i];
        const struct step *s = v->op == V_FIELD ? &p->steps.at[v->b] : NULL;
        if (!s || p->values.at[v->a].op != V_CALL || !s->type || s->offset != (int32_t)s->within)
            continue;
        u32 *type = &pt->solver->heap_type[v->a];
        if (!*type || has_at(p, s->type, 0, *type, 0)) /* the larger one */
            *type = s->type;
    }
}
