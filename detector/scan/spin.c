/* Locks that programs make of atomic instructions: "while (!compare_and_swap(&lock, 0, 1));" or "while (exchange(&lock, 1));"
 * and "lock = 0". What is taken so and set to 0 somewhere is one. Called by scan.c and step.c. Takes no locks; allocates with
 * malloc. */
#include "analysis.h"

#define MOST_CELLS 8

static void mark(struct analysis *a, u32 pointer, struct map *out)
{
    struct list_u32 cells = {0};
    points_of_value(&a->pt, pointer, &cells);
    for (u32 i = 0; i < cells.n && cells.n <= MOST_CELLS; i++)
        if (cells.at[i] != CELL_ANY)
            *map_put(out, cells.at[i]) = 1;
    store_free(cells.at);
}

static bool is_zero(const struct program *p, u32 value)
{
    return p->values.at[value].op == V_CONST && value_number(&p->values.at[value]) == 0;
}

void spin_find(struct analysis *a)
{
    const struct program *p = a->p;
    struct map taken = {0}, zeroed = {0};
    for (u32 i = 0; i < p->values.n; i++) {
        const struct value *v = &p->values.at[i];
        const struct value *of = v->op == V_EXTRACT ? &p->values.at[v->a] : v;
        if (v->op == V_RMW && v->shape != RMW_OTHER)
            mark(a, v->a, &taken);
        else if (v->op == V_EXTRACT && v->b == 1 && of->op == V_RMW && (of->flags & F_CMPXCHG))
            *map_put(&a->success, v->a) = i;
    }
    for (u32 i = 0; taken.n && i < p->values.n; i++)
        if (p->values.at[i].op == V_STORE && is_zero(p, p->values.at[i].b))
            mark(a, p->values.at[i].a, &zeroed);
    for (u32 i = 0; i < taken.cap; i++)
        if (taken.key[i] && map_get(&zeroed, taken.key[i] - 1))
            *map_put(&a->spins, taken.key[i] - 1) = 1;
    map_free(&taken);
    map_free(&zeroed);
}

static bool is_spin(struct analysis *a, u32 path)
{
    const struct list_u32 *cells = path_cells(&a->ps, path);
    for (u32 i = 0; i < cells->n; i++)
        if (!map_get(&a->spins, cells->at[i]))
            return false;
    return cells->n != 0;
}

bool spin_takes(struct analysis *a, u32 value, u32 path)
{
    return a->p->values.at[value].shape != RMW_OTHER && is_spin(a, path);
}

bool spin_gives_back(struct analysis *a, u32 value, u32 path)
{
    return is_zero(a->p, a->p->values.at[value].b) && is_spin(a, path);
}
