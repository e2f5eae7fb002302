/* Memory that only its own thread knows: allocated, or handed over by a caller who says so, and not yet stored where
 * others look. Called by flow.c and context.c. Takes no locks; allocates with malloc. */
#include <stdlib.h>

#include "analysis.h"

#define MAX_DEPTH 4

/* Values of one function that are the memory's address, or reach into it. */
struct spread {
    struct analysis *a;
    const struct function *f;
    u8 *is;                    /* by value of the function: 1 an address of it, 2 a local variable that holds one */
    struct list_u32 published; /* instructions */
    int depth;
};

static void publishes(struct analysis *a, u32 base, struct list_u32 *out, int depth);

static bool is(const struct spread *s, u32 value)
{
    return value != NONE && value >= s->f->value && value - s->f->value < s->f->nvalues && s->is[value - s->f->value];
}

/* The local variable that an address is of, when no other thread can reach that. */
static u32 local_variable(const struct spread *s, u32 pointer)
{
    const struct value *v = &s->a->p->values.at[pointer];
    while (v->op == V_FIELD || v->op == V_INDEX) {
        pointer = v->a;
        v = &s->a->p->values.at[pointer];
    }
    if (v->op != V_ALLOCA)
        return NONE;
    u32 *object = map_get(&s->a->pt.object_index, (u64)OBJ_STACK << 32 | pointer);
    return object && s->a->pt.objects.at[*object - 1].escapes ? NONE : pointer;
}

static bool callee_publishes(struct spread *s, u32 function, u32 arg)
{
    struct list_u32 there = {0};
    const struct function *f = &s->a->p->functions.at[function];
    if (arg >= f->nargs)
        return false;
    if (s->depth >= MAX_DEPTH)
        return true;
    u64 key = (u64)(f->value + arg) << 32 | UINT32_MAX;
    u32 *known = map_get(&s->a->fresh, key);
    if (known)
        return *known == 2;
    publishes(s->a, f->value + arg, &there, s->depth + 1);
    *map_put(&s->a->fresh, key) = there.n ? 2 : 1;
    free(there.at);
    return there.n != 0;
}

static bool call_publishes(struct spread *s, u32 value)
{
    const struct value *v = &s->a->p->values.at[value];
    const struct call *c = points_call(&s->a->pt, value);
    for (u32 i = 0; c && i < v->c; i++) {
        if (!is(s, s->a->p->args.at[v->b + i]))
            continue;
        if (c->known && c->known->op == K_CREATE && i == c->known->third)
            return true;
        for (u32 k = 0; k < c->targets.n && !c->known; k++)
            if (callee_publishes(s, c->targets.at[k], i))
                return true;
    }
    return false;
}

/* Adds what one value says; whether something new became known. */
static bool look(struct spread *s, u32 value)
{
    const struct value *v = &s->a->p->values.at[value];
    u8 *mine = &s->is[value - s->f->value], before = *mine;
    u32 variable;
    switch (v->op) {
    case V_FIELD:
    case V_INDEX:
    case V_BIN:
    case V_EXTRACT:
        *mine |= is(s, v->a) && s->is[v->a - s->f->value] == 1;
        break;
    case V_SELECT:
        *mine |= is(s, v->b) || is(s, v->c);
        break;
    case V_PHI:
        for (u32 i = 1; i < v->c; i += 2)
            *mine |= is(s, s->a->p->args.at[v->b + i]);
        break;
    case V_LOAD:
        variable = v->flags & F_POINTER ? local_variable(s, v->a) : NONE;
        *mine |= variable != NONE && s->is[variable - s->f->value] == 2;
        break;
    case V_STORE:
        variable = is(s, v->b) ? local_variable(s, v->a) : NONE;
        if (variable == NONE || s->is[variable - s->f->value])
            return false;
        s->is[variable - s->f->value] = 2;
        return true;
    default:
        break;
    }
    return *mine != before;
}

static bool publishes_here(struct spread *s, u32 value)
{
    const struct value *v = &s->a->p->values.at[value];
    if (v->op == V_STORE || v->op == V_RMW)
        return is(s, v->b) && !is(s, v->a) && local_variable(s, v->a) == NONE;
    return v->op == V_CALL && call_publishes(s, value);
}

static void publishes(struct analysis *a, u32 base, struct list_u32 *out, int depth)
{
    struct spread s = {.a = a, .depth = depth};
    const struct program *p = a->p;
    s.f = &p->functions.at[p->values.at[base].function];
    s.is = store_alloc(s.f->nvalues + 1);
    s.is[base - s.f->value] = 1;
    for (bool again = true; again;) {
        again = false;
        for (u32 i = 0; i < s.f->nvalues; i++)
            again |= look(&s, s.f->value + i);
    }
    for (u32 b = 0; b < s.f->nblocks; b++) {
        const struct block *block = &p->blocks.at[s.f->block + b];
        for (u32 i = 0; i < block->ncode; i++)
            if (publishes_here(&s, p->code.at[block->code + i]))
                LIST_ADD(out, p->code.at[block->code + i]);
    }
    free(s.is);
}

static bool may_precede(struct analysis *a, u32 base, u32 first, u32 then)
{
    u32 from = a->block_of[first], to = a->block_of[then];
    if (from == to && a->place_of[first] < a->place_of[then])
        return true;
    u32 op = a->p->values.at[base].op;
    u32 made = op == V_ARG || op == V_ALLOCA ? NONE : a->block_of[base];
    if (made == from && made == to)
        return false;
    return graph_reaches(a->p, from, to, made);
}

bool fresh_at(struct analysis *a, u32 base, u32 instruction)
{
    u64 key = (u64)base << 32 | instruction;
    u32 *known = map_get(&a->fresh, key);
    if (known)
        return *known == 1;
    bool fresh = a->p->values.at[base].function == a->p->values.at[instruction].function;
    if (fresh) {
        u64 list = (u64)base << 32 | (UINT32_MAX - 1);
        u32 *at = map_get(&a->fresh, list);
        if (!at) {
            struct list_u32 *found = store_alloc(sizeof(struct list_u32));
            publishes(a, base, found, 0);
            LIST_ADD(&a->published, found);
            at = map_put(&a->fresh, list);
            *at = a->published.n;
        }
        const struct list_u32 *points = a->published.at[*at - 1];
        for (u32 i = 0; i < points->n && fresh; i++)
            fresh = points->at[i] == instruction || !may_precede(a, base, points->at[i], instruction);
    }
    *map_put(&a->fresh, key) = fresh ? 1 : 2;
    return fresh;
}
