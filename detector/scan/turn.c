/* What makes a race less likely. Turns: threads that hand memory to each other by an atomic variable. One stores it ("there is work") and reads it until the
 * other has stored it back ("done"). What the one does outside of that stretch, and what the other does after it has read the
 * variable, is not done at the same time. That the values mean this is a guess, so such races are kept, as the least likely. Called by race.c. Takes no locks; allocates
 * with malloc. */
#include <stdlib.h>

#include "rules.h"

#define MAX_CHAIN 64

struct turn_use {
    u32 cell, deed;
    bool write, answer; /* answer: a write of what the other thread writes, too: it hands over no work */
    u32 wait, depth;    /* of a write that hands over: the use that waits, NONE; where their ways part */
};
struct turns {
    struct whole *w;
    LIST(struct turn_use) uses;     /* by cell */
    struct list_u32 signals, waits; /* deeds */
    struct map memo, starting, handed;
};

/* Where a deed stands in each of the functions on the way to it, outermost first. */
static u32 chain_of(const struct whole *w, const struct deed *d, u32 *out)
{
    u32 n = 0, value = d->value;
    for (u32 c = d->context; n < MAX_CHAIN; c = w->contexts.at[c].up) {
        out[n++] = value;
        if (w->contexts.at[c].up == NONE)
            break;
        value = w->contexts.at[c].call;
    }
    for (u32 i = 0; i < n / 2; i++) {
        u32 swap = out[i];
        out[i] = out[n - 1 - i];
        out[n - 1 - i] = swap;
    }
    return n;
}

/* The two places in the function where the ways to the deeds part. */
static bool part(const struct whole *w, const struct deed *x, const struct deed *y, u32 *one, u32 *two, u32 *depth)
{
    const struct program *p = w->a->p;
    u32 left[MAX_CHAIN], right[MAX_CHAIN], n = chain_of(w, x, left), m = chain_of(w, y, right), i = 0;
    while (i < n && i < m && left[i] == right[i])
        i++;
    if (i == n || i == m || p->values.at[left[i]].function != p->values.at[right[i]].function)
        return false;
    *one = left[i];
    *two = right[i];
    if (depth)
        *depth = i + 1;
    return true;
}

static bool reaches(const struct analysis *a, u32 from, u32 to)
{
    u32 x = a->block_of[from], y = a->block_of[to];
    return (x == y && a->place_of[from] < a->place_of[to]) || graph_reaches(a->p, x, y, NONE);
}

/* There is no way to the second one that does not pass the first. */
static bool dominates(const struct analysis *a, u32 first, u32 second)
{
    const struct function *f = &a->p->functions.at[a->p->values.at[first].function];
    u32 x = a->block_of[first], y = a->block_of[second];
    if (x == y)
        return a->place_of[first] < a->place_of[second];
    return x == f->block || (y != f->block && !graph_reaches(a->p, f->block, y, x));
}

static int by_cell(const void *a, const void *b)
{
    const struct turn_use *x = a, *y = b;
    return x->cell != y->cell ? (x->cell > y->cell) - (x->cell < y->cell) : (x->deed > y->deed) - (x->deed < y->deed);
}

/* Whether a branch asks for the value. */
static bool is_tested(const struct analysis *a, u32 value)
{
    const struct program *p = a->p;
    const struct function *f = &p->functions.at[p->values.at[value].function];
    for (u32 i = f->value; i < f->value + f->nvalues; i++) {
        const struct value *v = &p->values.at[i];
        if ((v->op == V_CMP && (v->a == value || v->b == value)) ||
            ((v->op == V_BRANCH || v->op == V_SWITCH) && v->a == value))
            return true;
    }
    return false;
}

/* The value, or another call of the same function: equal calls have one context, and so one way to them. */
static bool tested_before(const struct analysis *a, u32 value, u32 place)
{
    const struct program *p = a->p;
    const struct value *v = &p->values.at[value];
    if (v->op != V_CALL)
        return dominates(a, value, place) && is_tested(a, value);
    const struct function *f = &p->functions.at[v->function];
    for (u32 b = f->block; b < f->block + f->nblocks; b++)
        for (u32 i = 0; i < p->blocks.at[b].ncode; i++) {
            u32 other = p->code.at[p->blocks.at[b].code + i];
            const struct value *x = &p->values.at[other];
            if (x->op == V_CALL && x->a == v->a && dominates(a, other, place) && is_tested(a, other))
                return true;
        }
    return false;
}

