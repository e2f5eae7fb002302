/* Locks used wrongly on some path: taken twice, released without being held, kept at the end, waited on or destroyed in the
 * wrong state. Called by scan.c. Takes no locks; allocates with malloc. */
#include "rules.h"

struct misuse {
    struct findings *f;
    struct map told; /* instruction and rule */
};

static void tell(struct misuse *m, const char *rule, u32 deed, u32 lock, u32 held, u32 score)
{
    const struct deed *d = &m->f->w->deeds.at[deed];
    u32 *known = map_put(&m->told, hash_combine(d->value, hash_bytes(rule, strlen(rule), 0)) >> 1);
    if (*known)
        return;
    *known = 1;
    bool guessed = m->f->w->contexts.at[d->context].guessed;
    struct found out = {.kind = FOUND_MISUSE, .rule = rule, .path = lock, .score = guessed ? score - 6 : score};
    LIST_ADD(&out.side, (struct side){deed, held});
    LIST_ADD(&m->f->at, out);
}

/* A path that may name something else by now. */
static bool has_aged(const struct paths *ps, u32 path)
{
    for (;; path = path_at(ps, path)->base) {
        const struct path *q = path_at(ps, path);
        if (q->kind == P_OLD || (q->kind == P_INDEX && !q->a) || (q->kind == P_DEREF && q->a))
            return true;
        if (P_IS_ROOT(q->kind))
            return false;
    }
}

/* Surely the same lock, as one thread sees it. */
static bool again(struct whole *w, u32 held, u32 taken)
{
    if (same_lock(w, held, taken))
        return true;
    return held == taken && !has_aged(&w->a->ps, held) &&
           path_at(&w->a->ps, path_root_of(&w->a->ps, held))->kind != P_VALUE;
}

static bool may_hold(struct whole *w, const struct deed *d)
{
    if (sets_has(&w->a->sets, d->may, LOCK_ANY))
        return true;
    for (u32 i = 0, n = sets_count(&w->a->sets, d->may); i < n; i++) {
        u32 held = LOCK_PATH(sets_item(&w->a->sets, d->may, i));
        if (held == LOCK_PATH(d->path) || path_meets(&w->a->ps, held, LOCK_PATH(d->path)))
            return true;
    }
    return false;
}

/* A lock that some function forgets to give back: what follows from that is not told again. */
static bool is_consequence(const struct misuse *m, u32 deed, u32 held)
{
    const struct whole *w = m->f->w;
    u32 taken = lock_taken_at(w, deed, held);
    for (u32 i = 0; taken != NONE && i < m->f->at.n; i++) {
        const struct found *f = &m->f->at.at[i];
        if (f->kind == FOUND_MISUSE && strcmp(f->rule, "returns-holding") == 0 &&
            w->deeds.at[f->side.at[0].deed].value == w->deeds.at[taken].value)
            return true;
    }
    return false;
}

/* Whether the same call comes to the same instruction without the lock, too: a condition that the caller tests once more may
 * tell the two apart. */
static bool free_elsewhere(struct whole *w, const struct deed *d)
{
    for (u32 i = 0; i < w->acquired.n; i++) {
        const struct deed *x = &w->deeds.at[w->acquired.at[i]];
        if (x->value == d->value && x->path == d->path && x->root == d->root &&
            w->contexts.at[x->context].call == w->contexts.at[d->context].call && !may_hold(w, x))
            return true;
    }
    return false;
}

static void acquire(struct misuse *m, u32 number)
{
    struct whole *w = m->f->w;
    struct deed d = w->deeds.at[number];
    const struct known *k = lock_call(w, &d);
    if ((d.flags & (R_TRY | R_AFTER_WAIT)) || (k && k->recursive) || effect_is_recursive(w->a, LOCK_PATH(d.path)))
        return;
    for (u32 i = 0, n = sets_count(&w->a->sets, d.must); i < n; i++) {
        u32 held = sets_item(&w->a->sets, d.must, i);
        if (!again(w, LOCK_PATH(held), LOCK_PATH(d.path)) || (LOCK_SHARED(held) && LOCK_SHARED(d.path)) ||
            is_consequence(m, number, held))
            continue;
        bool upgrade = LOCK_SHARED(held) && !LOCK_SHARED(d.path);
        u32 taken = lock_taken_at(w, number, held);
        bool around =
            taken == NONE || w->deeds.at[taken].value == d.value; /* in an earlier round, if it was kept there */
        bool elsewhere = w->contexts.at[d.context].up != NONE && free_elsewhere(w, &d);
        tell(m, upgrade ? "rwlock-upgrade" : "relock", number, LOCK_PATH(d.path), held, around || elsewhere ? 14 : 20);
        return;
    }
}

