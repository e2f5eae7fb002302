/* Follows one function from its start to all its ends, with what is held, created and known at each point. Called for every
 * function, callees first. Takes no locks; allocates with malloc.
 *
 * A point has several states: those that agree on locks and threads become one where ways meet, and keep only the facts
 * that both know; the others stay apart (property simulation: Das, Lerner and Seigl 2002). So a lock that is taken under a
 * condition and released under the same condition is followed exactly. Beyond MAX_STATES they become one, with `may`
 * and `must` telling what is left.
 *
 * Everything is relative to the function's start: paths begin at its parameters, locks of the caller appear only when
 * they are released. The result is a summary: the ways to end, and a record of each thing done. */
#include "flow.h"

#include <stdlib.h>

#define MAX_STATES 12
#define MAX_JOINING 40 /* in functions that join threads */
#define MAX_OUTCOMES 8
#define MAX_NOT_CASES 6

static bool agree(const struct state *x, const struct state *y)
{
    return x->must == y->must && x->may == y->may && x->rel == y->rel && x->live == y->live && x->joined == y->joined;
}

static void merge(struct analysis *a, struct state *to, const struct state *from)
{
    to->must = sets_common(&a->sets, to->must, from->must);
    to->may = sets_union(&a->sets, to->may, from->may);
    to->rel = sets_union(&a->sets, to->rel, from->rel);
    effect_cut(a, to);
    to->live = sets_union(&a->sets, to->live, from->live);
    to->joined = sets_common(&a->sets, to->joined, from->joined);
    to->facts = sets_common(&a->sets, to->facts, from->facts);
}

/* What decides about the end of threads that live keeps states apart, as long as they are few. */
static bool one_state(struct analysis *a, const struct states *l, const struct state *x, const struct state *y)
{
    return agree(x, y) && !(x->live && x->facts != y->facts && a->deciding->n && l->n < MAX_JOINING &&
                            flow_decides(a, a->deciding, x->facts, y->facts));
}

bool states_add(struct analysis *a, struct states *l, const struct state *s, bool one)
{
    u32 most = a->deciding->n ? MAX_JOINING : MAX_STATES;
    for (u32 i = 0; i < l->n; i++) {
        struct state_entry *e = &l->at[i];
        if (!one_state(a, l, &e->s, s) && !(one || l->n >= most))
            continue;
        struct state before = e->s;
        merge(a, &e->s, s);
        bool changed = memcmp(&before, &e->s, sizeof before) != 0;
        e->pending |= changed;
        return changed;
    }
    LIST_ADD(l, (struct state_entry){*s, true});
    return true;
}

void flow_record(struct flow *f, struct record r)
{
    if (!f->record)
        return;
    struct summary *sum = f->sum;
    u64 h = hash_combine(hash_combine(r.kind * 256u + r.flags, r.value), r.path);
    h = hash_combine(hash_combine(h, r.at.must), hash_combine(r.at.may, r.at.rel));
    r.at.facts = sets_union(&f->a->sets, fact_of_parameters(f->a, r.at.facts), flags_in(f->a, r.at.facts));
    h = hash_combine(h, hash_combine(hash_combine(r.at.live, r.at.joined), r.at.facts)) >> 1;
    u32 *known = map_put(&sum->index, h);
    if (*known)
        return;
    *known = 1;
    sum->matters |= r.kind != R_CALL;
    LIST_ADD(&sum->record, r);
}

/* ---- ends ---- */

static bool same_result(const struct outcome *x, const struct outcome *y)
{
    return x->result == y->result && x->number == y->number;
}

static void add_outcome(struct flow *f, struct outcome o)
{
    struct summary *sum = f->sum;
    o.at.facts = fact_of_parameters(f->a, o.at.facts);
    sum->returns = true;
    for (u32 i = 0; i < sum->outcome.n; i++)
        if (agree(&sum->outcome.at[i].at, &o.at)) {
            struct outcome *x = &sum->outcome.at[i];
            bool same = same_result(x, &o);
            if (!same && sum->outcome.n < MAX_OUTCOMES)
                continue;
            x->at.facts = sets_common(&f->a->sets, x->at.facts, o.at.facts);
            if (same)
                return;
            x->result = RESULT_ANY;
            x->number = 0;
            return;
        }
    if (sum->outcome.n < MAX_OUTCOMES) {
        LIST_ADD(&sum->outcome, o);
        return;
    }
    struct outcome *x = &sum->outcome.at[0]; /* too many: the nearest, at best one with the same result */
    for (u32 i = 0; i < sum->outcome.n; i++)
        if (same_result(&sum->outcome.at[i], &o))
            x = &sum->outcome.at[i];
    if (!same_result(x, &o))
        x->result = RESULT_ANY;
    merge(f->a, &x->at, &o.at);
}

