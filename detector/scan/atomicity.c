/* Lost updates: a value is read in one section and written back, changed, in a later one; in between another thread can
 * write. Called by scan.c. Takes no locks; allocates with malloc. */
#include "rules.h"

#define MAX_DEPTH 8

/* `budget`: values looked at; what a loop adds up comes to the same ones again and again. */
static bool depends(const struct program *p, u32 value, u32 on, int depth, int *budget)
{
    const struct value *v = &p->values.at[value];
    if (value == on)
        return true;
    if (depth > MAX_DEPTH || --*budget < 0)
        return false;
    if (v->op == V_BIN || v->op == V_CMP)
        return depends(p, v->a, on, depth + 1, budget) || depends(p, v->b, on, depth + 1, budget);
    if (v->op == V_SELECT)
        return depends(p, v->b, on, depth + 1, budget) || depends(p, v->c, on, depth + 1, budget);
    for (u32 i = 1; v->op == V_PHI && i < v->c; i += 2)
        if (depends(p, p->args.at[v->b + i], on, depth + 1, budget))
            return true;
    return false;
}

static bool precedes(const struct analysis *a, u32 first, u32 then, u32 without)
{
    u32 from = a->block_of[first], to = a->block_of[then];
    if (from == to && a->place_of[first] < a->place_of[then])
        return true;
    return to != without && graph_reaches(a->p, from, to, without);
}

/* A release of the lock on a way from the reading to the writing that does not read anew. */
static bool released_between(struct analysis *a, u32 function, u32 lock, u32 read, u32 write)
{
    const struct summary *sum = &a->summary[function];
    u32 home = a->block_of[read];
    for (u32 i = 0; i < sum->record.n; i++) {
        const struct record *r = &sum->record.at[i];
        if (r->kind == R_RELEASE && path_meets(&a->ps, LOCK_PATH(r->path), lock) && precedes(a, read, r->value, NONE) &&
            precedes(a, r->value, write, home))
            return true;
    }
    return false;
}

static u32 common_lock(struct analysis *a, const struct record *x, const struct record *y)
{
    u32 both = sets_common(&a->sets, x->at.must, y->at.must);
    return both ? LOCK_PATH(sets_item(&a->sets, both, 0)) : 0;
}

/* The deed that a record of a function has become; the first one. */
static u32 deed_of(const struct whole *w, u32 value, u8 flags)
{
    for (u32 i = 0; i < w->deeds.n; i++)
        if (w->deeds.at[i].kind == R_ACCESS && w->deeds.at[i].value == value &&
            (w->deeds.at[i].flags & R_WRITE) == (flags & R_WRITE))
            return i;
    return NONE;
}

/* A write of the same memory by another thread at the same time as the update. */
static u32 rival(struct whole *w, u32 update)
{
    struct deed d = w->deeds.at[update];
    for (u32 i = 0; i < w->deeds.n; i++) {
        struct deed x = w->deeds.at[i];
        if (x.kind != R_ACCESS || !(x.flags & R_WRITE) || !threads_meet(w, &d, &x) ||
            !path_meets(&w->a->ps, d.path, x.path))
            continue;
        bool own = x.root == d.root && w->roots.at[x.root].distinct && x.path == d.path &&
                   path_at(&w->a->ps, path_root_of(&w->a->ps, x.path))->kind == P_OWN;
        if (!own)
            return i;
    }
    return NONE;
}

static void consider(struct findings *f, u32 function, const struct record *read, const struct record *write)
{
    struct whole *w = f->w;
    struct analysis *a = w->a;
    const struct value *store = &a->p->values.at[write->value];
    int budget = 300;
    if (read->path != write->path || store->op != V_STORE || !depends(a->p, store->b, read->value, 0, &budget) ||
        !precedes(a, read->value, write->value, NONE))
        return;
    u32 lock = common_lock(a, read, write);
    bool atomics = !lock && (read->flags & write->flags & R_ATOMIC);
    if (!atomics && (!lock || !released_between(a, function, lock, read->value, write->value)))
        return;
    u32 first = deed_of(w, read->value, read->flags), second = deed_of(w, write->value, write->flags);
    u32 other = first != NONE && second != NONE ? rival(w, second) : NONE;
    if (other == NONE)
        return;
    struct found out = {.kind = FOUND_ATOMICITY, .path = w->deeds.at[second].path, .guard = lock, .score = 15};
    const struct list_u32 *cells = path_cells(&a->ps, out.path);
    out.cell = cells->n ? cells->at[0] : NONE;
    LIST_ADD(&out.side, (struct side){first, 0});
    LIST_ADD(&out.side, (struct side){second, 0});
    LIST_ADD(&out.side, (struct side){other, 0});
    LIST_ADD(&f->at, out);
}

void atomicity_rule(struct findings *f)
{
    const struct analysis *a = f->w->a;
    struct map told = {0};
    for (u32 i = 0; !f->w->library && i < a->p->functions.n; i++) {
        const struct summary *sum = &a->summary[i];
        for (u32 k = 0; k < sum->record.n; k++) {
            const struct record *write = &sum->record.at[k];
            if (write->kind != R_ACCESS || !(write->flags & R_WRITE))
                continue;
            for (u32 j = 0; j < sum->record.n; j++) {
                const struct record *read = &sum->record.at[j];
                u32 *known;
                if (read->kind != R_ACCESS || (read->flags & R_WRITE) || read->path != write->path)
                    continue;
                known = map_put(&told, (u64)read->value << 32 | write->value);
                if (!*known) {
                    u32 before = f->at.n;
                    consider(f, i, read, write);
                    *known = f->at.n != before;
                }
            }
        }
    }
    map_free(&told);
}
