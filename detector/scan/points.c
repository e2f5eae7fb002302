/* The points-to solver: constraints, their solution, cycles of copies made one. Called by scan.c. Takes no locks; allocates
 * with malloc.
 *
 * Nodes stand for values and for cells. A copy from node to node may add an offset to what it copies. In each round cycles
 * of copies become one node, and new members are passed on, once, in topological order (wave propagation, Pereira and
 * Berlin 2009); what pointers load, store and call adds copies for the next round. */
#include "points.h"

#include <stdlib.h>

#include "cellset.h"
#include "points_internal.h"

/* Cells that one object may have before it is told apart no more; with a size that is not known, fewer. */
#define CELLS_PER_OBJECT 1024
#define CELLS_PER_UNSIZED 48
/* Pointers with more targets say nothing: they become "anything", but for the functions among them. What is reached through
 * them is known by its type only, and counts less. */
#define TOP_LIMIT 128

u32 solver_find(struct solver *s, u32 node)
{
    while (s->nodes.at[node].same != node) {
        u32 up = s->nodes.at[node].same;
        s->nodes.at[node].same = s->nodes.at[up].same;
        node = up;
    }
    return node;
}

u32 solver_new_node(struct solver *s)
{
    LIST_ADD(&s->nodes, (struct node){.same = s->nodes.n});
    return s->nodes.n - 1;
}

void solver_queue(struct solver *s, u32 node)
{
    if (s->nodes.at[node].queued)
        return;
    s->nodes.at[node].queued = true;
    s->work++;
}

u32 points_shift(struct points *pt, u32 cell, int32_t offset)
{
    struct cell c = pt->cells.at[cell];
    const struct object *o = &pt->objects.at[c.object];
    int64_t to = (int64_t)c.offset + offset;
    if (!offset || o->kind == OBJ_FUNCTION || cell == CELL_ANY)
        return cell;
    if (to < 0 || (o->size && to >= o->size) || to > 1 << 24)
        return NONE;
    return solver_cell(pt, c.object, (u32)to);
}

u32 solver_cell(struct points *pt, u32 object, u32 offset)
{
    struct object *o = &pt->objects.at[object];
    if (o->cells.n > (o->size ? CELLS_PER_OBJECT : CELLS_PER_UNSIZED))
        offset = 0;
    u32 *known = map_put(&pt->cell_index, (u64)object << 32 | offset);
    if (!*known) {
        u32 node = solver_new_node(pt->solver);
        *known = pt->cells.n + 1;
        LIST_ADD(&o->cells, pt->cells.n);
        LIST_ADD(&pt->cells, (struct cell){object, offset, node});
        if (o->kind == OBJ_FUNCTION)
            cellset_add(&pt->solver->functions, pt->cells.n - 1);
    }
    return *known - 1;
}

u32 solver_object(struct points *pt, enum object_kind kind, u32 of, u32 size)
{
    u32 *known = map_put(&pt->object_index, (u64)kind << 32 | of);
    if (!*known) {
        *known = pt->objects.n + 1;
        LIST_ADD(&pt->objects, (struct object){.kind = kind, .of = of, .size = size});
    }
    return *known - 1;
}

u32 points_cell_of_global(struct points *pt, u32 global)
{
    u32 object = solver_object(pt, OBJ_GLOBAL, global, pt->p->globals.at[global].size);
    return solver_cell(pt, object, 0);
}

u32 solver_node(struct points *pt, u32 value)
{
    struct solver *s = pt->solver;
    if (s->of_value[value])
        return solver_find(s, s->of_value[value] - 1);
    u32 node = solver_new_node(s);
    s->of_value[value] = node + 1;
    solver_seed(pt, value, node);
    return solver_find(s, node);
}

void solver_add(struct points *pt, u32 node, u32 cell)
{
    struct solver *s = pt->solver;
    node = solver_find(s, node);
    if (s->nodes.at[node].top && pt->objects.at[pt->cells.at[cell].object].kind != OBJ_FUNCTION)
        return;
    if (cellset_add(&s->nodes.at[node].all, cell))
        solver_queue(s, node);
}