/* Results that make no difference to what is held are one result: callers need not tell them apart. */
static void simplify(struct flow *f)
{
    struct summary *sum = f->sum;
    bool one_result = true;
    for (u32 i = 1; i < sum->outcome.n; i++) {
        if (!agree(&sum->outcome.at[0].at, &sum->outcome.at[i].at))
            return;
        one_result &= same_result(&sum->outcome.at[0], &sum->outcome.at[i]);
    }
    for (u32 i = 1; i < sum->outcome.n; i++) {
        struct state *first = &sum->outcome.at[0].at;
        first->facts = sets_common(&f->a->sets, first->facts, sum->outcome.at[i].at.facts);
    }
    if (sum->outcome.n && !one_result) {
        sum->outcome.at[0].result = RESULT_ANY;
        sum->outcome.at[0].number = 0;
    }
    sum->outcome.n = sum->outcome.n ? 1 : 0;
}

static void leave(struct flow *f, const struct state *s, u32 value)
{
    struct outcome o = {.at = *s};
    o.at.joined = effect_joined_anywhere(f->a, o.at.joined);
    u32 result = f->a->p->values.at[value].a;
    if (s->may || s->rel)
        flow_record(f, (struct record){.kind = R_LEAVE, .value = value, .at = *s});
    if (result != NONE)
        o.result = (u8)fact_result(f->a, s, result, &o.number);
    if (f->record)
        add_outcome(f, o);
}

/* ---- edges ---- */

static void enter_phis(struct flow *f, struct state *s, u32 from, u32 to)
{
    const struct program *p = f->a->p;
    const struct block *b = &p->blocks.at[to];
    struct state before = *s;
    for (u32 i = 0; i < b->ncode; i++) {
        u32 phi = p->code.at[b->code + i];
        const struct value *v = &p->values.at[phi];
        if (v->op != V_PHI)
            break;
        effect_redefine(f->a, s, phi);
    }
    for (u32 i = 0; i < b->ncode; i++) {
        u32 phi = p->code.at[b->code + i];
        const struct value *v = &p->values.at[phi];
        if (v->op != V_PHI)
            break;
        for (u32 k = 0; k < v->c; k += 2) {
            int64_t number;
            if (p->args.at[v->b + k] != from)
                continue;
            enum result known = fact_result(f->a, &before, p->args.at[v->b + k + 1], &number);
            if (known != RESULT_ANY)
                fact_add(f->a, s, phi, known == RESULT_NOT, number);
            break;
        }
    }
}

static void go(struct flow *f, struct state s, u32 from, u32 to)
{
    if (f->around.n)
        flow_pass_joins(f, &s, from, to);
    enter_phis(f, &s, from, to);
    if (s.facts && from != NONE)
        flow_forget_dead(f, &s, to);
    u32 i = to - f->f->block;
    if (states_add(f->a, &f->in[i], &s, f->coarse))
        f->queued[i] = true;
}

static void branch(struct flow *f, const struct state *s, u32 from, const struct value *v)
{
    const struct program *p = f->a->p;
    const struct block *b = &p->blocks.at[from];
    int truth = v->a == NONE ? -1 : fact_truth(f->a, s, v->a);
    for (u32 i = 0; i < b->nsucc; i++) {
        struct state next = *s;
        if (v->a != NONE && b->nsucc == 2) {
            if (truth == (int)i)
                continue; /* the first successor is that of true */
            if (truth < 0)
                fact_assume(f->a, &next, v->a, i == 0);
        }
        go(f, next, from, p->succ.at[b->succ + i]);
    }
}

static void choose(struct flow *f, const struct state *s, u32 from, const struct value *v)
{
    const struct program *p = f->a->p;
    const struct block *b = &p->blocks.at[from];
    int64_t number, one;
    bool known = fact_number(f->a, s, v->a, &number), taken = false;
    for (u32 i = 1; i < b->nsucc && known; i++)
        taken |= p->args.at[v->b + i] != NONE && value_number(&p->values.at[p->args.at[v->b + i]]) == number;
    for (u32 i = 0; i < b->nsucc; i++) {
        struct state next = *s;
        u32 at = p->args.at[v->b + i];
        one = at == NONE ? 0 : value_number(&p->values.at[at]);
        if (known && taken && (at == NONE || one != number))
            continue;
        if (at != NONE)
            fact_add(f->a, &next, v->a, false, one);
        else if (b->nsucc <= MAX_NOT_CASES + 1) /* the default: none of the cases */
            for (u32 k = 1; k < b->nsucc; k++)
                fact_add(f->a, &next, v->a, true, value_number(&p->values.at[p->args.at[v->b + k]]));
        go(f, next, from, p->succ.at[b->succ + i]);
    }
}

static void end_block(struct flow *f, const struct state *s, u32 block)
{
    const struct program *p = f->a->p;
    const struct block *b = &p->blocks.at[block];
    const struct value *last = b->ncode ? &p->values.at[p->code.at[b->code + b->ncode - 1]] : NULL;
    if (last && last->op == V_RET) {
        leave(f, s, p->code.at[b->code + b->ncode - 1]);
    } else if (f->record || (last && last->op == V_STOP)) {
        return;
    } else if (last && last->op == V_BRANCH) {
        branch(f, s, block, last);
    } else if (last && last->op == V_SWITCH) {
        choose(f, s, block, last);
    } else {
        for (u32 i = 0; i < b->nsucc; i++)
            go(f, *s, block, p->succ.at[b->succ + i]);
    }
}

