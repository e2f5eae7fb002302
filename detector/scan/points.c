/* The points-to solver: constraints, their solution, cycles of copies made one. Called by scan.c. Takes no locks; allocates
 * with malloc.
 *
 * Nodes stand for values and for cells. A copy from node to node may add an offset to what it copies. New members are
 * passed on once (difference propagation). When two ends of a copy have equal sets, a cycle is looked for, once per copy
 * (lazy cycle detection, Hardekopf and Lin 2007), and its nodes become one. */
#include "points.h"

#include <stdlib.h>

#include "cellset.h"
#include "points_internal.h"

/* Cells that one object may have before it is told apart no more. */
#define CELLS_PER_OBJECT 1024

u32 solver_find(struct solver *s, u32 node)
{
    while (s->nodes.at[node].same != node) {
        u32 up = s->nodes.at[node].same;
        s->nodes.at[node].same = s->nodes.at[up].same;
        node = up;
    }
    return node;
}

static u32 new_node(struct solver *s)
{
    LIST_ADD(&s->nodes, (struct node){.same = s->nodes.n});
    return s->nodes.n - 1;
}

static void queue(struct solver *s, u32 node)
{
    if (s->nodes.at[node].queued)
        return;
    s->nodes.at[node].queued = true;
    LIST_ADD(&s->work, node);
}

u32 points_shift(struct points *pt, u32 cell, int32_t offset)
{
    struct cell c = pt->cells.at[cell];
    const struct object *o = &pt->objects.at[c.object];
    int64_t to = (int64_t)c.offset + offset;
    if (!offset || o->kind == OBJ_FUNCTION)
        return cell;
    if (to < 0 || (o->size && to >= o->size) || to > 1 << 24)
        return NONE;
    return solver_cell(pt, c.object, (u32)to);
}