/* Whether the thread, in one function, comes to the deed only after it has asked for the variable, and writes it later. */
static bool waits_and_answers(const struct turns *t, const struct deed *d, u32 first, u32 end)
{
    const struct whole *w = t->w;
    u64 waits = 0, answers = 0; /* by depth */
    u32 one, two, depth;
    for (u32 i = first; i < end && !(waits & answers); i++) {
        const struct deed *x = &w->deeds.at[t->uses.at[i].deed];
        if (x->root != d->root || !part(w, x, d, &one, &two, &depth))
            continue;
        if (!t->uses.at[i].write && tested_before(w->a, one, two))
            waits |= 1ULL << (depth & 63);
        if (t->uses.at[i].write && reaches(w->a, two, one))
            answers |= 1ULL << (depth & 63);
    }
    return (waits & answers) != 0;
}

/* The constant that is stored, NONE when it is none. */
static u32 stored(const struct turns *t, u32 use)
{
    struct analysis *a = t->w->a;
    const struct deed *d = &t->w->deeds.at[t->uses.at[use].deed];
    u32 value = path_of(&a->ps, a->p->values.at[d->value].b);
    value = path_bind(&a->ps, value, t->w->contexts.at[d->context].binding);
    return path_at(&a->ps, value)->kind == P_CONST ? (u32)value_number(&a->p->values.at[path_at(&a->ps, value)->a])
                                                   : NONE;
}

/* Another thread writes the same. */
static bool is_answer(const struct turns *t, u32 use, u32 first, u32 end)
{
    u32 number = stored(t, use);
    for (u32 i = first; i < end && number != NONE; i++)
        if (t->uses.at[i].write &&
            t->w->deeds.at[t->uses.at[i].deed].root != t->w->deeds.at[t->uses.at[use].deed].root &&
            stored(t, i) == number)
            return true;
    return false;
}

/* The read that waits for what a write has asked for: in the function where their ways part last. */
static void find_wait(struct turns *t, struct turn_use *write, u32 first, u32 end)
{
    const struct whole *w = t->w;
    const struct deed *d = &w->deeds.at[write->deed];
    u32 one, two, deep;
    write->wait = NONE;
    for (u32 i = first; i < end; i++) {
        const struct deed *x = &w->deeds.at[t->uses.at[i].deed];
        if (!t->uses.at[i].write && x->root == d->root && part(w, d, x, &one, &two, &deep) &&
            (write->wait == NONE || deep > write->depth) && reaches(w->a, one, two)) {
            write->wait = i;
            write->depth = deep;
        }
    }
}

/* At least two threads both read and write it. */
static bool is_shared(const struct turns *t, u32 first, u32 end)
{
    u32 roots = 0, last = NONE;
    for (u32 i = first; i < end; i++) {
        u32 root = t->w->deeds.at[t->uses.at[i].deed].root;
        bool reads = false;
        for (u32 k = first; k < end && t->uses.at[i].write && root != last && !reads; k++)
            reads = !t->uses.at[k].write && t->w->deeds.at[t->uses.at[k].deed].root == root;
        roots += reads;
        last = reads ? root : last;
    }
    return roots > 1;
}

#define MAX_USES 400

/* How far from the write itself the function is in which it waits. */
static u32 distance(const struct turns *t, const struct turn_use *u)
{
    u32 chain[MAX_CHAIN];
    return u->wait == NONE ? NONE : chain_of(t->w, &t->w->deeds.at[u->deed], chain) - u->depth;
}

