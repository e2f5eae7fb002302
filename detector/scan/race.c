/* Data races: two accesses to one place by threads that may run at the same time, one a write, not both atomic, with no lock
 * that both hold. When most accesses hold one lock, the others are what is wrong: `unprotected`. Called by scan.c. Takes no
 * locks; allocates with malloc. */
#include <stdlib.h>

#include "rules.h"

/* Of one place, accesses that differ in nothing that matters count as one. This many are compared. */
#define MAX_GROUPS 600

struct use {
    u32 cell, deed;
};
struct group {
    u32 deed; /* one of them */
    struct list_u32 deeds;
    bool racing;
};
struct place {
    struct findings *f;
    struct turns *turns;
    u32 cell;
    LIST(struct group) groups;
    struct map index;
    u32 first, second, score; /* the best pair */
};

static int by_cell(const void *a, const void *b)
{
    const struct use *x = a, *y = b;
    return x->cell != y->cell ? (x->cell > y->cell) - (x->cell < y->cell) : (x->deed > y->deed) - (x->deed < y->deed);
}

/* What std::thread's constructor copies for the new thread: nobody else's from then on. */
static bool is_state_of_thread(const struct whole *w, u32 value)
{
    const struct program *p = w->a->p;
    const char *name = text_of(p, p->functions.at[p->values.at[value].function].name);
    return strncmp(name, "_ZNSt6threadC", 13) == 0;
}

static bool interesting(const struct whole *w, u32 cell)
{
    const struct object *o = &w->a->pt.objects.at[w->a->pt.cells.at[cell].object];
    if (o->kind == OBJ_FUNCTION || !o->escapes || map_get(&w->a->intended, cell) || map_get(&w->a->spins, cell))
        return false;
    if (o->kind == OBJ_HEAP && is_state_of_thread(w, o->of))
        return false;
    return o->kind != OBJ_GLOBAL || !(w->a->p->globals.at[o->of].flags & (GL_TLS | GL_CONSTANT));
}

typedef LIST(struct use) use_list;

/* How many bytes an access of memory as a whole touches; 1 when that is not known. */
static u32 length_of(const struct whole *w, const struct deed *d)
{
    const struct program *p = w->a->p;
    const struct value *v = &p->values.at[d->value];
    const struct value *length = (d->flags & R_WHOLE) && v->op == V_COPY && v->c != NONE ? &p->values.at[v->c] : NULL;
    int64_t n = length && length->op == V_CONST ? value_number(length) : 1;
    return n > 0 && n < 1 << 24 ? (u32)n : 1;
}

static void add_uses(struct whole *w, use_list *uses, u32 deed)
{
    const struct deed *d = &w->deeds.at[deed];
    const struct list_u32 *cells = path_cells(&w->a->ps, d->path);
    u32 length = length_of(w, d);
    for (u32 i = 0; i < cells->n; i++) {
        const struct cell *c = &w->a->pt.cells.at[cells->at[i]];
        const struct object *o = &w->a->pt.objects.at[c->object];
        if (!interesting(w, cells->at[i]))
            continue;
        LIST_ADD(uses, (struct use){cells->at[i], deed});
        for (u32 k = 0; length > 1 && k < o->cells.n; k++) { /* all its fields */
            u32 offset = w->a->pt.cells.at[o->cells.at[k]].offset;
            if (offset > c->offset && offset - c->offset < length)
                LIST_ADD(uses, (struct use){o->cells.at[k], deed});
        }
    }
}

static void add_to_group(struct place *p, u32 deed)
{
    const struct deed *d = &p->f->w->deeds.at[deed];
    u64 h = hash_combine(hash_combine(d->path, d->root), hash_combine(d->must, d->live));
    h = hash_combine(h, hash_combine(hash_combine(d->joined, d->facts), d->flags & (R_WRITE | R_ATOMIC))) >> 1;
    u32 *known = map_put(&p->index, h);
    if (!*known) {
        LIST_ADD(&p->groups, (struct group){.deed = deed});
        *known = p->groups.n;
    }
    LIST_ADD(&p->groups.at[*known - 1].deeds, deed);
}

