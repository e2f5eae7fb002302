/* Constraints of the points-to solver from the program's code. Called by points.c. Takes no locks; allocates with malloc. */
#include "points_internal.h"

/* Indirect calls take at most this many arguments into account. */
#define MAX_ARGS 64

static const struct value *value_at(const struct points *pt, u32 v)
{
    return &pt->p->values.at[v];
}

void solver_seed(struct points *pt, u32 value, u32 node)
{
    const struct value *v = value_at(pt, value);
    u32 object;
    switch (v->op) {
    case V_GLOBAL:
        solver_add(pt, node, points_cell_of_global(pt, v->a));
        break;
    case V_FUNCTION:
        object = solver_object(pt, OBJ_FUNCTION, v->a, 1);
        solver_add(pt, node, solver_cell(pt, object, 0));
        break;
    case V_ALLOCA:
        object = solver_object(pt, OBJ_STACK, value, v->b);
        solver_add(pt, node, solver_cell(pt, object, 0));
        break;
    case V_FIELD:
        solver_step(pt, solver_node(pt, v->a), node, &pt->p->steps.at[v->b]);
        break;
    case V_INDEX:
        solver_copy(pt, solver_node(pt, v->a), node, 0);
        break;
    case V_BIN:
        if (v->flags == BIN_ADD || v->flags == BIN_SUB || v->flags == BIN_AND || v->flags == BIN_OR) {
            const struct value *by = value_at(pt, v->b);
            int64_t offset = by->op == V_CONST && v->flags <= BIN_SUB ? value_number(by) : 0;
            offset = v->flags == BIN_SUB ? -offset : offset;
            if (offset > -(1 << 24) && offset < 1 << 24)
                solver_copy(pt, solver_node(pt, v->a), node, (int32_t)offset);
        }
        break;
    case V_EXTRACT:
        solver_copy(pt, solver_node(pt, v->a), node, 0);
        break;
    default:
        break;
    }
}

static bool has_body(const struct points *pt, u32 function)
{
    return (pt->p->functions.at[function].flags & FN_DEFINED) && !pt->known[function];
}

/* Each value that a function returns. */
#define RETURNS(pt, f, v)                                                                                              \
    for (u32 ret_b = 0; ret_b < (f)->nblocks; ret_b++)                                                                 \
        for (u32 v = return_of(pt, (f)->block + ret_b), ret_once = 1; ret_once && v != NONE; ret_once = 0)

static u32 return_of(const struct points *pt, u32 block)
{
    const struct block *b = &pt->p->blocks.at[block];
    if (!b->ncode)
        return NONE;
    const struct value *last = value_at(pt, pt->p->code.at[b->code + b->ncode - 1]);
    return last->op == V_RET ? last->a : NONE;
}

static void bind(struct points *pt, u32 number, u32 function)
{
    struct call *c = &pt->calls.at[number];
    const struct value *v = value_at(pt, c->value);
    const struct function *f = &pt->p->functions.at[function];
    const u32 *args = pt->p->args.at + v->b;
    for (u32 i = 0; i < c->targets.n; i++)
        if (c->targets.at[i] == function)
            return;
    LIST_ADD(&c->targets, function);
    if (c->known) { /* a start function or a callback */
        bool create = c->known->op == K_CREATE && c->known->third < v->c;
        if (create && f->nargs)
            solver_copy(pt, solver_node(pt, args[c->known->third]), solver_node(pt, f->value), 0);
        return;
    }
    for (u32 i = 0; i < v->c && i < f->nargs; i++)
        solver_copy(pt, solver_node(pt, args[i]), solver_node(pt, f->value + i), 0);
    if (!pt->allocates[function])
        RETURNS(pt, f, result) solver_copy(pt, solver_node(pt, result), solver_node(pt, v - pt->p->values.at), 0);
}

/* The shape of a call, as functions have it. */
static bool fits(const struct points *pt, const struct call *c, const struct function *f)
{
    const struct value *v = value_at(pt, c->value);
    if (c->known || (f->flags & FN_VARARG))
        return c->known || v->c >= f->nargs;
    return v->c == f->nargs && (!v->shape || v->shape == (u16)f->shape);
}

static void bind_known(struct points *pt, u32 number, const struct known *k);

void solver_bind_cell(struct points *pt, u32 call, u32 cell)
{
    const struct object *o = &pt->objects.at[pt->cells.at[cell].object];
    if (o->kind != OBJ_FUNCTION || !fits(pt, &pt->calls.at[call], &pt->p->functions.at[o->of]))
        return;
    if (has_body(pt, o->of))
        bind(pt, call, o->of);
    else if (!pt->calls.at[call].known && pt->known[o->of] && pt->known[o->of]->op == K_ALLOC)
        bind_known(pt, call, pt->known[o->of]);
}

