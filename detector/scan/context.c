/* From the functions' summaries to the whole program: follows calls from each thread's start, with what is held, created
 * and passed at each call. Called by scan.c. Takes no locks; allocates with malloc.
 *
 * A function is looked at once per context: what its callers hold, which threads live, what its parameters stand for.
 * Beyond CONTEXTS_PER_FUNCTION of one thread the rest become one, without knowledge of parameters. */
#include "whole.h"

#define CONTEXTS_PER_FUNCTION 32
/* In a large program in which all calls all, only so many when there are so many. */
#define CONTEXTS_IN_ALL 40000
#define CONTEXTS_WHEN_MANY 4
/* Of these, as many may differ in what is known of flags. */
#define CONTEXTS_BY_FLAGS 8
/* With more, a call through a pointer is a guess. */
#define SURE_TARGETS 4

static u32 add_context(struct whole *w, struct context c)
{
    struct sets *sets = &w->a->sets;
    u64 place = (u64)c.function << 32 | c.root;
    if (*map_put(&w->counts, place * 2) >= CONTEXTS_BY_FLAGS)
        c.flags = sets_common(sets, c.flags, w->roots.at[c.root].flags);
    u64 h = hash_combine(hash_combine(place, c.binding), hash_combine(c.must, c.may));
    h = hash_combine(h, hash_combine(hash_combine(c.live, c.joined), c.flags * 2 + c.dying)) >> 1;
    u32 *known = map_put(&w->context_index, h);
    if (*known)
        return NONE;
    *known = 1;
    u32 *count = map_put(&w->counts, place * 2);
    if (++*count <= (w->contexts.n > CONTEXTS_IN_ALL ? CONTEXTS_WHEN_MANY : CONTEXTS_PER_FUNCTION)) {
        LIST_ADD(&w->contexts, c);
        return w->contexts.n - 1;
    }
    u32 *merged = map_put(&w->counts, place * 2 + 1);
    c.binding = 0;
    c.merged = true;
    if (*merged) { /* what the earlier one says, less exactly, once more */
        const struct context *x = &w->contexts.at[*merged - 1];
        struct context before = *x;
        c.must = sets_common(sets, c.must, x->must);
        c.may = sets_union(sets, c.may, x->may);
        struct state cut = {.must = c.must, .may = c.may};
        effect_cut(w->a, &cut);
        c.must = cut.must;
        c.may = cut.may;
        c.live = sets_union(sets, c.live, x->live);
        c.joined = sets_common(sets, c.joined, x->joined);
        c.flags = sets_common(sets, c.flags, x->flags);
        if (c.must == before.must && c.may == before.may && c.live == before.live && c.joined == before.joined &&
            c.flags == before.flags)
            return NONE;
        if (*merged - 1 > w->current) { /* it has not been looked at yet */
            c.up = before.up;
            c.call = before.call;
            c.dying &= before.dying;
            w->contexts.at[*merged - 1] = c;
            return NONE;
        }
    }
    *merged = w->contexts.n + 1;
    LIST_ADD(&w->contexts, c);
    return w->contexts.n - 1;
}

/* Locks of the caller that are left when those released are gone. */
static u32 without(struct whole *w, u32 held, u32 released)
{
    struct analysis *a = w->a;
    if (sets_has(&a->sets, released, LOCK_ANY))
        return 0;
    u32 n = sets_count(&a->sets, released);
    struct state s = {.must = held, .may = held};
    for (u32 i = 0; i < n && s.may; i++)
        effect_release(a, &s, LOCK_PATH(sets_item(&a->sets, released, i)));
    return s.may;
}

/* New memory that a caller has shown nobody, or what it was before. */
static u32 root_for(struct analysis *a, u32 value, bool fresh)
{
    bool local = a->p->values.at[value].op == V_ALLOCA;
    return path_root(&a->ps, fresh ? P_FRESH : local ? P_STACK : P_HEAP, value);
}

