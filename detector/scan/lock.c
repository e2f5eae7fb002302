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

const struct known *lock_call(const struct whole *w, const struct deed *d)
{
    const struct call *c = w->a->p->values.at[d->value].op == V_CALL ? points_call(&w->a->pt, d->value) : NULL;
    return c ? c->known : NULL;
}

/* How well a deed explains that another holds a lock: in the same call, in a caller, anywhere in the thread. */
static int explains(const struct whole *w, const struct deed *taker, const struct deed *holder)
{
    const struct analysis *a = w->a;
    if (taker->root != holder->root)
        return 0;
    if (taker->context == holder->context) {
        u32 from = a->block_of[taker->value], to = a->block_of[holder->value];
        bool before = from == to && a->place_of[taker->value] < a->place_of[holder->value];
        return before ? 5 : graph_reaches(a->p, from, to, NONE) ? 4 : 1;
    }
    for (u32 c = holder->context; c != NONE; c = w->contexts.at[c].up)
        if (w->contexts.at[c].up == taker->context)
            return 3;
    for (u32 c = taker->context; c != NONE; c = w->contexts.at[c].up)
        if (w->contexts.at[c].up == holder->context)
            return 2;
    return 1;
}

u32 lock_taken_at(const struct whole *w, u32 deed, u32 element)
{
    const struct deed *holder = &w->deeds.at[deed];
    u32 found = NONE;
    int best = 0;
    for (u32 i = 0; i < w->acquired.n && best < 5; i++) {
        u32 number = w->acquired.at[i];
        const struct deed *d = &w->deeds.at[number];
        if (d->path != element || number == deed || (d->flags & R_AFTER_WAIT))
            continue;
        int score = explains(w, d, holder);
        if (score > best) {
            best = score;
            found = number;
        }
    }
    return found;
}