void solver_call(struct points *pt, u32 number, u32 node)
{
    node = solver_find(pt->solver, node);
    LIST_ADD(&pt->solver->nodes.at[node].call, number);
    struct cellset done = {0};
    cellset_join(&done, &pt->solver->nodes.at[node].done);
    struct cellset *set = &done;
    CELLSET_EACH(set, cell) solver_bind_cell(pt, number, cell);
    cellset_free(&done);
}

static void call_through(struct points *pt, u32 number, u32 pointer)
{
    u32 field = fields_called(pt, pointer);
    solver_call(pt, number, field != NONE && !pt->calls.at[number].known ? field : solver_node(pt, pointer));
}

static void new_memory(struct points *pt, u32 value)
{
    u32 object = solver_object(pt, OBJ_HEAP, value, 0);
    solver_add(pt, solver_node(pt, value), solver_cell(pt, object, 0));
}

static void bind_known(struct points *pt, u32 number, const struct known *k)
{
    const struct value *v = value_at(pt, pt->calls.at[number].value);
    u32 value = pt->calls.at[number].value;
    const u32 *args = pt->p->args.at + v->b;
    if (k->op == K_ALLOC || k->op == K_REALLOC)
        new_memory(pt, value);
    if ((k->op == K_REALLOC || k->op == K_SAME || k->op == K_COPIES) && k->arg < v->c)
        solver_copy(pt, solver_node(pt, args[k->arg]), solver_node(pt, value), 0);
    if (k->op == K_COPIES && k->other < v->c) {
        u32 to = solver_node(pt, args[k->arg]), from = solver_node(pt, args[k->other]);
        LIST_ADD(&pt->solver->memory, (struct memory_copy){to, from, 0});
    }
    if ((k->op == K_CREATE || k->op == K_ONCE || k->op == K_CALLBACK || k->op == K_SIGNAL_HANDLER) && k->other < v->c)
        call_through(pt, number, args[k->other]);
}

/* What an unknown function is given to call, it calls. */
static void call_back(struct points *pt, u32 number)
{
    static const struct known callback = {.name = "", .op = K_CALLBACK, .other = 255};
    const struct value *v = value_at(pt, pt->calls.at[number].value);
    for (u32 i = 0; i < v->c; i++) {
        const struct value *arg = value_at(pt, pt->p->args.at[v->b + i]);
        if (arg->op != V_FUNCTION || !has_body(pt, arg->a))
            continue;
        pt->calls.at[number].known = &callback;
        bind(pt, number, arg->a);
    }
}

static void constrain_call(struct points *pt, u32 value)
{
    const struct value *v = value_at(pt, value), *callee = value_at(pt, v->a);
    u32 number = pt->calls.n;
    struct call c = {.value = value, .function = v->function};
    if (callee->op == V_FUNCTION)
        c.known = pt->known[callee->a];
    LIST_ADD(&pt->calls, c);
    *map_put(&pt->call_index, value) = number + 1;
    if (c.known)
        bind_known(pt, number, c.known);
    else if (callee->op != V_FUNCTION)
        call_through(pt, number, v->a);
    else if (has_body(pt, callee->a))
        bind(pt, number, callee->a);
    else
        call_back(pt, number);
    if (callee->op == V_FUNCTION && pt->allocates[callee->a])
        new_memory(pt, value);
}

static void constrain_copy(struct points *pt, const struct value *v)
{
    const struct value *size = v->c == NONE ? NULL : value_at(pt, v->c);
    if (v->b == NONE)
        return;
    struct memory_copy m = {solver_node(pt, v->a), solver_node(pt, v->b), 0};
    if (size && size->op == V_CONST && value_number(size) > 0 && value_number(size) < UINT32_MAX)
        m.size = (u32)value_number(size);
    LIST_ADD(&pt->solver->memory, m);
}

static void constrain(struct points *pt, u32 value)
{
    const struct value *v = value_at(pt, value);
    switch (v->op) {
    case V_PHI:
        for (u32 i = 1; i < v->c; i += 2)
            solver_copy(pt, solver_node(pt, pt->p->args.at[v->b + i]), solver_node(pt, value), 0);
        break;
    case V_SELECT:
        solver_copy(pt, solver_node(pt, v->b), solver_node(pt, value), 0);
        solver_copy(pt, solver_node(pt, v->c), solver_node(pt, value), 0);
        break;
    case V_LOAD:
        if (v->flags & F_POINTER)
            solver_load(pt, solver_node(pt, v->a), solver_node(pt, value));
        break;
    case V_STORE:
    case V_RMW:
        if (v->flags & F_POINTER) {
            solver_store(pt, solver_node(pt, v->a), solver_node(pt, v->b));
            fields_store(pt, v->a, v->b);
            if (v->op == V_RMW)
                solver_load(pt, solver_node(pt, v->a), solver_node(pt, value));
        }
        break;
    case V_CALL:
        constrain_call(pt, value);
        break;
    case V_COPY:
        constrain_copy(pt, v);
        break;
    default:
        break;
    }
}

