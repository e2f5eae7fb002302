/* What a lock is, for rules that compare locks over the whole program: an object, or where that is not known a class, named
 * by structure and field. Called by the rules. Takes no locks; allocates with malloc. */
#include "rules.h"

static u32 node(struct whole *w, u64 key, u32 path)
{
    u32 *known = map_put(&w->lock_index, key);
    if (!*known) {
        LIST_ADD(&w->lock_paths, path);
        *known = w->lock_paths.n;
    }
    return *known - 1;
}

static u64 cell_key(u32 cell, u32 element)
{
    return ((u64)cell << 32 | element) & ~(3ULL << 62);
}

/* Structure and offset in it; 0 when the path has none. */
static u64 class_key(const struct paths *ps, u32 path)
{
    const struct path *q = path_at(ps, path);
    while (q->kind == P_INDEX)
        q = path_at(ps, q->base);
    return q->kind == P_FIELD && q->type ? 1ULL << 63 | (u64)q->type << 24 | q->within : 0;
}

u32 lock_nodes(struct whole *w, u32 path, struct lock_node *out)
{
    struct paths *ps = &w->a->ps;
    u32 single = path_single(ps, path), element = path_element(ps, path);
    if (single != NONE) {
        out[0] = (struct lock_node){node(w, cell_key(single, element), path), true};
        return 1;
    }
    const struct list_u32 *cells = path_cells(ps, path);
    bool apart = cells->n > 1 && cells->n <= LOCK_NODES && element != NONE;
    for (u32 i = 0; i < cells->n && apart; i++)
        apart = !w->a->pt.objects.at[w->a->pt.cells.at[cells->at[i]].object].many;
    if (apart) {
        u32 n = cells->n;
        for (u32 i = 0; i < n; i++)
            out[i] = (struct lock_node){node(w, cell_key(cells->at[i], element), path), true};
        return n;
    }
    u64 key = class_key(ps, path);
    if (!key)
        key = 3ULL << 62 | (cells->n ? cells->at[0] : (u64)path << 32);
    out[0] = (struct lock_node){node(w, key, path), false};
    return 1;
}

bool lock_is_recursive(struct whole *w, u32 path)
{
    const struct list_u32 *cells = path_cells(&w->a->ps, path);
    for (u32 i = 0; i < cells->n; i++)
        if (map_get(&w->a->recursive, cells->at[i]))
            return true;
    return false;
}

const struct known *lock_call(const struct whole *w, const struct deed *d)
{
    const struct call *c = w->a->p->values.at[d->value].op == V_CALL ? points_call(&w->a->pt, d->value) : NULL;
    return c ? c->known : NULL;
}