/* Nothing is known of what the caller of a library holds, or where contexts became one. */
static bool knows_all(struct whole *w, const struct deed *d)
{
    for (u32 c = d->context; c != NONE; c = w->contexts.at[c].up)
        if (w->contexts.at[c].merged)
            return false;
    return !w->library;
}

/* What follows a lock taken twice never happens. */
static bool taken_twice(struct misuse *m, const struct deed *d)
{
    struct whole *w = m->f->w;
    for (u32 i = 0; i < m->f->at.n; i++) {
        const struct found *f = &m->f->at.at[i];
        if (f->kind == FOUND_MISUSE && strcmp(f->rule, "relock") == 0 &&
            w->deeds.at[f->side.at[0].deed].root == d->root && path_meets(&w->a->ps, f->path, LOCK_PATH(d->path)))
            return true;
    }
    return false;
}

/* Whether the same instruction is right in another context. */
static bool right_elsewhere(struct whole *w, const struct deed *d)
{
    for (u32 i = 0; i < w->deeds.n; i++)
        if (w->deeds.at[i].kind == d->kind && w->deeds.at[i].value == d->value && may_hold(w, &w->deeds.at[i]))
            return true;
    return false;
}

static void without_lock(struct misuse *m, u32 number, const char *rule)
{
    struct whole *w = m->f->w;
    struct deed d = w->deeds.at[number];
    u32 path = LOCK_PATH(d.path);
    if (path_at(&w->a->ps, path_root_of(&w->a->ps, path))->kind == P_ATOMIC || !knows_all(w, &d) || may_hold(w, &d))
        return;
    if (!path_cells(&w->a->ps, path)->n || taken_twice(m, &d))
        return;
    tell(m, rule, number, path, 0, path_single(&w->a->ps, path) != NONE && !right_elsewhere(w, &d) ? 18 : 12);
}

static void destroy(struct misuse *m, u32 number)
{
    struct whole *w = m->f->w;
    struct deed d = w->deeds.at[number];
    for (u32 i = 0, n = sets_count(&w->a->sets, d.must); i < n; i++) {
        u32 held = sets_item(&w->a->sets, d.must, i);
        if (again(w, LOCK_PATH(held), LOCK_PATH(d.path)))
            tell(m, "destroy-locked", number, LOCK_PATH(d.path), held, 18);
    }
}

static bool is_lock(const struct whole *w, u32 path)
{
    for (u32 i = 0; i < w->deeds.n; i++)
        if (w->deeds.at[i].kind == R_RELEASE && LOCK_PATH(w->deeds.at[i].path) == path)
            return true;
    return false;
}

/* A thread ends; a lock that is released somewhere is not here. */
static void leave(struct misuse *m, u32 number)
{
    struct whole *w = m->f->w;
    struct deed d = w->deeds.at[number];
    if (w->roots.at[d.root].thread == NONE)
        return;
    for (u32 i = 0, n = sets_count(&w->a->sets, d.must); i < n; i++) {
        u32 held = sets_item(&w->a->sets, d.must, i);
        if (!LOCK_SHARED(held) && is_lock(w, LOCK_PATH(held)) && !is_consequence(m, number, held))
            tell(m, "lock-left-at-thread-exit", number, LOCK_PATH(held), held, 14);
    }
}

/* ---- functions that return with a lock on one path and without it on another ---- */

/* A function that is called to release the lock, on every way. */
static bool wrapper_releases(struct analysis *a, const struct record *call, u32 lock)
{
    const struct summary *sum = &a->summary[call->path];
    u32 binding = binding_of_call(&a->ps, call->value, NULL);
    for (u32 i = 0; i < sum->outcome.n; i++)
        if (!sets_has(&a->sets, effect_bind_locks(a, sum->outcome.at[i].at.rel, binding), LOCK_ELEMENT(lock, 0)))
            return false;
    return sum->outcome.n != 0;
}

