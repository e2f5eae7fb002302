/* What acquiring, releasing, calling, storing do to a state. Called by flow.c and context.c. Takes no locks; allocates
 * with malloc. */
#include "analysis.h"

bool effect_is_recursive(struct analysis *a, u32 path)
{
    const struct list_u32 *cells = path_cells(&a->ps, path);
    for (u32 i = 0; i < cells->n; i++)
        if (map_get(&a->recursive, cells->at[i]))
            return true;
    return false;
}

/* Cycles of calls through pointers collect names of locks without end. */
#define MOST_LOCKS 24

void effect_cut(struct analysis *a, struct state *s)
{
    if (sets_count(&a->sets, s->must) > MOST_LOCKS)
        s->must = 0;
    if (sets_count(&a->sets, s->may) > MOST_LOCKS)
        s->may = sets_add(&a->sets, s->must, LOCK_ANY);
    if (sets_count(&a->sets, s->rel) > MOST_LOCKS)
        s->rel = sets_one(&a->sets, LOCK_ANY);
}

void effect_acquire(struct analysis *a, struct state *s, u32 element)
{
    if (a->recursive.n && sets_has(&a->sets, s->must, element) && effect_is_recursive(a, LOCK_PATH(element)))
        element = LOCK_ELEMENT(path_again(&a->ps, LOCK_PATH(element)), LOCK_SHARED(element));
    s->must = sets_add(&a->sets, s->must, element);
    s->may = sets_add(&a->sets, s->may, element);
}

static u32 drop_both(struct analysis *a, u32 set, u32 path)
{
    set = sets_drop(&a->sets, set, LOCK_ELEMENT(path, 0));
    return sets_drop(&a->sets, set, LOCK_ELEMENT(path, 1));
}

static bool has_either(struct analysis *a, u32 set, u32 path)
{
    return sets_has(&a->sets, set, LOCK_ELEMENT(path, 0)) || sets_has(&a->sets, set, LOCK_ELEMENT(path, 1));
}

bool effect_release(struct analysis *a, struct state *s, u32 path)
{
    if (path == LOCK_PATH(LOCK_ANY)) {
        s->must = 0;
        s->may = s->may ? sets_one(&a->sets, LOCK_ANY) : 0;
        s->rel = sets_one(&a->sets, LOCK_ANY);
        return true;
    }
    bool found = has_either(a, s->may, path);
    if (found && a->recursive.n && has_either(a, s->may, path_again(&a->ps, path)))
        path = path_again(&a->ps, path);
    if (found) {
        s->must = drop_both(a, s->must, path);
        s->may = drop_both(a, s->may, path);
        return true;
    }
    u32 set = s->may, n = sets_count(&a->sets, set);
    for (u32 i = 0; i < n; i++) { /* by another name? */
        u32 element = sets_item(&a->sets, set, i);
        if (!path_meets(&a->ps, LOCK_PATH(element), path))
            continue;
        found = true;
        s->must = sets_drop(&a->sets, s->must, element);
        s->may = sets_drop(&a->sets, s->may, element);
    }
    if (!found) {
        s->rel = sets_add(&a->sets, s->rel, LOCK_ELEMENT(path, 0));
        effect_cut(a, s);
    }
    return found;
}

u32 effect_bind_locks(struct analysis *a, u32 set, u32 binding)
{
    u32 n = sets_count(&a->sets, set), out = 0;
    bool changed = false;
    for (u32 i = 0; i < n && binding; i++)
        changed |= path_at(&a->ps, LOCK_PATH(sets_item(&a->sets, set, i)))->has_arg;
    if (!changed)
        return set;
    for (u32 i = 0; i < n; i++) {
        u32 element = sets_item(&a->sets, set, i);
        u32 path = path_bind(&a->ps, LOCK_PATH(element), binding);
        out = sets_add(&a->sets, out, LOCK_ELEMENT(path, LOCK_SHARED(element)));
    }
    return out;
}

/* That memory was fresh when it was handed over does not make another thread of it. */
static u32 settled(struct analysis *a, u32 path)
{
    struct path r = *path_at(&a->ps, path_root_of(&a->ps, path));
    if (r.kind != P_FRESH)
        return path;
    bool local = a->p->values.at[r.a].op == V_ALLOCA;
    return path_reroot(&a->ps, path, path_root(&a->ps, local ? P_STACK : P_HEAP, r.a));
}

