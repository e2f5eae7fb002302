/* Which variables decide whether a thread is joined. "if (started) pthread_join(...)": where ways meet before it, states that
 * differ in `started` stay apart, for the one may have threads to join and the other none. Called by flow.c. Takes no locks;
 * allocates with malloc. */
#include "flow.h"

#define MAX_BLOCKS 64

struct deciding {
    struct flow *f;
    u8 *ends; /* by block of the function: an end can be reached without passing the one looked at */
    struct list_u32 work;
    struct map seen;
};

static bool joins_here(const struct flow *f, u32 block)
{
    const struct program *p = f->a->p;
    for (u32 i = 0; i < p->blocks.at[block].ncode; i++) {
        u32 value = p->code.at[p->blocks.at[block].code + i];
        const struct call *c = p->values.at[value].op == V_CALL ? points_call(&f->a->pt, value) : NULL;
        if (c && c->known && (c->known->op == K_JOIN || c->known->op == K_JOIN_OBJECT))
            return true;
        for (u32 k = 0; c && !c->known && k < c->targets.n && c->targets.n <= 2; k++) {
            const struct summary *sum = &f->a->summary[c->targets.at[k]];
            for (u32 o = 0; o < sum->outcome.n; o++)
                if (sum->outcome.at[o].at.joined)
                    return true;
        }
    }
    return false;
}

/* Blocks from which the function can end without passing `block`. */
static void find_ends(struct deciding *d, u32 block)
{
    const struct program *p = d->f->a->p;
    const struct function *f = d->f->f;
    memset(d->ends, 0, f->nblocks);
    for (bool again = true; again;) {
        again = false;
        for (u32 i = f->nblocks; i-- > 0;) {
            const struct block *b = &p->blocks.at[f->block + i];
            bool ends = b->ncode && p->values.at[p->code.at[b->code + b->ncode - 1]].op == V_RET;
            for (u32 k = 0; k < b->nsucc && !ends; k++)
                ends = d->ends[p->succ.at[b->succ + k] - f->block];
            if (f->block + i == block || d->ends[i] || !ends)
                continue;
            d->ends[i] = again = true;
        }
    }
}

static void push(struct deciding *d, u32 block)
{
    u32 *known = map_put(&d->seen, block);
    if (*known || d->seen.n > MAX_BLOCKS)
        return;
    *known = 1;
    LIST_ADD(&d->work, block);
}

/* As the conditions of loops do. */
static bool counts(const struct value *v)
{
    return v->op == V_CMP && v->flags != CMP_EQ && v->flags != CMP_NE;
}

/* What a condition is made of: values, and the variables they were loaded from. */
static void add_condition(struct deciding *d, u32 value, int depth)
{
    struct analysis *a = d->f->a;
    const struct value *v = &a->p->values.at[value];
    u32 *known = depth > 8 || v->op == V_CONST ? NULL : map_put(&d->f->deciding, value);
    if (!known || *known)
        return;
    *known = 1;
    for (u32 i = 1; v->op == V_PHI && i < v->c; i += 2)
        add_condition(d, a->p->args.at[v->b + i], depth + 1);
    if (v->op == V_LOAD)
        *map_put(&d->f->deciding, fact_of_memory(a, path_of(&a->ps, value))) = 1;
    if (v->op == V_CMP || v->op == V_BIN)
        add_condition(d, v->a, depth + 1);
    if (v->op == V_CMP || v->op == V_BIN)
        add_condition(d, v->b, depth + 1);
}

static void add_branches(struct deciding *d, u32 block)
{
    const struct program *p = d->f->a->p;
    const struct function *f = d->f->f;
    find_ends(d, block);
    for (u32 i = 0; i < f->nblocks; i++) {
        const struct block *b = &p->blocks.at[f->block + i];
        if (b->nsucc != 2 || f->block + i == block)
            continue;
        bool first = d->ends[p->succ.at[b->succ] - f->block], second = d->ends[p->succ.at[b->succ + 1] - f->block];
        const struct value *last = &p->values.at[p->code.at[b->code + b->ncode - 1]];
        if (first == second || last->op != V_BRANCH || last->a == NONE)
            continue;
        if (counts(&p->values.at[last->a])) /* the head of a loop around: what decides about the loop does so, too */
            push(d, f->block + i);
        else
            add_condition(d, last->a, 0);
    }
}

void flow_find_deciding(struct flow *f)
{
    struct deciding d = {.f = f};
    for (u32 b = f->f->block; b < f->f->block + f->f->nblocks; b++)
        if (joins_here(f, b))
            push(&d, b);
    if (!d.work.n)
        return;
    d.ends = store_alloc(f->f->nblocks);
    for (u32 i = 0; i < d.work.n; i++)
        add_branches(&d, d.work.at[i]);
    store_free(d.ends);
    store_free(d.work.at);
    map_free(&d.seen);
}

/* Whether two sets of facts differ in something that decides. */
bool flow_decides(struct analysis *a, const struct map *deciding, u32 x, u32 y)
{
    for (u32 i = 0, n = sets_count(&a->sets, x); i < n; i++) {
        u32 one = sets_item(&a->sets, x, i);
        if (!map_get(deciding, a->facts.at[one].value) || sets_has(&a->sets, y, one))
            continue;
        if (fact_contradicts(a, sets_one(&a->sets, one), y))
            return true;
    }
    return false;
}