u32 solver_cell(struct points *pt, u32 object, u32 offset)
{
    struct object *o = &pt->objects.at[object];
    if (o->cells.n > CELLS_PER_OBJECT)
        offset = 0;
    u32 *known = map_put(&pt->cell_index, (u64)object << 32 | offset);
    if (!*known) {
        u32 node = new_node(pt->solver);
        *known = pt->cells.n + 1;
        LIST_ADD(&o->cells, pt->cells.n);
        LIST_ADD(&pt->cells, (struct cell){object, offset, node});
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
    u32 node = new_node(s);
    s->of_value[value] = node + 1;
    solver_seed(pt, value, node);
    return solver_find(s, node);
}

void solver_add(struct points *pt, u32 node, u32 cell)
{
    struct solver *s = pt->solver;
    node = solver_find(s, node);
    if (cellset_add(&s->nodes.at[node].all, cell))
        queue(s, node);
}

static void pass_on(struct points *pt, const struct cellset *news, u32 to, int32_t offset)
{
    struct solver *s = pt->solver;
    if (!offset) {
        if (cellset_join(&s->nodes.at[to].all, news))
            queue(s, to);
        return;
    }
    CELLSET_EACH(news, cell)
    {
        u32 moved = points_shift(pt, cell, offset);
        if (moved != NONE)
            solver_add(pt, to, moved);
    }
}

void solver_copy(struct points *pt, u32 from, u32 to, int32_t offset)
{
    struct solver *s = pt->solver;
    from = solver_find(s, from);
    to = solver_find(s, to);
    if (from == to && !offset)
        return;
    u32 *known = map_put(&s->copies, hash_combine(hash_combine(from, to), (u32)offset) >> 1);
    if (*known)
        return;
    *known = 1;
    LIST_ADD(&s->nodes.at[from].copy, (struct copy){to, offset});
    if (s->nodes.at[from].done.n) { /* what is not done yet goes with the rest */
        struct cellset news = {0};
        cellset_join(&news, &s->nodes.at[from].done);
        pass_on(pt, &news, to, offset);
        cellset_free(&news);
    }
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
    CELLSET_EACH(&s->nodes.at[pointer].done, cell) solver_copy(pt, from, pt->cells.at[cell].node, 0);
}

/* Makes b a part of a. */
static void unite(struct points *pt, u32 a, u32 b)
{
    struct solver *s = pt->solver;
    struct node *x = &s->nodes.at[a], *y = &s->nodes.at[b];
    y->same = a;
    cellset_join(&x->all, &y->all);
    cellset_free(&x->done); /* everything once more, to both their targets */
    for (u32 i = 0; i < y->copy.n; i++)
        LIST_ADD(&x->copy, y->copy.at[i]);
    for (u32 i = 0; i < y->load.n; i++)
        LIST_ADD(&x->load, y->load.at[i]);
    for (u32 i = 0; i < y->store.n; i++)
        LIST_ADD(&x->store, y->store.at[i]);
    for (u32 i = 0; i < y->call.n; i++)
        LIST_ADD(&x->call, y->call.at[i]);
    cellset_free(&y->all);
    cellset_free(&y->done);
    free(y->copy.at);
    y->copy.at = NULL;
    y->copy.n = y->copy.cap = 0;
    queue(s, a);
}

/* Nodes on plain copies from `to` back to `from`; what is found becomes one node. The walk is cut off where it would cost
 * more than it saves. */
static void find_cycle(struct points *pt, u32 from, u32 to)
{
    struct solver *s = pt->solver;
    struct map seen = {0}; /* node -> where it was reached from + 1 */
    struct list_u32 stack = {0};
    bool found = false;
    LIST_ADD(&stack, to);
    *map_put(&seen, to) = to + 1;
    while (stack.n && !found && seen.n < 2000) {
        u32 node = stack.at[--stack.n];
        for (u32 i = 0; i < s->nodes.at[node].copy.n && !found; i++) {
            struct copy c = s->nodes.at[node].copy.at[i];
            u32 next = solver_find(s, c.to);
            if (c.offset || map_get(&seen, next))
                continue;
            *map_put(&seen, next) = node + 1;
            LIST_ADD(&stack, next);
            found = next == from;
        }
    }
    while (found) {
        u32 node = *map_get(&seen, from) - 1;
        while (node != to) {
            u32 before = *map_get(&seen, node) - 1;
            unite(pt, from, node);
            node = before;
        }
        unite(pt, from, to);
        found = false;
    }
    map_free(&seen);
    free(stack.at);
}

static void visit(struct points *pt, u32 node)
{
    struct solver *s = pt->solver;
    struct cellset news = {0};
    cellset_minus(&news, &s->nodes.at[node].all, &s->nodes.at[node].done);
    if (!news.n) {
        cellset_free(&news);
        return;
    }
    cellset_join(&s->nodes.at[node].done, &news);
    for (u32 i = 0; i < s->nodes.at[node].copy.n; i++) {
        struct copy c = s->nodes.at[node].copy.at[i];
        u32 to = solver_find(s, c.to);
        if (to == node && !c.offset)
            continue;
        if (!c.offset && cellset_equal(&s->nodes.at[node].all, &s->nodes.at[to].all)) {
            u32 *tried = map_put(&s->tried, (u64)node << 32 | to);
            if (!*tried) {
                *tried = 1;
                find_cycle(pt, node, to);
                if (s->nodes.at[to].same != to)
                    break; /* united: it is in the queue again */
            }
            continue;
        }
        pass_on(pt, &news, to, c.offset);
    }
    for (u32 i = 0; i < s->nodes.at[node].load.n; i++)
        CELLSET_EACH(&news, cell) solver_copy(pt, pt->cells.at[cell].node, s->nodes.at[node].load.at[i], 0);
    for (u32 i = 0; i < s->nodes.at[node].store.n; i++)
        CELLSET_EACH(&news, cell) solver_copy(pt, s->nodes.at[node].store.at[i], pt->cells.at[cell].node, 0);
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
                if (moved != NONE)
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
    bool again = true;
    while (again) {
        for (u32 i = 0; i < s->work.n; i++) { /* grows while it is walked; emptied when the head is long */
            u32 node = s->work.at[i];
            s->nodes.at[node].queued = false;
            if (s->nodes.at[node].same == node)
                visit(pt, node);
            if (i > 1 << 16) {
                memmove(s->work.at, s->work.at + i + 1, (s->work.n - i - 1) * sizeof *s->work.at);
                s->work.n -= i + 1;
                i = (u32)-1;
            }
        }
        s->work.n = 0;
        again = false;
        for (u32 i = 0; i < s->memory.n; i++)
            again |= copy_memory(pt, &s->memory.at[i]);
        again |= s->work.n != 0;
    }
}

void points_solve(struct points *pt, const struct program *p, const struct known **known)
{
    *pt = (struct points){.p = p, .known = known};
    pt->solver = store_alloc(sizeof *pt->solver);
    pt->solver->of_value = store_alloc((p->values.n + 1) * sizeof *pt->solver->of_value);
    solver_constraints(pt);
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

struct call *points_call(const struct points *pt, u32 value)
{
    u32 *known = map_get(&pt->call_index, value);
    return known ? &pt->calls.at[*known - 1] : NULL;
}