u32 thread_name_make(struct analysis *a, struct thread_name t)
{
    t.start = settled(a, t.start);
    t.handle = settled(a, t.handle);
    if (t.call != NONE)
        t.given = settled(a, t.given);
    u64 h =
        hash_combine(hash_combine(t.call, t.start), hash_combine(t.given, hash_combine(t.handle, t.joined_at))) >> 1;
    for (;; h++) {
        u32 *known = map_put(&a->thread_index, h);
        if (!*known) {
            LIST_ADD(&a->threads, t);
            *known = a->threads.n;
        }
        const struct thread_name *x = &a->threads.at[*known - 1];
        if (x->call == t.call && x->start == t.start && x->given == t.given && x->handle == t.handle &&
            x->joined_at == t.joined_at)
            return *known - 1;
    }
}

u32 effect_bind_threads(struct analysis *a, u32 set, u32 binding)
{
    u32 n = sets_count(&a->sets, set), out = 0;
    if (!binding)
        return set;
    for (u32 i = 0; i < n; i++) {
        struct thread_name t = a->threads.at[sets_item(&a->sets, set, i)];
        t.start = path_bind(&a->ps, t.start, binding);
        if (t.call != NONE)
            t.given = path_bind(&a->ps, t.given, binding);
        t.handle = path_bind(&a->ps, t.handle, binding);
        out = sets_add(&a->sets, out, thread_name_make(a, t));
    }
    return out;
}

void effect_outcome(struct analysis *a, struct state *s, const struct outcome *o, u32 binding)
{
    u32 rel = effect_bind_locks(a, o->at.rel, binding);
    u32 must = effect_bind_locks(a, o->at.must, binding), may = effect_bind_locks(a, o->at.may, binding);
    u32 live = effect_bind_threads(a, o->at.live, binding), joined = effect_bind_threads(a, o->at.joined, binding);
    for (u32 i = 0, n = sets_count(&a->sets, rel); i < n; i++)
        effect_release(a, s, LOCK_PATH(sets_item(&a->sets, rel, i)));
    s->must = sets_union(&a->sets, s->must, must);
    s->may = sets_union(&a->sets, s->may, may);
    effect_cut(a, s);
    s->live = sets_union(&a->sets, effect_still_live(a, s->live, joined), live);
    s->joined = sets_minus(&a->sets, sets_union(&a->sets, s->joined, joined), live);
}

static u32 aged(struct analysis *a, u32 set, u32 value)
{
    u32 n = sets_count(&a->sets, set), out = set;
    for (u32 i = 0; i < n; i++) {
        u32 element = sets_item(&a->sets, set, i), path = LOCK_PATH(element);
        if (!path_mentions(&a->ps, path, value))
            continue;
        out = sets_drop(&a->sets, out, element);
        out = sets_add(&a->sets, out, LOCK_ELEMENT(path_age(&a->ps, path, value), LOCK_SHARED(element)));
    }
    return out;
}

void effect_redefine(struct analysis *a, struct state *s, u32 value)
{
    if (s->facts)
        fact_drop(a, s, value);
    s->must = aged(a, s->must, value);
    s->may = aged(a, s->may, value);
}

/* The pointer at `path` has a new value: what was reached through it has another name now. */
static u32 changed(struct analysis *a, u32 set, u32 path)
{
    u32 n = sets_count(&a->sets, set), out = set;
    for (u32 i = 0; i < n; i++) {
        u32 element = sets_item(&a->sets, set, i), lock = LOCK_PATH(element), steps[16], depth = 0, at = lock;
        if (!path_at(&a->ps, lock)->has_deref)
            continue;
        while (at && !(path_at(&a->ps, at)->kind == P_DEREF && path_at(&a->ps, at)->base == path) &&
               !P_IS_ROOT(path_at(&a->ps, at)->kind) && depth < ARRAY_LEN(steps)) {
            steps[depth++] = at;
            at = path_at(&a->ps, at)->base;
        }
        if (P_IS_ROOT(path_at(&a->ps, at)->kind) || path_at(&a->ps, at)->kind != P_DEREF)
            continue;
        u32 now = path_deref(&a->ps, path, true);
        while (depth) {
            struct path q = *path_at(&a->ps, steps[--depth]);
            struct step s = {q.offset, q.element, q.type, q.within};
            now = q.kind == P_FIELD   ? path_field(&a->ps, now, &s)
                  : q.kind == P_INDEX ? path_index(&a->ps, now, q.a)
                                      : path_deref(&a->ps, now, q.a);
        }
        out = sets_drop(&a->sets, out, element);
        out = sets_add(&a->sets, out, LOCK_ELEMENT(now, LOCK_SHARED(element)));
    }
    return out;
}

