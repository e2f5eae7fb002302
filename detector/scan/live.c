/* Which values are still read after a block's start: facts about others say nothing any more, and would only keep out those
 * that do. Called by flow.c. Takes no locks; allocates with malloc. */
#include "flow.h"

#define MAX_OPERANDS 12

struct liveness {
    struct flow *f;
    struct list_u32 *before; /* by block of the function */
    struct list_u32 work;
};

static u64 key(u32 value, u32 block)
{
    return (u64)block << 32 | value;
}

static bool stands_in_code(const struct value *v)
{
    return v->op >= V_PHI;
}

/* Blocks in which what the value is made of is computed; it is not there before any of these. */
static u32 homes_of(const struct flow *f, u32 value, u32 *out, u32 n, int depth)
{
    const struct value *v = &f->a->p->values.at[value];
    if (stands_in_code(v) || v->op == V_SELECT) {
        if (n < MAX_OPERANDS)
            out[n++] = f->a->block_of[value];
        return n;
    }
    if (depth < 6 && (v->op == V_CMP || v->op == V_BIN || v->op == V_EXTRACT))
        n = homes_of(f, v->a, out, n, depth + 1);
    if (depth < 6 && (v->op == V_CMP || v->op == V_BIN))
        n = homes_of(f, v->b, out, n, depth + 1);
    return n;
}

/* It is read in the block, before anything there makes it anew. */
static void read_at(struct liveness *l, u32 value, u32 block)
{
    const struct flow *f = l->f;
    u32 home[MAX_OPERANDS], n = homes_of(f, value, home, 0, 0);
    l->work.n = 0;
    LIST_ADD(&l->work, block);
    while (n && l->work.n) {
        u32 b = l->work.at[--l->work.n], *known;
        bool made = false;
        for (u32 i = 0; i < n; i++)
            made |= home[i] == b;
        if (made || *(known = map_put(&l->f->live, key(value, b))))
            continue;
        *known = 1;
        for (u32 i = 0; i < l->before[b - f->f->block].n; i++)
            LIST_ADD(&l->work, l->before[b - f->f->block].at[i]);
    }
}

/* The value and what it is computed from. */
static void read_all(struct liveness *l, u32 value, u32 block, int depth)
{
    const struct value *v = value == NONE ? NULL : &l->f->a->p->values.at[value];
    if (!v || depth > 6 || v->op == V_CONST || v->op == V_ARG || v->op == V_GLOBAL || v->op == V_FUNCTION)
        return;
    if (v->op != V_FIELD && v->op != V_INDEX)
        read_at(l, value, block);
    if (stands_in_code(v) || v->op == V_SELECT || v->op == V_ALLOCA)
        return;
    read_all(l, v->a, block, depth + 1);
    if (v->op == V_CMP || v->op == V_BIN || v->op == V_INDEX)
        read_all(l, v->b, block, depth + 1);
}

static void read_by(struct liveness *l, u32 value, u32 block)
{
    const struct program *p = l->f->a->p;
    const struct value *v = &p->values.at[value];
    if (v->op == V_PHI) { /* read at the end of the block before */
        for (u32 i = 0; i < v->c; i += 2)
            read_all(l, p->args.at[v->b + i + 1], p->args.at[v->b + i], 0);
        return;
    }
    for (u32 i = 0; v->op == V_CALL && i < v->c; i++)
        read_all(l, p->args.at[v->b + i], block, 0);
    if (v->op == V_STORE || v->op == V_RMW || v->op == V_SELECT || v->op == V_COPY)
        read_all(l, v->b, block, 0);
    if (v->op == V_SELECT)
        read_all(l, v->c, block, 0);
    if (v->op != V_ALLOCA && v->op != V_STOP && v->op != V_UNKNOWN)
        read_all(l, v->a, block, 0);
}

void flow_find_live(struct flow *f)
{
    const struct program *p = f->a->p;
    struct liveness l = {.f = f, .before = store_alloc(f->f->nblocks * sizeof *l.before)};
    for (u32 b = f->f->block; b < f->f->block + f->f->nblocks; b++)
        for (u32 i = 0; i < p->blocks.at[b].nsucc; i++)
            LIST_ADD(&l.before[p->succ.at[p->blocks.at[b].succ + i] - f->f->block], b);
    for (u32 b = f->f->block; b < f->f->block + f->f->nblocks; b++)
        for (u32 i = 0; i < p->blocks.at[b].ncode; i++)
            read_by(&l, p->code.at[p->blocks.at[b].code + i], b);
    for (u32 i = 0; i < f->f->nblocks; i++)
        store_free(l.before[i].at);
    store_free(l.before);
    store_free(l.work.at);
}

/* Made of parameters, and of what has no value at all: it is computed nowhere, so it is there everywhere. */
static bool has_no_home(const struct flow *f, u32 value)
{
    u32 home[MAX_OPERANDS];
    return homes_of(f, value, home, 0, 0) == 0;
}

/* Which of two is the less: the order of locks may rest on it long after. */
static bool is_order(const struct value *v)
{
    return v->op == V_CMP && v->flags != CMP_EQ && v->flags != CMP_NE && v->flags != CMP_OTHER;
}

void flow_forget_dead(struct flow *f, struct state *s, u32 to)
{
    struct analysis *a = f->a;
    u32 set = s->facts, n = sets_count(&a->sets, set), kept[64], count = 0;
    for (u32 i = 0; i < n && i < ARRAY_LEN(kept); i++) {
        u32 fact = sets_item(&a->sets, set, i), value = a->facts.at[fact].value;
        const struct value *v = value < a->p->values.n ? &a->p->values.at[value] : NULL;
        bool here = v && stands_in_code(v) && a->block_of[value] == to;
        if (!v || here || is_order(v) || has_no_home(f, value) || map_get(&f->live, key(value, to)))
            kept[count++] = fact;
    }
    if (count != n)
        s->facts = sets_make(&a->sets, kept, count);
}