/* Releases of a lock in a function itself, or in a wrapper that it calls, while it surely holds it: then it means to give the lock back. */
static bool gives_back(struct analysis *a, u32 function, u32 lock)
{
    const struct summary *sum = &a->summary[function];
    for (u32 i = 0; i < sum->record.n; i++) {
        const struct record *r = &sum->record.at[i];
        if (!sets_has(&a->sets, r->at.must, LOCK_ELEMENT(lock, 0)))
            continue;
        if ((r->kind == R_RELEASE && LOCK_PATH(r->path) == lock) || (r->kind == R_CALL && wrapper_releases(a, r, lock)))
            return true;
    }
    return false;
}

/* Callers that release, after the call, a lock that they have not taken themselves know what they get. */
static bool callers_release(struct analysis *a, u32 function, u32 lock, int depth)
{
    for (u32 i = 0; i < a->sites[function].n; i++) {
        const struct call *c = &a->pt.calls.at[a->sites[function].at[i]];
        const struct summary *sum = &a->summary[c->function];
        u32 bound = path_bind(&a->ps, lock, binding_of_call(&a->ps, c->value, c->known));
        for (u32 k = 0; k < sum->record.n; k++) {
            const struct record *r = &sum->record.at[k];
            if (r->kind == R_RELEASE && c->function != function && path_meets(&a->ps, LOCK_PATH(r->path), bound) &&
                graph_reaches(a->p, a->block_of[c->value], a->block_of[r->value], NONE) | /* or in the same block */
                    (a->block_of[c->value] == a->block_of[r->value]))
                return true;
        }
        if (depth < 2 && callers_release(a, c->function, bound, depth + 1))
            return true;
    }
    return false;
}

/* A deed to show: the one that leaves with the lock, or any in the function that holds it. */
static u32 leaving(struct whole *w, u32 function, u32 element)
{
    for (u32 i = 0; i < w->acquired.n; i++) {
        const struct deed *d = &w->deeds.at[w->acquired.at[i]];
        u32 by = w->contexts.at[d->context].call;
        if (d->path == element && (w->a->p->values.at[d->value].function == function ||
                                   (by != NONE && w->a->p->values.at[by].function == function)))
            return w->acquired.at[i];
    }
    return NONE;
}

static void returns_holding(struct misuse *m, u32 function)
{
    struct whole *w = m->f->w;
    struct analysis *a = w->a;
    const struct summary *sum = &a->summary[function];
    for (u32 i = 0; i < sum->record.n; i++) {
        const struct record *r = &sum->record.at[i];
        if (r->kind != R_LEAVE)
            continue;
        for (u32 k = 0, n = sets_count(&a->sets, r->at.must); k < n; k++) {
            u32 held = sets_item(&a->sets, r->at.must, k), lock = LOCK_PATH(held);
            bool without = false;
            for (u32 j = 0; j < sum->outcome.n; j++)
                without |= !sets_has(&a->sets, sum->outcome.at[j].at.may, held);
            if (!without || LOCK_SHARED(held) || !gives_back(a, function, lock) ||
                callers_release(a, function, lock, 0))
                continue;
            u32 deed = leaving(w, function, held);
            if (deed == NONE)
                continue;
            tell(m, "returns-holding", deed, lock, held, 16);
            struct found *out = &m->f->at.at[m->f->at.n - 1];
            if (out->kind == FOUND_MISUSE && out->side.at[0].deed == deed && !out->others.n)
                LIST_ADD(&out->others, r->value); /* the return, not a deed */
        }
    }
}

void misuse_rule(struct findings *f)
{
    struct misuse m = {.f = f};
    for (u32 i = 0; i < f->w->a->p->functions.n; i++)
        returns_holding(&m, i);
    for (u32 i = 0; i < f->w->deeds.n; i++)
        if (f->w->deeds.at[i].kind == R_ACQUIRE)
            acquire(&m, i);
    for (u32 i = 0; i < f->w->deeds.n; i++) {
        switch (f->w->deeds.at[i].kind) {
        case R_RELEASE:
            without_lock(&m, i, "unlock-not-locked");
            break;
        case R_WAIT:
            without_lock(&m, i, "wait-without-lock");
            break;
        case R_DESTROY:
            destroy(&m, i);
            break;
        case R_LEAVE:
            leave(&m, i);
            break;
        default:
            break;
        }
    }
    map_free(&m.told);
}