void effect_stored(struct analysis *a, struct state *s, u32 path)
{
    if (!s->may)
        return;
    s->must = changed(a, s->must, path);
    s->may = changed(a, s->may, path);
}

/* ids[i] here, ids[k] there: the same array. */
static bool same_array(struct analysis *a, u32 x, u32 y)
{
    while (x != y) {
        struct path p = *path_at(&a->ps, x), q = *path_at(&a->ps, y);
        if (P_IS_ROOT(p.kind) || p.kind != q.kind || p.offset != q.offset || p.element != q.element)
            return false;
        x = p.base;
        y = q.base;
    }
    return true;
}

static bool has_name(const struct analysis *a, u32 alloca)
{
    const char *name = text_of(a->p, a->p->values.at[alloca].c);
    return *name && strncmp(name, "ref.tmp", 7) != 0 && strncmp(name, "agg.tmp", 7) != 0;
}

/* std::thread moves: what was made as a temporary, or in a container, is joined under another name. Whoever joins something that
 * has no name of its own joins that, then. */
static bool joins_moved(struct analysis *a, const struct thread_name *created, u32 handle)
{
    const struct call *c = points_call(&a->pt, created->call);
    if (!c || !c->known || c->known->op != K_CREATE_STATE)
        return false;
    const struct path *q = path_at(&a->ps, created->handle),
                      *r = path_at(&a->ps, path_root_of(&a->ps, created->handle));
    bool named = !q->has_deref && !q->has_index &&
                 (r->kind == P_GLOBAL || r->kind == P_ARG || (r->kind == P_STACK && has_name(a, r->a)));
    q = path_at(&a->ps, handle);
    r = path_at(&a->ps, path_root_of(&a->ps, handle));
    return !named &&
           (q->has_deref || q->has_index || (r->kind != P_STACK && r->kind != P_GLOBAL) || q->kind == P_FIELD);
}

/* promised: the value of a handle, that is a path through which it was loaded. */
static bool joins(struct analysis *a, u32 thread, const struct thread_name *promised)
{
    u32 created = a->threads.at[thread].handle, handle = promised->handle;
    if (path_at(&a->ps, handle)->kind != P_DEREF)
        return false;
    handle = path_at(&a->ps, handle)->base;
    if (promised->given == JOINS_OBJECT && joins_moved(a, &a->threads.at[thread], handle))
        return true;
    if (path_at(&a->ps, created)->has_index)
        return promised->given && path_at(&a->ps, handle)->has_index && same_array(a, created, handle);
    if (created == handle)
        return true;
    u32 single = path_single(&a->ps, handle);
    return single != NONE && single == path_single(&a->ps, created) &&
           path_element(&a->ps, handle) == path_element(&a->ps, created);
}

u32 effect_still_live(struct analysis *a, u32 live, u32 joined)
{
    u32 left = sets_minus(&a->sets, live, joined), set = left;
    for (u32 k = 0, m = sets_count(&a->sets, joined); k < m && left; k++) {
        struct thread_name promised = a->threads.at[sets_item(&a->sets, joined, k)];
        for (u32 i = 0, n = sets_count(&a->sets, set); promised.call == NONE && i < n; i++)
            if (joins(a, sets_item(&a->sets, set, i), &promised))
                left = sets_drop(&a->sets, left, sets_item(&a->sets, set, i));
    }
    return left;
}

u32 effect_created(struct analysis *a, u32 joined, u32 thread)
{
    u32 one = sets_one(&a->sets, thread), left = sets_drop(&a->sets, joined, thread), set = left;
    for (u32 i = 0, n = sets_count(&a->sets, set); i < n; i++) {
        u32 item = sets_item(&a->sets, set, i);
        if (!effect_still_live(a, one, sets_one(&a->sets, item)))
            left = sets_drop(&a->sets, left, item);
    }
    return left;
}

u32 effect_joined_anywhere(struct analysis *a, u32 joined)
{
    u32 out = 0;
    for (u32 i = 0, n = sets_count(&a->sets, joined); i < n; i++) {
        struct thread_name t = a->threads.at[sets_item(&a->sets, joined, i)];
        t.joined_at = 0;
        out = sets_add(&a->sets, out, thread_name_make(a, t));
    }
    return out;
}

void effect_join(struct analysis *a, struct state *s, u32 handle, u32 how, u32 call)
{
    struct thread_name t = {.call = NONE, .given = how, .handle = handle, .joined_at = call};
    u32 promise = thread_name_make(a, t);
    s->joined = sets_add(&a->sets, s->joined, promise);
    s->live = effect_still_live(a, s->live, sets_one(&a->sets, promise));
}