/* Reached from what a thread was given without following a pointer; or at an index that is derived from it. */
static bool is_own(struct paths *ps, u32 path)
{
    for (; !P_IS_ROOT(path_at(ps, path)->kind); path = path_at(ps, path)->base) {
        const struct path *q = path_at(ps, path);
        if (q->kind == P_DEREF)
            return false;
        if (q->kind == P_INDEX && q->a && path_at(ps, path_root_of(ps, q->a))->kind == P_OWN)
            return true;
    }
    return path_at(ps, path)->kind == P_OWN;
}

/* Each of several threads at its own part. */
static bool each_its_own(struct whole *w, const struct deed *x, const struct deed *y)
{
    struct paths *ps = &w->a->ps;
    if (x->root != y->root || !w->roots.at[x->root].distinct)
        return false;
    return is_own(ps, x->path) && is_own(ps, y->path);
}

static bool begins_with(const struct paths *ps, u32 path, u32 with)
{
    const struct path *q = path_at(ps, path), *x = path_at(ps, with);
    if (q->kind == P_FIELD && x->kind == P_FIELD && q->base == x->base)
        return q->element == x->element && q->offset >= x->offset;
    for (; path != with; path = path_at(ps, path)->base)
        if (P_IS_ROOT(path_at(ps, path)->kind))
            return false;
    return true;
}

/* The creator prepares what it is about to hand over: in this round of its loop the thread does not have it yet. */
static bool before_handing_over(struct whole *w, const struct deed *creator, const struct deed *other)
{
    struct analysis *a = w->a;
    const struct root *r = &w->roots.at[other->root];
    if (r->parent != creator->root || !r->distinct || !is_own(&a->ps, other->path))
        return false;
    const struct thread_name *t = &a->threads.at[r->thread];
    u32 call = t->call, varying = NONE;
    if (a->p->values.at[call].function != a->p->values.at[creator->value].function ||
        !begins_with(&a->ps, creator->path, t->given))
        return false;
    for (u32 at = t->given; !P_IS_ROOT(path_at(&a->ps, at)->kind); at = path_at(&a->ps, at)->base) {
        const struct path *q = path_at(&a->ps, at);
        if (q->kind == P_INDEX && q->a && path_at(&a->ps, path_root_of(&a->ps, q->a))->kind == P_VALUE)
            varying = path_at(&a->ps, path_root_of(&a->ps, q->a))->a;
    }
    const struct value *v = varying == NONE ? NULL : &a->p->values.at[varying];
    if (!v || v->op != V_PHI)
        return false;
    u32 from = a->block_of[call], to = a->block_of[creator->value];
    if (from == to)
        return a->place_of[creator->value] < a->place_of[call];
    return !graph_reaches(a->p, from, to, a->block_of[varying]);
}

static bool race(struct whole *w, const struct deed *x, const struct deed *y)
{
    struct paths *ps = &w->a->ps;
    if (!((x->flags | y->flags) & R_WRITE) || (x->flags & y->flags & R_ATOMIC) || !threads_meet(w, x, y))
        return false;
    u32 one = path_element(ps, x->path), two = path_element(ps, y->path);
    if (one != two && one != NONE && two != NONE)
        return false;
    if (each_its_own(w, x, y) || before_handing_over(w, x, y) || before_handing_over(w, y, x))
        return false;
    return !same_guard(w, x, y);
}

/* What it takes from the score that something seems to keep the two apart; that the one is done while the program starts, or
 * under a flag that lets it be done once; that the threads of one kind seem to be one at a time; that a pointer to a function may
 * point to many. */
enum { APART = 10, STARTING = 4, ONCE = 5, ONE_BY_ONE = 5, GUESSED = 9 };

/* Sure things first: one object, no lock in between that may have been held, plain writes. */
static u32 score_of(struct place *p, const struct deed *x, const struct deed *y)
{
    struct whole *w = p->f->w;
    int score = 10;
    score += path_single(&w->a->ps, x->path) != NONE ? 4 : 0;
    score += path_single(&w->a->ps, y->path) != NONE ? 4 : 0;
    score += x->may == x->must && y->may == y->must ? 2 : 0;
    score += x->flags & y->flags & R_WRITE ? 1 : 0;
    score -= (x->flags | y->flags) & R_ATOMIC ? 2 : 0;
    score -= w->contexts.at[x->context].merged || w->contexts.at[y->context].merged ? 3 : 0;
    score -= w->contexts.at[x->context].guessed || w->contexts.at[y->context].guessed ? GUESSED : 0;
    if (score <= (int)p->score)
        return 1;
    if (turns_starting(p->turns, x) || turns_starting(p->turns, y))
        score -= STARTING;
    else if (flags_initialise(w, x->value, x->context) || flags_initialise(w, y->value, y->context))
        score -= ONCE;
    score -= x->root == y->root && turns_one_by_one(w, x->root) ? ONE_BY_ONE : 0;
    if (score <= (int)p->score)
        return 1;
    score -= turns_part(p->turns, x, y) || turns_hand_over(p->turns, x, y) ? APART : 0;
    return score > 1 ? (u32)score : 1;
}