/* The path of an argument, with what is known of its freshness at the call. */
static u32 argument(struct whole *w, const struct context *c, u32 path, u32 call)
{
    struct analysis *a = w->a;
    struct path r = *path_at(&a->ps, path_root_of(&a->ps, path));
    u32 bound = path_bind(&a->ps, path, c->binding);
    if (path_at(&a->ps, path)->has_deref)
        return bound;
    if (r.kind == P_HEAP || r.kind == P_STACK)
        return fresh_at(a, r.a, call) ? path_reroot(&a->ps, bound, root_for(a, r.a, true)) : bound;
    struct path now = *path_at(&a->ps, path_root_of(&a->ps, bound));
    if (r.kind == P_ARG && now.kind == P_FRESH && !fresh_at(a, r.a, call))
        return path_reroot(&a->ps, bound, root_for(a, now.a, false));
    return bound;
}

static u32 callee_binding(struct whole *w, const struct context *c, u32 call)
{
    struct analysis *a = w->a;
    const struct call *site = points_call(&a->pt, call);
    u32 relative = binding_of_call(&a->ps, call, site ? site->known : NULL), args[64];
    u32 n = a->ps.binding.at[relative].n;
    for (u32 i = 0; i < n; i++)
        args[i] = argument(w, c, binding_arg(&a->ps, relative, i), call);
    return binding_make(&a->ps, args, n);
}

/* What a thread's parameter stands for, seen from the thread. */
static u32 given_path(struct whole *w, u32 given, u32 start, bool alone)
{
    struct analysis *a = w->a;
    const struct function *f = &a->p->functions.at[start];
    u32 own = f->nargs ? path_root(&a->ps, P_OWN, f->value) : 0;
    if (!given)
        return own;
    u32 root = path_root_of(&a->ps, given);
    struct path q = *path_at(&a->ps, given), r = *path_at(&a->ps, root);
    if (q.has_deref || q.has_index)
        return own;
    if (r.kind == P_CONST || r.kind == P_FUNCTION || r.kind == P_GLOBAL)
        return given;
    if ((r.kind == P_STACK || r.kind == P_HEAP) && alone && path_single(&a->ps, given) != NONE)
        return given;
    return own;
}

static bool is_distinct(struct analysis *a, u32 given)
{
    struct path q = *path_at(&a->ps, given), r = *path_at(&a->ps, path_root_of(&a->ps, given));
    const struct value *v = r.kind == P_VALUE ? &a->p->values.at[r.a] : NULL;
    if (q.has_index)
        return true;
    if (r.kind == P_HEAP && !q.has_deref)
        return true;
    return v && (v->op == V_PHI || v->op == V_BIN);
}

/* Created once more, where less is known. */
static u32 again_root(struct whole *w, u32 root, u32 flags)
{
    struct root *r = &w->roots.at[root];
    u32 both = sets_common(&w->a->sets, r->flags, flags);
    if (both == r->flags)
        return root;
    struct context c = w->contexts.at[r->context];
    r->flags = c.flags = both;
    add_context(w, c);
    return root;
}

static u32 add_root(struct whole *w, u32 thread, u32 function, u32 parent, u32 flags)
{
    struct analysis *a = w->a;
    u32 *known = map_put(&w->root_index, (u64)thread << 32 | function);
    if (*known)
        return again_root(w, *known - 1, flags);
    struct root r = {.thread = thread, .function = function, .parent = parent, .context = w->contexts.n};
    struct context c = {.function = function, .root = w->roots.n, .up = NONE, .call = NONE};
    r.flags = c.flags = flags;
    *known = w->roots.n + 1;
    if (thread != NONE) {
        u32 given = a->threads.at[thread].given;
        u32 path = given_path(w, given, function, !w->roots.at[parent].many);
        r.distinct = given && is_distinct(a, given);
        c.binding = path ? binding_make(&a->ps, &path, 1) : 0;
    }
    LIST_ADD(&w->roots, r);
    add_context(w, c);
    return w->roots.n - 1;
}