/* The same call waits in the same function, whoever calls that: where contexts became one, this is not seen of each. */
static void keep_nearest(struct turns *t, u32 first, u32 end)
{
    struct map nearest = {0};
    for (int round = 0; round < 2; round++)
        for (u32 i = first; i < end; i++) {
            struct turn_use *u = &t->uses.at[i];
            const struct deed *d = &t->w->deeds.at[u->deed];
            u32 *least = u->write && !u->answer
                             ? map_put(&nearest, (u64)d->value << 32 | t->w->contexts.at[d->context].call)
                             : NULL;
            u32 here = least ? ~distance(t, u) : 0; /* the greatest is the nearest */
            if (least && round == 0 && here > *least)
                *least = here;
            else if (least && round == 1 && here < *least)
                u->answer = true;
        }
    map_free(&nearest);
}

/* Keeps the cells that may pass turns on, and finds who waits for whom. */
static void prepare(struct turns *t)
{
    u32 kept = 0;
    for (u32 i = 0, k; i < t->uses.n; i = k) {
        for (k = i; k < t->uses.n && t->uses.at[k].cell == t->uses.at[i].cell;)
            k++;
        if (k - i > MAX_USES || !is_shared(t, i, k))
            continue;
        memmove(t->uses.at + kept, t->uses.at + i, (k - i) * sizeof *t->uses.at);
        for (u32 u = kept; u < kept + k - i; u++)
            if (t->uses.at[u].write && !(t->uses.at[u].answer = is_answer(t, u, kept, kept + k - i)))
                find_wait(t, &t->uses.at[u], kept, kept + k - i);
        keep_nearest(t, kept, kept + k - i);
        kept += k - i;
    }
    t->uses.n = kept;
}

/* Whether the deed stands between a write that hands over and the read that waits for the answer; or nothing is handed over. */
static bool stands_between(const struct turns *t, const struct deed *d, u32 first, u32 end)
{
    const struct whole *w = t->w;
    bool hands_over = false;
    u32 deep, from, to, one, two;
    for (u32 i = first; i < end; i++) {
        const struct turn_use *u = &t->uses.at[i];
        const struct deed *write = &w->deeds.at[u->deed];
        if (!u->write || u->answer || write->root != d->root)
            continue;
        if (u->wait == NONE)
            return true; /* it waits nowhere */
        hands_over = true;
        if (!part(w, write, d, &from, &one, &deep) || deep < u->depth || !reaches(w->a, from, one))
            continue;
        if (deep > u->depth || !part(w, d, &w->deeds.at[t->uses.at[u->wait].deed], &two, &to, &deep) ||
            deep != u->depth || reaches(w->a, two, to))
            return true;
    }
    return !hands_over;
}

/* What is said of a deed and the cell whose uses begin at `first`, kept. */
static bool remembered(struct turns *t, const struct deed *d, u32 first, u32 end, bool wait)
{
    u64 key = hash_combine(hash_combine(d->value, d->context), first * 2 + wait) >> 1;
    u32 *known = map_put(&t->memo, key);
    if (!*known)
        *known = 1 + (wait ? waits_and_answers(t, d, first, end) : stands_between(t, d, first, end));
    return *known == 2;
}

bool turns_part(struct turns *t, const struct deed *x, const struct deed *y)
{
    for (u32 i = 0, k; i < t->uses.n && x->root != y->root; i = k) {
        for (k = i; k < t->uses.n && t->uses.at[k].cell == t->uses.at[i].cell;)
            k++;
        if ((remembered(t, x, i, k, true) && !remembered(t, y, i, k, false)) ||
            (remembered(t, y, i, k, true) && !remembered(t, x, i, k, false)))
            return true;
    }
    return false;
}

struct turns *turns_find(struct whole *w)
{
    struct turns *t = store_alloc(sizeof *t);
    t->w = w;
    for (u32 i = 0; i < w->deeds.n; i++) {
        const struct deed *d = &w->deeds.at[i];
        u8 op = w->a->p->values.at[d->value].op;
        if (d->kind == R_SIGNAL && (d->flags & R_AFTER_WAIT))
            LIST_ADD(&t->waits, i);
        else if (d->kind == R_SIGNAL)
            LIST_ADD(&t->signals, i);
        if (d->kind != R_ACCESS || !(d->flags & R_ATOMIC) || (op != V_LOAD && op != V_STORE))
            continue;
        const struct list_u32 *cells = path_cells(&w->a->ps, d->path);
        for (u32 k = 0; k < cells->n && cells->n <= 4; k++)
            LIST_ADD(&t->uses, (struct turn_use){.cell = cells->at[k], .deed = i, .write = op == V_STORE});
    }
    if (t->uses.n)
        qsort(t->uses.at, t->uses.n, sizeof *t->uses.at, by_cell);
    prepare(t);
    return t;
}