static void compare(struct place *p)
{
    struct whole *w = p->f->w;
    u32 n = p->groups.n < MAX_GROUPS ? p->groups.n : MAX_GROUPS;
    for (u32 i = 0; i < n; i++)
        for (u32 k = i; k < n; k++) {
            struct deed x = w->deeds.at[p->groups.at[i].deed], y = w->deeds.at[p->groups.at[k].deed];
            if (!race(w, &x, &y))
                continue;
            p->groups.at[i].racing = p->groups.at[k].racing = true;
            u32 score = score_of(p, &x, &y);
            if (score > p->score) {
                p->score = score;
                p->first = i;
                p->second = k;
            }
        }
}

/* The lock that most accesses hold; how many places there are and how many hold it. */
static u32 usual_guard(struct place *p, u32 *holding, u32 *all)
{
    struct whole *w = p->f->w;
    struct map count = {0}, seen = {0};
    u32 best = 0;
    *holding = *all = 0;
    for (u32 i = 0; i < p->groups.n; i++)
        for (u32 k = 0; k < p->groups.at[i].deeds.n; k++) {
            const struct deed *d = &w->deeds.at[p->groups.at[i].deeds.at[k]];
            u32 *known = map_put(&seen, d->value);
            *all += !*known;
            for (u32 j = 0, n = sets_count(&w->a->sets, d->must); j < n && !*known; j++) {
                u32 lock = LOCK_PATH(sets_item(&w->a->sets, d->must, j));
                u32 *c = map_put(&count, lock);
                if (++*c > *holding) {
                    *holding = *c;
                    best = lock;
                }
            }
            *known = 1;
        }
    map_free(&count);
    map_free(&seen);
    return best;
}

static void report(struct place *p)
{
    struct findings *f = p->f;
    struct found out = {.kind = FOUND_RACE, .cell = p->cell, .score = p->score};
    u32 holding, all, guard = usual_guard(p, &holding, &all);
    u32 first = p->groups.at[p->first].deed, second = p->groups.at[p->second].deed;
    if (all >= 3 && holding * 3 >= all * 2 && holding < all) {
        out.kind = FOUND_UNPROTECTED;
        out.guard = guard;
        out.guarded = holding;
        out.accesses = all;
    }
    if (!(f->w->deeds.at[first].flags & R_WRITE)) { /* the write is told first */
        u32 swap = first;
        first = second;
        second = swap;
    }
    out.path = f->w->deeds.at[first].path;
    LIST_ADD(&out.side, (struct side){first, 0});
    LIST_ADD(&out.side, (struct side){second, 0});
    for (u32 i = 0; i < p->groups.n; i++)
        for (u32 k = 0; p->groups.at[i].racing && k < p->groups.at[i].deeds.n; k++)
            LIST_ADD(&out.others, p->groups.at[i].deeds.at[k]);
    LIST_ADD(&f->at, out);
}

void race_rule(struct findings *f)
{
    use_list uses = {0};
    if (f->w->library)
        return; /* its users decide which functions run at the same time */
    struct turns *turns = turns_find(f->w);
    for (u32 i = 0; i < f->w->deeds.n; i++)
        if (f->w->deeds.at[i].kind == R_ACCESS)
            add_uses(f->w, &uses, i);
    if (uses.n)
        qsort(uses.at, uses.n, sizeof *uses.at, by_cell);
    for (u32 i = 0; i < uses.n;) {
        struct place p = {.f = f, .turns = turns, .cell = uses.at[i].cell};
        for (; i < uses.n && uses.at[i].cell == p.cell; i++)
            add_to_group(&p, uses.at[i].deed);
        compare(&p);
        if (p.score)
            report(&p);
        for (u32 k = 0; k < p.groups.n; k++)
            free(p.groups.at[k].deeds.at);
        free(p.groups.at);
        map_free(&p.index);
    }
    free(uses.at);
    turns_free(turns);
}
