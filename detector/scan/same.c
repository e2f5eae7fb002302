/* Whether locks are the same, and whether they keep accesses apart. Called by the rules. Takes no locks; allocates with
 * malloc. That two locks have one class never counts: only one object, or one way from the data to its lock. */
#include "whole.h"

/* A path that names the same place whoever uses it. */
static bool is_absolute(const struct paths *ps, u32 path)
{
    const struct path *r = path_at(ps, path_root_of(ps, path));
    return (r->kind == P_GLOBAL || r->kind == P_ATOMIC) && !path_at(ps, path)->has_index;
}

bool same_lock(struct whole *w, u32 x, u32 y)
{
    struct paths *ps = &w->a->ps;
    if (x == y && (is_absolute(ps, x) || path_single(ps, x) != NONE))
        return true;
    u32 single = path_single(ps, x);
    return single != NONE && single == path_single(ps, y) && path_element(ps, x) == path_element(ps, y);
}

/* The way from what both hang on: the lock's offset there, and the steps to the data. 0 when they hang on nothing in
 * common. */
static u64 common_way(const struct paths *ps, u32 data, u32 lock)
{
    const struct path *l = path_at(ps, lock);
    u32 base = l->kind == P_FIELD ? l->base : lock;
    u32 element = l->kind == P_FIELD ? l->element : 0;
    u64 h = hash_combine(1, l->kind == P_FIELD ? (u32)l->offset : 0);
    for (u32 at = data;; at = path_at(ps, at)->base) {
        const struct path *q = path_at(ps, at);
        if (at == base)
            return h;
        if (q->base == base && q->kind == P_FIELD && q->element != element)
            return 0; /* a lock of another element */
        if (P_IS_ROOT(q->kind))
            return 0;
        h = hash_combine(h, hash_combine(q->kind, (u32)q->offset));
    }
}

/* An element of an array: which array, which element (a path, or the number of a constant one), and the offset in it. */
struct slot {
    u32 array, index, offset;
    bool constant;
};

static bool slot_of(const struct paths *ps, u32 path, struct slot *out)
{
    const struct path *q = path_at(ps, path), *base = path_at(ps, q->base);
    if (q->kind == P_INDEX)
        *out = (struct slot){q->base, q->a, 0, false};
    else if (q->kind == P_FIELD && base->kind == P_INDEX && !q->element)
        *out = (struct slot){base->base, base->a, (u32)q->offset, false};
    else if (q->kind == P_FIELD && q->element)
        *out = (struct slot){q->base, q->element, (u32)q->offset, true};
    else
        return false;
    return out->index != 0;
}

/* locks[n] for rows[n]: the arrays, when lock and data stand at one index, and the steps from there to the data. 0 when they
 * do not. */
static u64 parallel_way(const struct paths *ps, u32 data, u32 lock)
{
    struct slot l, d;
    u64 h = 2;
    if (!slot_of(ps, lock, &l))
        return 0;
    for (u32 at = data; !P_IS_ROOT(path_at(ps, at)->kind); at = path_at(ps, at)->base) {
        const struct path *q = path_at(ps, at);
        if (slot_of(ps, at, &d) && d.index == l.index && d.constant == l.constant)
            return hash_combine(hash_combine(h, hash_combine(l.array, l.offset)), hash_combine(d.array, d.offset));
        h = hash_combine(h, hash_combine(q->kind, (u32)q->offset));
    }
    return 0;
}

/* Whether a lock of the one set surely is a lock of the other, and not both for reading. */
static bool share_lock(struct whole *w, u32 one, u32 other)
{
    const struct sets *sets = &w->a->sets;
    for (u32 i = 0, n = sets_count(sets, one); i < n; i++)
        for (u32 k = 0, m = sets_count(sets, other); k < m; k++) {
            u32 a = sets_item(sets, one, i), b = sets_item(sets, other, k);
            if (!(LOCK_SHARED(a) && LOCK_SHARED(b)) && same_lock(w, LOCK_PATH(a), LOCK_PATH(b)))
                return true;
        }
    return false;
}

/* One thread runs while another keeps a lock for it; the other holds that lock itself, and is not the one who keeps it. */
static bool kept_apart(struct whole *w, const struct deed *x, const struct deed *y)
{
    const struct root *r = &w->roots.at[x->root], *s = &w->roots.at[y->root];
    if (!r->under || y->root == x->root || y->root == r->holder)
        return false;
    return share_lock(w, r->under, y->must) ||
           (s->under && s->holder != r->holder && share_lock(w, r->under, s->under));
}

bool same_perhaps(struct whole *w, const struct deed *x, const struct deed *y)
{
    struct paths *ps = &w->a->ps;
    const struct sets *sets = &w->a->sets;
    for (u32 i = 0, n = sets_count(sets, x->may); i < n; i++)
        for (u32 k = 0, m = sets_count(sets, y->may); k < m; k++) {
            u32 a = sets_item(sets, x->may, i), b = sets_item(sets, y->may, k);
            if (a == LOCK_ANY || b == LOCK_ANY ||
                (!(LOCK_SHARED(a) && LOCK_SHARED(b)) && path_meets(ps, LOCK_PATH(a), LOCK_PATH(b))))
                return true;
        }
    return false;
}

bool same_guard(struct whole *w, const struct deed *x, const struct deed *y)
{
    if (kept_apart(w, x, y) || kept_apart(w, y, x))
        return true;
    struct paths *ps = &w->a->ps;
    const struct sets *sets = &w->a->sets;
    for (u32 i = 0, n = sets_count(sets, x->must); i < n; i++)
        for (u32 k = 0, m = sets_count(sets, y->must); k < m; k++) {
            u32 a = sets_item(sets, x->must, i), b = sets_item(sets, y->must, k);
            if (LOCK_SHARED(a) && LOCK_SHARED(b))
                continue;
            if (same_lock(w, LOCK_PATH(a), LOCK_PATH(b)))
                return true;
            u64 way = common_way(ps, x->path, LOCK_PATH(a));
            if (way && way == common_way(ps, y->path, LOCK_PATH(b)) && path_meets(ps, LOCK_PATH(a), LOCK_PATH(b)))
                return true;
            way = parallel_way(ps, x->path, LOCK_PATH(a));
            if (way && way == parallel_way(ps, y->path, LOCK_PATH(b)))
                return true;
        }
    return false;
}