/* ---- functions that return new memory each time ---- */

static int fresh(const struct points *pt, u32 value, int depth)
{
    const struct value *v = value_at(pt, value), *callee;
    int any = 0;
    switch (v->op) {
    case V_CONST:
        return value_number(v) == 0 ? 1 : 0;
    case V_FIELD:
    case V_INDEX:
        return fresh(pt, v->a, depth) == 2 ? 2 : 0;
    case V_CALL:
        callee = value_at(pt, v->a);
        if (callee->op != V_FUNCTION)
            return 0;
        return pt->allocates[callee->a] || (pt->known[callee->a] && pt->known[callee->a]->op == K_ALLOC) ? 2 : 0;
    case V_PHI:
        for (u32 i = 1; i < v->c && depth < 4; i += 2) {
            int one = fresh(pt, pt->p->args.at[v->b + i], depth + 1);
            if (!one)
                return 0;
            any = one > any ? one : any;
        }
        return depth < 4 ? any : 0;
    default:
        return 0;
    }
}

/* Whether a call hands new memory on to a function of the program. */
static bool hands_on(const struct points *pt, const struct value *v)
{
    const struct value *callee = value_at(pt, v->a);
    if (callee->op == V_FUNCTION && !has_body(pt, callee->a))
        return false;
    for (u32 i = 0; i < v->c; i++)
        if (fresh(pt, pt->p->args.at[v->b + i], 0) == 2)
            return true;
    return false;
}

/* Whether the function keeps pointers in memory, or may let others do so: then its results must not be told apart by their
 * caller. */
static bool keeps_pointers(const struct points *pt, const struct function *f)
{
    for (u32 i = 0; i < f->nvalues; i++) {
        const struct value *v = value_at(pt, f->value + i);
        bool null = v->op == V_STORE && value_at(pt, v->b)->op == V_CONST;
        if ((v->op == V_STORE || v->op == V_RMW) && (v->flags & F_POINTER) && !null)
            return true;
        if ((v->op == V_COPY && v->b != NONE) || (v->op == V_CALL && hands_on(pt, v)))
            return true;
    }
    return false;
}

static bool allocates(const struct points *pt, const struct function *f)
{
    int any = 0;
    if (!(f->flags & FN_POINTER_RESULT) || keeps_pointers(pt, f))
        return false;
    RETURNS(pt, f, v)
    {
        int one = fresh(pt, v, 0);
        if (!one)
            return false;
        any = one > any ? one : any;
    }
    return any == 2;
}

static void find_allocators(struct points *pt)
{
    const struct program *p = pt->p;
    pt->allocates = store_alloc(p->functions.n + 1);
    for (int round = 0, found = 1; found && round < 6; round++) {
        found = 0;
        for (u32 i = 0; i < p->functions.n; i++)
            if (!pt->allocates[i] && has_body(pt, i) && allocates(pt, &p->functions.at[i])) {
                pt->allocates[i] = true;
                found = 1;
            }
    }
}

void solver_constraints(struct points *pt)
{
    const struct program *p = pt->p;
    find_allocators(pt);
    points_types(pt);
    fields_find(pt);
    for (u32 g = 0; g < p->globals.n; g++) {
        points_cell_of_global(pt, g); /* those that no pointer reaches, too */
        for (u32 i = 0; i < p->globals.at[g].ninit; i++) {
            const struct init *init = &p->inits.at[p->globals.at[g].init + i];
            fields_init(pt, &p->globals.at[g], init);
            u32 object = solver_object(pt, OBJ_GLOBAL, g, p->globals.at[g].size), target;
            u32 cell = solver_cell(pt, object, init->offset);
            if (init->function != NONE)
                target = solver_cell(pt, solver_object(pt, OBJ_FUNCTION, init->function, 1), 0);
            else
                target = points_shift(pt, points_cell_of_global(pt, init->global), (int32_t)init->target);
            if (target != NONE)
                solver_add(pt, pt->cells.at[cell].node, target);
        }
    }
    for (u32 i = 0; i < p->functions.n; i++) {
        const struct function *f = &p->functions.at[i];
        if (!(f->flags & FN_DEFINED))
            continue;
        for (u32 b = 0; b < f->nblocks; b++) {
            const struct block *block = &p->blocks.at[f->block + b];
            for (u32 k = 0; k < block->ncode; k++)
                constrain(pt, p->code.at[block->code + k]);
        }
    }
}