/* Too many targets: all but functions become one. */
static void settle(struct points *pt, u32 node)
{
    struct solver *s = pt->solver;
    struct cellset *all = &s->nodes.at[node].all, kept = {0};
    if (s->nodes.at[node].top || all->n < 4 || cellset_count(all) <= TOP_LIMIT)
        return;
    cellset_common(&kept, all, &s->functions);
    if (cellset_count(all) - cellset_count(&kept) <= TOP_LIMIT) {
        cellset_free(&kept);
        return;
    }
    cellset_add(&kept, CELL_ANY);
    cellset_free(all);
    *all = kept;
    s->nodes.at[node].top = true;
}

static void pass_on(struct points *pt, const struct cellset *news, const struct copy *c)
{
    const u32 to = c->to;
    const struct step step = {c->offset, 0, c->type, c->within};
    struct solver *s = pt->solver;
    if (s->nodes.at[to].top) {
        struct cellset functions = {0};
        cellset_common(&functions, news, &s->functions);
        if (cellset_join(&s->nodes.at[to].all, &functions))
            solver_queue(s, to);
        cellset_free(&functions);
        return;
    }
    if (!c->offset) {
        if (cellset_join(&s->nodes.at[to].all, news))
            solver_queue(s, to);
        return;
    }
    CELLSET_EACH(news, cell)
    {
        u32 moved = points_step(pt, cell, &step);
        if (moved != NONE)
            solver_add(pt, to, moved);
    }
}

void solver_step(struct points *pt, u32 from, u32 to, const struct step *step)
{
    struct solver *s = pt->solver;
    from = solver_find(s, from);
    to = solver_find(s, to);
    struct copy c = {to, step->offset, step->type, step->within};
    if (from == to && !c.offset)
        return;
    u64 h = hash_combine(hash_combine(from, to), (u32)c.offset);
    u32 *known = map_put(&s->copies, (c.offset ? hash_combine(h, hash_combine(c.type, c.within)) : h) >> 1);
    if (*known)
        return;
    *known = 1;
    LIST_ADD(&s->nodes.at[from].copy, c);
    if (s->nodes.at[from].done.n) { /* what is not done yet goes with the rest */
        struct cellset news = {0};
        cellset_join(&news, &s->nodes.at[from].done);
        pass_on(pt, &news, &c);
        cellset_free(&news);
    }
}

void solver_copy(struct points *pt, u32 from, u32 to, int32_t offset)
{
    solver_step(pt, from, to, &(struct step){.offset = offset});
}

void solver_load(struct points *pt, u32 pointer, u32 to)
{
    struct solver *s = pt->solver;
    pointer = solver_find(s, pointer);
    LIST_ADD(&s->nodes.at[pointer].load, to);
    CELLSET_EACH(&s->nodes.at[pointer].done, cell) solver_copy(pt, pt->cells.at[cell].node, to, 0);
}

void solver_store(struct points *pt, u32 pointer, u32 from)
{
    struct solver *s = pt->solver;
    pointer = solver_find(s, pointer);
    LIST_ADD(&s->nodes.at[pointer].store, from);
    CELLSET_EACH(&s->nodes.at[pointer].done, cell)
    if (cell != CELL_ANY)
        solver_copy(pt, from, pt->cells.at[cell].node, 0);
}

static void visit(struct points *pt, u32 node)
{
    struct solver *s = pt->solver;
    struct cellset news = {0};
    s->nodes.at[node].queued = false;
    s->work--;
    settle(pt, node);
    cellset_minus(&news, &s->nodes.at[node].all, &s->nodes.at[node].done);
    if (!news.n) {
        cellset_free(&news);
        return;
    }
    cellset_join(&s->nodes.at[node].done, &news);
    for (u32 i = 0; i < s->nodes.at[node].copy.n; i++) {
        struct copy c = s->nodes.at[node].copy.at[i];
        c.to = solver_find(s, c.to);
        if (c.to != node || c.offset)
            pass_on(pt, &news, &c);
    }
    for (u32 i = 0; i < s->nodes.at[node].load.n; i++)
        CELLSET_EACH(&news, cell) solver_copy(pt, pt->cells.at[cell].node, s->nodes.at[node].load.at[i], 0);
    for (u32 i = 0; i < s->nodes.at[node].store.n; i++)
        CELLSET_EACH(&news, cell)
    if (cell != CELL_ANY)
        solver_copy(pt, s->nodes.at[node].store.at[i], pt->cells.at[cell].node, 0);
    for (u32 i = 0; i < s->nodes.at[node].call.n; i++)
        CELLSET_EACH(&news, cell) solver_bind_cell(pt, s->nodes.at[node].call.at[i], cell);
    cellset_free(&news);
}