static void add_deed(struct whole *w, struct deed d)
{
    u64 h = hash_combine(hash_combine(d.kind * 256u + d.flags, d.value), hash_combine(d.path, d.root));
    h = hash_combine(hash_combine(h, d.must), hash_combine(d.may, hash_combine(d.live, d.joined)));
    h = hash_combine(h, d.facts) >> 1;
    u32 *known = map_put(&w->deed_index, h);
    if (*known)
        return;
    *known = w->deeds.n + 1;
    LIST_ADD(&w->deeds, d);
    if (d.kind == R_CREATE)
        LIST_ADD(&w->created, w->deeds.n - 1);
    if (d.kind == R_ACQUIRE)
        LIST_ADD(&w->acquired, w->deeds.n - 1);
}

static void create(struct whole *w, struct deed d, u32 thread, u32 facts)
{
    struct analysis *a = w->a;
    u32 flags = flags_at_creation(w, facts, d.value, d.context);
    u32 start = a->threads.at[thread].start;
    const struct call *c = points_call(&a->pt, a->threads.at[thread].call);
    bool again = sets_has(&a->sets, d.live, thread) || w->roots.at[d.root].many || w->contexts.at[d.context].merged;
    for (u32 i = 0; i < c->targets.n; i++) {
        u32 function = c->targets.at[i];
        if (path_at(&a->ps, start)->kind == P_FUNCTION && path_at(&a->ps, start)->a != function)
            continue;
        d.path = add_root(w, thread, function, d.root, flags);
        w->roots.at[d.path].many |= again;
        add_deed(w, d);
    }
}

/* Whether the function can only end, not go on for ever. */
static bool comes_to_an_end(struct whole *w, u32 function)
{
    const struct program *p = w->a->p;
    const struct function *f = &p->functions.at[function];
    for (u32 b = f->block; b < f->block + f->nblocks; b++) {
        bool leaves = !p->blocks.at[b].loop;
        for (u32 other = f->block; other < f->block + f->nblocks && !leaves; other++)
            leaves = p->blocks.at[other].loop != p->blocks.at[b].loop && graph_reaches(p, b, other, NONE);
        if (!leaves)
            return false;
    }
    return true;
}

/* A call that nothing follows, as of a function that reports a failed assertion. Races of those who die are of no interest. */
static bool is_last(struct whole *w, u32 call, u32 callee)
{
    struct analysis *a = w->a;
    const struct block *b = &a->p->blocks.at[a->block_of[call]];
    u32 next = a->place_of[call] + 1;
    if (next >= b->ncode || a->p->values.at[a->p->code.at[b->code + next]].op != V_STOP)
        return false;
    return comes_to_an_end(w, callee);
}

static void do_call(struct whole *w, const struct context *c, u32 number, const struct deed *d, u32 callee, u32 flags)
{
    struct context next = {.function = callee, .root = c->root, .must = d->must, .may = d->may, .live = d->live};
    if (!w->a->summary[callee].matters)
        return;
    next.joined = d->joined;
    next.flags = flags;
    next.binding = callee_binding(w, c, d->value);
    next.up = number;
    next.call = d->value;
    next.dying = c->dying || is_last(w, d->value, callee);
    next.guessed = c->guessed || points_call(&w->a->pt, d->value)->targets.n > SURE_TARGETS;
    add_context(w, next);
}

/* The path of an access; 0 when nobody else can know the memory yet. */
static u32 place_of(struct whole *w, const struct context *c, const struct record *r)
{
    struct analysis *a = w->a;
    struct path root = *path_at(&a->ps, path_root_of(&a->ps, r->path));
    u32 bound = path_bind(&a->ps, r->path, c->binding);
    if (root.kind != P_ARG)
        return bound;
    struct path now = *path_at(&a->ps, path_root_of(&a->ps, bound));
    if (now.kind != P_FRESH || path_at(&a->ps, bound)->has_deref)
        return bound;
    return fresh_at(a, root.a, r->value) ? 0 : path_reroot(&a->ps, bound, root_for(a, now.a, false));
}

