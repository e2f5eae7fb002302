/* Which threads may run at the same time. Called by context.c and the rules. Takes no locks; allocates with malloc.
 *
 * Every deed knows which threads its own thread has created that may still run, and which it has joined. From there:
 *   a thread and its descendants: the descendant runs if it, or one between them, is live at the deed, or was left behind by
 *   one that was joined;
 *   others: if at the creation of one the other may have been running. */
#include "whole.h"

enum { UNRELATED, ANCESTOR = 1 };

static u8 *cell(const struct whole *w, u8 *matrix, u32 x, u32 y)
{
    return &matrix[(size_t)x * w->roots.n + y];
}

static bool is_ancestor(const struct whole *w, u32 x, u32 y)
{
    return *cell(w, w->related, x, y) == ANCESTOR;
}

static bool is_general(const struct analysis *a, const struct thread_name *t)
{
    return path_at(&a->ps, t->start)->has_arg || path_at(&a->ps, t->given)->has_arg ||
           path_at(&a->ps, t->handle)->has_arg;
}

/* One name may say less than the other: where contexts became one, parameters are not known. */
static bool same_thread(const struct whole *w, u32 x, u32 y)
{
    const struct analysis *a = w->a;
    if (x == y || x == NONE || y == NONE)
        return x == y;
    const struct thread_name *p = &a->threads.at[x], *q = &a->threads.at[y];
    return p->call == q->call && (is_general(a, p) || is_general(a, q));
}

/* Whether a live thread of this name is the root, or its ancestor. */
static bool leads_to(const struct whole *w, u32 thread, u32 root)
{
    for (u32 r = 0; r < w->roots.n; r++)
        if (same_thread(w, w->roots.at[r].thread, thread) && (r == root || is_ancestor(w, r, root)))
            return true;
    return false;
}

static bool any_leads(const struct whole *w, u32 live, u32 root)
{
    const struct sets *sets = &w->a->sets;
    for (u32 i = 0, n = sets_count(sets, live); i < n; i++)
        if (leads_to(w, sets_item(sets, live, i), root))
            return true;
    return false;
}

/* Whether `root`, a descendant, may run when the deed is done. */
static bool alive_at(const struct whole *w, u32 live, u32 joined, u32 from, u32 root)
{
    struct sets *sets = &w->a->sets;
    if (w->roots.at[from].many || any_leads(w, live, root))
        return true;
    for (u32 r = 0; joined && r < w->roots.n; r++) {
        u32 thread = w->roots.at[r].thread;
        if (r == root || thread == NONE || !is_ancestor(w, from, r) || !*cell(w, w->leaves, r, root))
            continue;
        if (!effect_still_live(w->a, sets_one(sets, thread), joined))
            return true;
    }
    return false;
}

static void find_ancestors(struct whole *w)
{
    for (u32 i = 0; i < w->created.n; i++) {
        const struct deed *d = &w->deeds.at[w->created.at[i]];
        *cell(w, w->related, d->root, d->path) = ANCESTOR;
    }
    for (u32 k = 0; k < w->roots.n; k++)
        for (u32 x = 0; x < w->roots.n; x++)
            for (u32 y = 0; is_ancestor(w, x, k) && y < w->roots.n; y++)
                if (is_ancestor(w, k, y))
                    *cell(w, w->related, x, y) = ANCESTOR;
}

/* leaves[x][y]: y, a descendant of x, may still run when x has ended. */
static void find_left_behind(struct whole *w)
{
    struct analysis *a = w->a;
    for (bool again = true; again;) {
        again = false;
        for (u32 x = 0; x < w->roots.n; x++) {
            const struct root *r = &w->roots.at[x];
            const struct summary *sum = &a->summary[r->function];
            u32 binding = w->contexts.at[r->context].binding;
            for (u32 y = 0; y < w->roots.n; y++) {
                bool left = sum->outcome.n == 0; /* it ends in no way that we know */
                if (!is_ancestor(w, x, y) || *cell(w, w->leaves, x, y))
                    continue;
                for (u32 i = 0; i < sum->outcome.n && !left; i++) {
                    const struct state *s = &sum->outcome.at[i].at;
                    left = any_leads(w, effect_bind_threads(a, s->live, binding), y) ||
                           alive_at(w, 0, effect_bind_threads(a, s->joined, binding), x, y);
                }
                *cell(w, w->leaves, x, y) = left;
                again |= left;
            }
        }
    }
}

static bool set_concurrent(struct whole *w, u32 x, u32 y)
{
    bool fresh = !*cell(w, w->concurrent, x, y);
    *cell(w, w->concurrent, x, y) = *cell(w, w->concurrent, y, x) = 1;
    return fresh;
}