/* memcpy: every cell of what is copied goes to the same place behind the target. True when there was a new one. */
static bool copy_memory(struct points *pt, const struct memory_copy *m)
{
    struct solver *s = pt->solver;
    u32 before = s->copies.n;
    const struct cellset *to = &s->nodes.at[solver_find(s, m->to)].all;
    const struct cellset *from = &s->nodes.at[solver_find(s, m->from)].all;
    struct cellset targets = {0}, sources = {0};
    cellset_join(&targets, to);
    cellset_join(&sources, from);
    CELLSET_EACH(&sources, source)
    {
        struct cell c = pt->cells.at[source];
        u32 n = pt->objects.at[c.object].cells.n;
        for (u32 i = 0; i < n; i++) {
            struct cell part = pt->cells.at[pt->objects.at[c.object].cells.at[i]];
            if (part.offset < c.offset || (m->size && part.offset - c.offset >= m->size) ||
                !s->nodes.at[solver_find(s, part.node)].all.n)
                continue;
            struct cellset *all = &targets;
            CELLSET_EACH(all, target)
            {
                u32 moved = points_shift(pt, target, (int32_t)(part.offset - c.offset));
                if (moved != NONE && moved != CELL_ANY)
                    solver_copy(pt, part.node, pt->cells.at[moved].node, 0);
            }
        }
    }
    cellset_free(&targets);
    cellset_free(&sources);
    return s->copies.n != before;
}

static void run(struct points *pt)
{
    struct solver *s = pt->solver;
    struct list_u32 order = {0};
    for (bool again = true; again;) {
        while (s->work) {
            solver_order(pt, &order);
            for (u32 i = order.n; i-- > 0;)
                if (s->nodes.at[order.at[i]].queued)
                    visit(pt, order.at[i]);
        }
        again = false;
        for (u32 i = 0; i < s->memory.n; i++)
            again |= copy_memory(pt, &s->memory.at[i]);
        again |= s->work != 0;
    }
    free(order.at);
}

void points_solve(struct points *pt, const struct program *p, const struct known **known)
{
    *pt = (struct points){.p = p, .known = known};
    pt->solver = store_alloc(sizeof *pt->solver);
    pt->solver->of_value = store_alloc((p->values.n + 1) * sizeof *pt->solver->of_value);
    solver_cell(pt, solver_object(pt, OBJ_UNTYPED, 0, 1), 0);
    solver_add(pt, pt->cells.at[CELL_ANY].node, CELL_ANY); /* anything points to anything */
    solver_constraints(pt);
    run(pt);
    if (fields_fall_back(pt))
        run(pt);
}

static void list_of(struct points *pt, u32 node, struct list_u32 *out)
{
    out->n = 0;
    CELLSET_EACH(&pt->solver->nodes.at[solver_find(pt->solver, node)].all, cell) LIST_ADD(out, cell);
}

void points_of_value(struct points *pt, u32 value, struct list_u32 *out)
{
    list_of(pt, solver_node(pt, value), out);
}

void points_of_cell(struct points *pt, u32 cell, struct list_u32 *out)
{
    list_of(pt, pt->cells.at[cell].node, out);
}

void points_of_cells(struct points *pt, const struct list_u32 *cells, struct list_u32 *out)
{
    struct cellset all = {0}, *set = &all;
    bool any = false;
    out->n = 0;
    for (u32 i = 0; i < cells->n && !any; i++) {
        const struct node *x = &pt->solver->nodes.at[solver_find(pt->solver, pt->cells.at[cells->at[i]].node)];
        any = x->top || (cellset_join(&all, &x->all) && cellset_count(&all) > TOP_LIMIT);
    }
    if (any)
        LIST_ADD(out, CELL_ANY);
    else
        CELLSET_EACH(set, cell) LIST_ADD(out, cell);
    cellset_free(&all);
}

struct call *points_call(const struct points *pt, u32 value)
{
    u32 *known = map_get(&pt->call_index, value);
    return known ? &pt->calls.at[*known - 1] : NULL;
}