static void redo(struct whole *w, u32 number, const struct record *r)
{
    struct analysis *a = w->a;
    struct context c = w->contexts.at[number];
    u32 flags = c.flags ? flags_kept(w, c.function, c.flags) : 0;
    if (r->at.facts && (fact_refuted(a, r->at.facts, c.binding) || fact_contradicts(a, r->at.facts, flags)))
        return; /* not reached with these arguments, or this state of a flag */
    u32 rel = effect_bind_locks(a, r->at.rel, c.binding);
    u32 joined = effect_bind_threads(a, r->at.joined, c.binding);
    u32 live = effect_bind_threads(a, r->at.live, c.binding);
    struct deed d = {.kind = r->kind, .flags = r->flags, .value = r->value, .root = c.root, .context = number};
    d.facts = flags_of_starting(w, sets_union(&a->sets, flags, r->at.facts));
    d.must = sets_union(&a->sets, without(w, c.must, rel), effect_bind_locks(a, r->at.must, c.binding));
    d.may = sets_union(&a->sets, without(w, c.may, rel), effect_bind_locks(a, r->at.may, c.binding));
    if (sets_has(&a->sets, rel, LOCK_ANY))
        d.may = sets_add(&a->sets, d.may, LOCK_ANY);
    struct state cut = {.must = d.must, .may = d.may};
    effect_cut(a, &cut);
    d.must = cut.must;
    d.may = cut.may;
    d.live = sets_union(&a->sets, effect_still_live(a, c.live, joined), live);
    d.joined = sets_minus(&a->sets, sets_union(&a->sets, c.joined, joined), live);
    switch (r->kind) {
    case R_CALL:
        if (w->roots.at[c.root].thread != NONE) /* main's contexts are too many already */
            flags = sets_union(&a->sets, flags, flags_in(a, r->at.facts));
        do_call(w, &c, number, &d, r->path, flags);
        return;
    case R_CREATE:
        create(w, d, sets_item(&a->sets, effect_bind_threads(a, sets_one(&a->sets, r->path), c.binding), 0),
               flags_each_time(w, r->value, number));
        return;
    case R_ACCESS:
        if (c.dying)
            return;
        d.path = place_of(w, &c, r);
        if (d.path)
            add_deed(w, d);
        return;
    case R_LEAVE:
        if (c.up == NONE)
            add_deed(w, d);
        return;
    default:
        d.path = r->path ? LOCK_ELEMENT(path_bind(&a->ps, LOCK_PATH(r->path), c.binding), LOCK_SHARED(r->path)) : 0;
        add_deed(w, d);
    }
}

static void begin(struct whole *w)
{
    const struct program *p = w->a->p;
    for (u32 i = 0; i < p->functions.n; i++)
        if ((p->functions.at[i].flags & FN_DEFINED) && strcmp(text_of(p, p->functions.at[i].name), "main") == 0) {
            add_root(w, NONE, i, NONE, 0);
            return;
        }
    w->library = true;
    for (u32 i = 0; i < p->functions.n; i++) {
        bool entry = (p->functions.at[i].flags & (FN_DEFINED | FN_STATIC)) == FN_DEFINED;
        if (!entry || w->a->sites[i].n || !w->a->summary[i].matters)
            continue;
        u32 root = add_root(w, NONE, i, NONE, 0);
        w->roots.at[root].many = true;
    }
}

void whole_run(struct whole *w, struct analysis *a)
{
    *w = (struct whole){.a = a};
    flags_find_starting(w);
    begin(w);
    for (u32 i = 0; i < w->contexts.n; i++) { /* grows while it is walked */
        const struct summary *sum = &a->summary[w->contexts.at[i].function];
        w->current = i;
        for (u32 k = 0; k < sum->record.n; k++)
            redo(w, i, &sum->record.at[k]);
    }
    threads_relate(w);
}