/* ---- blocks ---- */

static void run_block(struct flow *f, const struct state *in, u32 block)
{
    const struct program *p = f->a->p;
    const struct block *b = &p->blocks.at[block];
    struct states now = {0}, next = {0};
    states_add(f->a, &now, in, false);
    for (u32 i = 0; i < b->ncode && now.n; i++) {
        u32 value = p->code.at[b->code + i];
        enum value_op op = p->values.at[value].op;
        if (op == V_PHI || op == V_ALLOCA || op == V_RET || op == V_BRANCH || op == V_SWITCH)
            continue;
        next.n = 0;
        for (u32 k = 0; k < now.n; k++)
            flow_step(f, &now.at[k].s, value, &next);
        struct states swap = now;
        now = next;
        next = swap;
    }
    for (u32 k = 0; k < now.n; k++)
        end_block(f, &now.at[k].s, block);
    free(now.at);
    free(next.at);
}

static bool next_block(struct flow *f, u32 *out)
{
    for (u32 i = 0; i < f->f->nblocks; i++)
        if (f->queued[i]) {
            *out = i;
            return true;
        }
    return false;
}

static void solve(struct flow *f)
{
    u32 i, visits = 0;
    while (next_block(f, &i)) {
        f->queued[i] = false;
        f->coarse = ++visits > 30 * f->f->nblocks + 300; /* it does not settle: what differs becomes one */
        for (u32 k = 0; k < f->in[i].n; k++) {
            if (!f->in[i].at[k].pending)
                continue;
            f->in[i].at[k].pending = false;
            struct state s = f->in[i].at[k].s;
            run_block(f, &s, f->f->block + i);
        }
    }
}

/* The one path that is returned, null not counted. */
static u32 result_path(struct flow *f)
{
    const struct program *p = f->a->p;
    u32 only = 0;
    if (!(f->f->flags & FN_POINTER_RESULT))
        return 0;
    for (u32 b = 0; b < f->f->nblocks; b++) {
        const struct block *block = &p->blocks.at[f->f->block + b];
        const struct value *last = block->ncode ? &p->values.at[p->code.at[block->code + block->ncode - 1]] : NULL;
        if (!last || last->op != V_RET || last->a == NONE)
            continue;
        const struct value *v = &p->values.at[last->a];
        if (v->op == V_CONST && value_number(v) == 0)
            continue;
        u32 path = path_of(&f->a->ps, last->a);
        if (only && only != path)
            return 0;
        only = path;
    }
    if (!only)
        return 0;
    u32 kind = path_at(&f->a->ps, path_root_of(&f->a->ps, only))->kind;
    return kind == P_ARG || kind == P_GLOBAL || (kind == P_HEAP && P_IS_ROOT(path_at(&f->a->ps, only)->kind)) ? only
                                                                                                              : 0;
}

/* Whether it is new memory that is known to nobody at any return. */
static bool is_fresh_result(struct flow *f, u32 path)
{
    const struct program *p = f->a->p;
    struct path q = *path_at(&f->a->ps, path);
    if (q.kind != P_HEAP)
        return false;
    for (u32 b = 0; b < f->f->nblocks; b++) {
        const struct block *block = &p->blocks.at[f->f->block + b];
        u32 last = block->ncode ? p->code.at[block->code + block->ncode - 1] : NONE;
        if (last != NONE && p->values.at[last].op == V_RET && !fresh_at(f->a, q.a, last))
            return false;
    }
    return true;
}

void flow_function(struct analysis *a, u32 function)
{
    struct flow f = {.a = a, .f = &a->p->functions.at[function], .sum = &a->summary[function]};
    if (!(f.f->flags & FN_DEFINED) || a->known[function] || !f.f->nblocks)
        return;
    f.in = store_alloc(f.f->nblocks * sizeof *f.in);
    f.queued = store_alloc(f.f->nblocks);
    keep_function(a, function);
    flow_find_live(&f);
    flow_find_joins(&f);
    flow_find_deciding(&f);
    a->deciding = &f.deciding;
    go(&f, (struct state){0}, NONE, f.f->block);
    solve(&f);
    f.sum->outcome.n = f.sum->record.n = 0;
    f.sum->returns = f.sum->matters = false;
    map_free(&f.sum->index);
    f.record = true;
    for (u32 i = 0; i < f.f->nblocks; i++)
        for (u32 k = 0; k < f.in[i].n; k++)
            run_block(&f, &f.in[i].at[k].s, f.f->block + i);
    simplify(&f);
    map_free(&f.sum->index);
    f.sum->known = true;
    a->ps.result[function] = result_path(&f);
    a->ps.fresh_result[function] = is_fresh_result(&f, a->ps.result[function]);
    for (u32 i = 0; i < f.f->nblocks; i++)
        free(f.in[i].at);
    free(f.in);
    free(f.queued);
    free(f.around.at);
    map_free(&f.deciding);
    map_free(&f.live);
}