static void find_concurrent(struct whole *w)
{
    for (u32 x = 0; w->library && x < w->roots.n; x++)
        for (u32 y = 0; y < w->roots.n; y++)
            set_concurrent(w, x, y);
    for (bool again = true; again;) {
        again = false;
        for (u32 i = 0; i < w->created.n; i++) {
            const struct deed *d = &w->deeds.at[w->created.at[i]];
            u32 made = d->path, by = d->root;
            for (u32 r = 0; r < w->roots.n; r++) {
                bool family = r == made || r == by || is_ancestor(w, r, made) || is_ancestor(w, made, r);
                if (family || *cell(w, w->concurrent, made, r))
                    continue;
                bool there = is_ancestor(w, by, r) ? alive_at(w, d->live, d->joined, by, r)
                                                   : *cell(w, w->concurrent, by, r) != 0;
                again |= there && set_concurrent(w, made, r);
            }
        }
    }
}

/* Locks held at a thread's creation that its creator gives back only when the thread has ended: nobody else gets them
 * while it runs. */
static void find_under(struct whole *w)
{
    struct sets *sets = &w->a->sets;
    for (u32 r = 0; r < w->roots.n; r++) {
        struct root *root = &w->roots.at[r];
        bool first = true;
        for (u32 i = 0; i < w->created.n; i++) {
            const struct deed *d = &w->deeds.at[w->created.at[i]];
            if (d->path != r)
                continue;
            root->under = first ? d->must : sets_common(sets, root->under, d->must);
            root->holder = d->root;
            first = false;
        }
    }
    for (u32 i = 0; i < w->deeds.n; i++) {
        const struct deed *d = &w->deeds.at[i];
        bool end = d->kind == R_LEAVE && w->roots.at[d->root].thread != NONE; /* main's is that of all */
        if (d->kind != R_RELEASE && d->kind != R_WAIT && !end)
            continue;
        for (u32 r = 0; r < w->roots.n; r++) {
            struct root *root = &w->roots.at[r];
            u32 set = root->under, n = sets_count(sets, set);
            bool there = n && (r == d->root || d->root == root->parent) && any_leads(w, d->live, r);
            for (u32 k = 0; there && k < n; k++) {
                u32 held = sets_item(sets, set, k);
                if (end || path_meets(&w->a->ps, LOCK_PATH(held), LOCK_PATH(d->path)))
                    root->under = sets_drop(sets, root->under, held);
            }
        }
    }
}

/* One that has ended when its creator ends runs under what its creator runs under. */
static void inherit_under(struct whole *w)
{
    for (bool again = true; again;) {
        again = false;
        for (u32 i = 0; i < w->created.n; i++) {
            const struct deed *d = &w->deeds.at[w->created.at[i]];
            const struct root *by = &w->roots.at[d->root];
            struct root *made = &w->roots.at[d->path];
            if (d->root == d->path || !by->under || made->under || *cell(w, w->leaves, d->root, d->path))
                continue;
            made->under = by->under;
            made->holder = by->holder;
            again = true;
        }
    }
}

void threads_relate(struct whole *w)
{
    size_t n = (size_t)w->roots.n * w->roots.n;
    w->related = store_alloc(n);
    w->concurrent = store_alloc(n);
    w->leaves = store_alloc(n);
    for (bool again = true; again;) { /* those made by one of many are many */
        again = false;
        for (u32 i = 0; i < w->created.n; i++) {
            const struct deed *d = &w->deeds.at[w->created.at[i]];
            if (w->roots.at[d->root].many && !w->roots.at[d->path].many)
                w->roots.at[d->path].many = again = true;
        }
    }
    find_ancestors(w);
    find_left_behind(w);
    find_concurrent(w);
    find_under(w);
    inherit_under(w);
}

/* The one is not done while the other's thread exists: it needs another state of a variable than its creation. */
static bool excluded(const struct whole *w, const struct deed *x, const struct deed *y)
{
    return (x->facts && fact_contradicts(w->a, x->facts, w->roots.at[y->root].flags)) ||
           (y->facts && fact_contradicts(w->a, y->facts, w->roots.at[x->root].flags));
}

bool threads_meet(const struct whole *w, const struct deed *x, const struct deed *y)
{
    if ((x->facts || y->facts) && excluded(w, x, y))
        return false;
    if (x->root == y->root)
        return w->roots.at[x->root].many;
    if (is_ancestor(w, x->root, y->root))
        return alive_at(w, x->live, x->joined, x->root, y->root);
    if (is_ancestor(w, y->root, x->root))
        return alive_at(w, y->live, y->joined, y->root, x->root);
    return *cell(w, w->concurrent, x->root, y->root);
}
