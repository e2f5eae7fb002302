/* Calls through a member of a structure: `job->run(job)`. What such a call reaches is what the program stores in that member of
 * that structure, anywhere. That is far less than what the pointer to the structure may reach where lists of void pointers mix
 * all objects (after Lu and Hu's multi-layer types, 2019). A member that nothing is stored in by name is called through
 * points-to like any pointer. Called by the points-to solver. Takes no locks; allocates with malloc. */
#include "points_internal.h"

static const struct step *member_of(const struct points *pt, u32 pointer)
{
    const struct value *v = &pt->p->values.at[pointer];
    const struct step *s = v->op == V_FIELD ? &pt->p->steps.at[v->b] : NULL;
    return s && s->type ? s : NULL;
}

static u64 key_of(const struct step *s)
{
    return (u64)s->type << 32 | s->within;
}

void fields_find(struct points *pt)
{
    const struct program *p = pt->p;
    for (u32 i = 0; i < p->values.n; i++) {
        const struct value *v = &p->values.at[i], *callee = v->op == V_CALL ? &p->values.at[v->a] : NULL;
        const struct step *s = callee && callee->op == V_LOAD ? member_of(pt, callee->a) : NULL;
        u32 *known = s ? map_put(&pt->solver->fields, key_of(s)) : NULL;
        if (known && !*known)
            *known = solver_new_node(pt->solver) + 1;
    }
}

void fields_store(struct points *pt, u32 pointer, u32 value)
{
    const struct step *s = member_of(pt, pointer);
    u32 *node = s ? map_get(&pt->solver->fields, key_of(s)) : NULL;
    if (!node)
        return;
    u32 from = fields_called(pt, value); /* copied from a member of another structure */
    solver_copy(pt, from != NONE ? from : solver_node(pt, value), *node - 1, 0);
}

/* The innermost structure around an offset of a type. */
static bool innermost(const struct program *p, u32 type, u32 offset, struct step *out)
{
    *out = (struct step){0};
    for (int depth = 0; depth < 20; depth++) {
        const struct type *t = &p->types.at[type];
        u32 inner = 0;
        if (t->kind == T_ARRAY) {
            type = t->element;
            continue;
        }
        if (t->kind != T_STRUCT || !t->nfields)
            break;
        out->type = type;
        out->within = offset;
        for (u32 i = 0; i < t->nfields; i++) {
            const struct field *f = &p->fields.at[t->field + i];
            if (offset >= f->offset && offset < f->offset + p->types.at[f->type].size) {
                inner = f->type;
                offset -= f->offset;
                break;
            }
        }
        if (!inner)
            break;
        type = inner;
    }
    return out->type != 0;
}

void fields_init(struct points *pt, const struct global *g, const struct init *init)
{
    struct step s;
    if (init->function == NONE || !g->type || !innermost(pt->p, g->type, init->offset, &s))
        return;
    u32 *node = map_get(&pt->solver->fields, key_of(&s));
    if (node)
        solver_add(pt, *node - 1, solver_cell(pt, solver_object(pt, OBJ_FUNCTION, init->function, 1), 0));
}

u32 fields_called(struct points *pt, u32 pointer)
{
    const struct value *v = &pt->p->values.at[pointer];
    const struct step *s = v->op == V_LOAD ? member_of(pt, v->a) : NULL;
    u32 *node = s ? map_get(&pt->solver->fields, key_of(s)) : NULL;
    return node ? *node - 1 : NONE;
}

bool fields_fall_back(struct points *pt)
{
    bool any = false;
    for (u32 i = 0; i < pt->calls.n; i++) {
        struct call *c = &pt->calls.at[i];
        u32 callee = pt->p->values.at[c->value].a;
        if (c->known || c->targets.n || fields_called(pt, callee) == NONE)
            continue;
        u32 node = solver_node(pt, callee);
        c->unresolved = pt->solver->nodes.at[node].top; /* anything is as good as nothing */
        if (c->unresolved)
            continue;
        solver_call(pt, i, node);
        any = true;
    }
    return any;
}
