/* The steps of an analysis, one after the other. Called by the command. Takes no locks; allocates with malloc. */
#include "scan.h"

#include <time.h>

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static void find_places(struct analysis *a)
{
    const struct program *p = a->p;
    a->block_of = store_alloc((p->values.n + 1) * sizeof *a->block_of);
    a->place_of = store_alloc((p->values.n + 1) * sizeof *a->place_of);
    for (u32 b = 0; b < p->blocks.n; b++)
        for (u32 i = 0; i < p->blocks.at[b].ncode; i++) {
            u32 value = p->code.at[p->blocks.at[b].code + i];
            a->block_of[value] = b;
            a->place_of[value] = i;
        }
}

static bool argument_is(const struct program *p, const struct call *c, u32 i, int64_t number)
{
    const struct value *v = &p->values.at[c->value];
    const struct value *arg = i < v->c ? &p->values.at[p->args.at[v->b + i]] : NULL;
    return arg && arg->op == V_CONST && value_number(arg) == number;
}

static void mark(struct analysis *a, struct map *out, const struct call *c, u32 i)
{
    const struct value *v = &a->p->values.at[c->value];
    struct list_u32 cells = {0};
    if (i >= v->c)
        return;
    points_of_value(&a->pt, a->p->args.at[v->b + i], &cells);
    for (u32 k = 0; k < cells.n; k++)
        *map_put(out, cells.at[k]) = 1;
    store_free(cells.at);
}

/* Whether the attributes that a mutex is initialised with are those of a recursive one. */
static bool shares_attributes(struct analysis *a, const struct call *c, const struct map *attributes)
{
    const struct value *v = &a->p->values.at[c->value];
    struct list_u32 cells = {0};
    bool found = false;
    if (c->known->other >= v->c)
        return false;
    points_of_value(&a->pt, a->p->args.at[v->b + c->known->other], &cells);
    for (u32 k = 0; k < cells.n; k++)
        found |= map_get(attributes, cells.at[k]) != NULL;
    store_free(cells.at);
    return found;
}

static void find_lock_kinds(struct analysis *a)
{
    enum { RECURSIVE_NP = 1, MTX_RECURSIVE = 1 };
    struct map attributes = {0};
    for (u32 i = 0; i < a->pt.calls.n; i++) {
        const struct call *c = &a->pt.calls.at[i];
        if (c->known && c->known->op == K_RECURSIVE && argument_is(a->p, c, c->known->other, RECURSIVE_NP))
            mark(a, &attributes, c, c->known->arg);
        if (c->known && c->known->op == K_SEM_INIT && argument_is(a->p, c, c->known->other, 1))
            mark(a, &a->binary, c, c->known->arg);
        if (c->known && c->known->op == K_INTENDED)
            mark(a, &a->intended, c, c->known->arg);
    }
    for (u32 i = 0; i < a->pt.calls.n; i++) {
        const struct call *c = &a->pt.calls.at[i];
        if (c->known && c->known->op == K_INIT && shares_attributes(a, c, &attributes))
            mark(a, &a->recursive, c, c->known->arg);
    }
    for (u32 g = 0; g < a->p->globals.n; g++)
        if (a->p->globals.at[g].flags & GL_RECURSIVE)
            *map_put(&a->recursive, points_cell_of_global(&a->pt, g)) = 1;
    map_free(&attributes);
}

void scan_run(struct scan *s)
{
    struct analysis *a = &s->analysis;
    double start = now();
    *a = (struct analysis){.p = &s->program};
    graph_cycles(&s->program);
    a->known = known_table(&s->program);
    points_solve(&a->pt, &s->program, a->known);
    s->seconds[0] = now() - start;
    find_places(a);
    graph_order(a);
    points_escape(&a->pt);
    points_count(&a->pt, a->repeated);
    find_lock_kinds(a);
    spin_find(a);
    paths_begin(&a->ps, &a->pt);
    keep_begin(a);
    s->seconds[1] = now() - start;
    a->summary = store_alloc((s->program.functions.n + 1) * sizeof *a->summary);
    for (u32 i = 0; i < a->order.n; i++)
        flow_function(a, a->order.at[i]);
    keep_settle(a);
    s->seconds[2] = now() - start;
    whole_run(&s->whole, a);
    s->seconds[3] = now() - start;
    s->findings.w = &s->whole;
    order_rule(&s->findings);
    misuse_rule(&s->findings);
    s->seconds[4] = now() - start;
    race_rule(&s->findings);
    atomicity_rule(&s->findings);
    s->seconds[5] = now() - start;
}