void turns_free(struct turns *t)
{
    free(t->uses.at);
    free(t->signals.at);
    free(t->waits.at);
    map_free(&t->handed);
    map_free(&t->memo);
    map_free(&t->starting);
    free(t);
}

/* Whether a call of the same function, or the instruction itself, comes after the place, too. */
static bool comes_again(const struct analysis *a, u32 value, u32 place)
{
    const struct program *p = a->p;
    const struct value *v = &p->values.at[value];
    const struct function *f = &p->functions.at[v->function];
    for (u32 b = f->block; b < f->block + f->nblocks; b++)
        for (u32 i = 0; i < p->blocks.at[b].ncode; i++) {
            u32 other = p->code.at[p->blocks.at[b].code + i];
            const struct value *x = &p->values.at[other];
            if ((other == value || (v->op == V_CALL && x->op == V_CALL && x->a == v->a)) && reaches(a, place, other))
                return true;
        }
    return false;
}

/* What the first one's thread signals only after it, and the second one's waits for before it. Who waits again and again, as
 * helpers do for work, gets what was written for it. */
static bool hands_over(struct turns *t, const struct deed *x, const struct deed *y)
{
    struct whole *w = t->w;
    u32 one, two;
    for (u32 i = 0; i < t->signals.n; i++) {
        const struct deed *s = &w->deeds.at[t->signals.at[i]];
        if (s->root != x->root || !part(w, x, s, &one, &two, NULL) || !dominates(w->a, one, two))
            continue;
        for (u32 k = 0; k < t->waits.n; k++) {
            const struct deed *u = &w->deeds.at[t->waits.at[k]];
            if (u->root == y->root && path_meets(&w->a->ps, LOCK_PATH(s->path), LOCK_PATH(u->path)) &&
                part(w, u, y, &one, &two, NULL) && reaches(w->a, one, two) &&
                ((x->flags & R_WRITE) || !comes_again(w->a, one, two)))
                return true;
        }
    }
    return false;
}

/* Whether a condition or a semaphore seems to hand over from one to the other. */
bool turns_hand_over(struct turns *t, const struct deed *x, const struct deed *y)
{
    u64 key = hash_combine(hash_combine(x->value, x->context), hash_combine(y->value, y->context)) >> 1;
    if (x->root == y->root || !t->signals.n || !t->waits.n)
        return false;
    u32 *known = map_put(&t->handed, key);
    if (!*known)
        *known = 1 + (hands_over(t, x, y) || hands_over(t, y, x));
    return *known == 2;
}

bool turns_starting(struct turns *t, const struct deed *d)
{
    const struct whole *w = t->w;
    u32 one, two;
    if (w->roots.at[d->root].thread != NONE)
        return false;
    u32 *known = map_put(&t->starting, (u64)d->value << 32 | d->context);
    if (*known)
        return *known == 2;
    bool starting = false;
    for (u32 i = 0; i < w->created.n && !starting; i++) {
        const struct deed *c = &w->deeds.at[w->created.at[i]];
        if (c->root == d->root && part(w, d, c, &one, &two, NULL))
            starting = reaches(w->a, one, two) && !reaches(w->a, two, one);
    }
    *known = starting ? 2 : 1;
    return starting;
}

bool turns_one_by_one(struct whole *w, u32 root)
{
    u32 thread = w->roots.at[root].thread;
    u32 handle = thread == NONE ? 0 : w->a->threads.at[thread].handle;
    return handle && path_at(&w->a->ps, path_root_of(&w->a->ps, handle))->kind == P_GLOBAL &&
           path_single(&w->a->ps, handle) != NONE;
}
