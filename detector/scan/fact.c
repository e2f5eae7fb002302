/* What is known of values at a point: which numbers they are or are not. It decides branches, so that "if (locked)"
 * before and after a section are the same decision. Called by flow.c. Takes no locks; allocates with malloc. */
#include "analysis.h"

/* Facts are kept of memory, too: of the value last loaded from a path. These have numbers behind those of values. */
u32 fact_of_memory(const struct analysis *a, u32 path)
{
    return a->p->values.n + path;
}

/* More are not kept: the oldest decisions matter least, those about variables most. */
#define FACTS_PER_STATE 16

static u32 fact_number_of(struct analysis *a, struct fact f)
{
    u64 h = hash_combine(hash_combine(f.value, f.is_not), (u64)f.number) >> 1;
    for (;; h++) {
        u32 *known = map_put(&a->fact_index, h);
        if (!*known) {
            LIST_ADD(&a->facts, f);
            *known = a->facts.n;
        }
        const struct fact *x = &a->facts.at[*known - 1];
        if (x->value == f.value && x->is_not == f.is_not && x->number == f.number)
            return *known - 1;
    }
}

static bool depends(const struct program *p, u32 value, u32 on, int depth)
{
    if (value == on)
        return true;
    if (value >= p->values.n || depth > 4)
        return false;
    const struct value *v = &p->values.at[value];
    if (v->op == V_CMP || v->op == V_BIN)
        return depends(p, v->a, on, depth + 1) || depends(p, v->b, on, depth + 1);
    return v->op == V_EXTRACT && depends(p, v->a, on, depth + 1);
}

void fact_drop(struct analysis *a, struct state *s, u32 value)
{
    u32 n = sets_count(&a->sets, s->facts), set = s->facts;
    for (u32 i = 0; i < n; i++) {
        u32 fact = sets_item(&a->sets, set, i);
        if (depends(a->p, a->facts.at[fact].value, value, 0))
            s->facts = sets_drop(&a->sets, s->facts, fact);
    }
}

static u32 least(const struct analysis *a, u32 facts)
{
    for (u32 i = 0, n = sets_count(&a->sets, facts); i < n; i++) {
        u32 value = a->facts.at[sets_item(&a->sets, facts, i)].value;
        if (value < a->p->values.n && a->p->values.at[value].op != V_PHI && a->p->values.at[value].op != V_ARG)
            return sets_item(&a->sets, facts, i);
    }
    return sets_item(&a->sets, facts, 0);
}

void fact_add(struct analysis *a, struct state *s, u32 value, bool is_not, int64_t number)
{
    if (value < a->p->values.n && a->p->values.at[value].op == V_CONST)
        return;
    if (!is_not) { /* replaces what is weaker */
        u32 n = sets_count(&a->sets, s->facts), set = s->facts;
        for (u32 i = 0; i < n; i++)
            if (a->facts.at[sets_item(&a->sets, set, i)].value == value)
                s->facts = sets_drop(&a->sets, s->facts, sets_item(&a->sets, set, i));
    }
    if (sets_count(&a->sets, s->facts) >= FACTS_PER_STATE)
        s->facts = sets_drop(&a->sets, s->facts, least(a, s->facts));
    s->facts = sets_add(&a->sets, s->facts, fact_number_of(a, (struct fact){value, is_not, number}));
}

bool fact_number(struct analysis *a, const struct state *s, u32 value, int64_t *number)
{
    const struct value *v = &a->p->values.at[value];
    if (v->op == V_CONST) {
        *number = value_number(v);
        return true;
    }
    for (u32 i = 0, n = sets_count(&a->sets, s->facts); i < n; i++) {
        const struct fact *f = &a->facts.at[sets_item(&a->sets, s->facts, i)];
        if (f->value == value && !f->is_not) {
            *number = f->number;
            return true;
        }
    }
    if (v->op == V_CMP) {
        int truth = fact_truth(a, s, value);
        *number = truth;
        return truth >= 0;
    }
    int64_t x, y;
    if (v->op == V_BIN && fact_number(a, s, v->a, &x) && fact_number(a, s, v->b, &y)) {
        *number = v->flags == BIN_ADD   ? (int64_t)((u64)x + (u64)y)
                  : v->flags == BIN_SUB ? (int64_t)((u64)x - (u64)y)
                  : v->flags == BIN_AND ? x & y
                  : v->flags == BIN_OR  ? x | y
                                        : x ^ y;
        return v->flags <= BIN_SUB || (v->flags >= BIN_AND && v->flags <= BIN_XOR);
    }
    return false;
}

static bool is_not(struct analysis *a, const struct state *s, u32 value, int64_t number)
{
    for (u32 i = 0, n = sets_count(&a->sets, s->facts); i < n; i++) {
        const struct fact *f = &a->facts.at[sets_item(&a->sets, s->facts, i)];
        if (f->value == value && f->is_not && f->number == number)
            return true;
    }
    return a->p->values.at[value].op == V_CMP && fact_truth(a, s, value) == (number == 0);
}

enum result fact_result(struct analysis *a, const struct state *s, u32 value, int64_t *number)
{
    if (fact_number(a, s, value, number))
        return RESULT_IS;
    *number = 0;
    const struct path *q = path_at(&a->ps, path_of(&a->ps, value));
    bool address =
        q->kind == P_GLOBAL || q->kind == P_STACK || q->kind == P_FUNCTION || q->kind == P_FIELD || q->kind == P_INDEX;
    return address || is_not(a, s, value, 0) ? RESULT_NOT : RESULT_ANY;
}

bool fact_contradicts(struct analysis *a, u32 x, u32 y)
{
    for (u32 i = 0, n = x && y ? sets_count(&a->sets, x) : 0; i < n; i++)
        for (u32 k = 0, m = sets_count(&a->sets, y); k < m; k++) {
            struct fact p = a->facts.at[sets_item(&a->sets, x, i)], q = a->facts.at[sets_item(&a->sets, y, k)];
            if (p.value == q.value && !(p.is_not && q.is_not) &&
                (p.is_not != q.is_not ? p.number == q.number : p.number != q.number))
                return true;
        }
    return false;
}

static int compare(enum cmp op, int64_t x, int64_t y)
{
    switch (op) {
    case CMP_EQ:
        return x == y;
    case CMP_NE:
        return x != y;
    case CMP_LT:
        return x < y;
    case CMP_LE:
        return x <= y;
    case CMP_GT:
        return x > y;
    case CMP_GE:
        return x >= y;
    case CMP_ULT:
        return (u64)x < (u64)y;
    case CMP_ULE:
        return (u64)x <= (u64)y;
    case CMP_UGT:
        return (u64)x > (u64)y;
    case CMP_UGE:
        return (u64)x >= (u64)y;
    default:
        return -1;
    }
}

int fact_truth(struct analysis *a, const struct state *s, u32 condition)
{
    const struct value *v = &a->p->values.at[condition];
    int64_t x, y;
    for (u32 i = 0, n = sets_count(&a->sets, s->facts); i < n; i++) {
        const struct fact *f = &a->facts.at[sets_item(&a->sets, s->facts, i)];
        if (f->value == condition && (!f->is_not || f->number == 0))
            return f->is_not ? 1 : f->number != 0;
    }
    if (v->op == V_CONST)
        return value_number(v) != 0;
    if (v->op == V_BIN)
        return fact_number(a, s, condition, &x) ? x != 0 : -1;
    if (v->op != V_CMP || v->flags == CMP_OTHER || !fact_number(a, s, v->b, &y))
        return -1;
    if (fact_number(a, s, v->a, &x))
        return compare(v->flags, x, y);
    if ((v->flags == CMP_EQ || v->flags == CMP_NE) && is_not(a, s, v->a, y))
        return v->flags == CMP_NE;
    return -1;
}

/* Of a value, and of the memory that it was loaded from. */
static void learn(struct analysis *a, struct state *s, u32 value, bool is_not, int64_t number)
{
    const struct value *v = &a->p->values.at[value];
    fact_add(a, s, value, is_not, number);
    if (v->op == V_LOAD && !(v->flags & (F_ATOMIC | F_VOLATILE)))
        fact_add(a, s, fact_of_memory(a, path_of(&a->ps, value)), is_not, number);
}

void fact_loaded(struct analysis *a, struct state *s, u32 value)
{
    u32 memory = fact_of_memory(a, path_of(&a->ps, value)), set = s->facts, n = sets_count(&a->sets, set);
    for (u32 i = 0; i < n; i++) {
        struct fact f = a->facts.at[sets_item(&a->sets, set, i)];
        if (f.value == memory)
            fact_add(a, s, value, f.is_not, f.number);
    }
}

void fact_stored(struct analysis *a, struct state *s, u32 path, u32 stored)
{
    int64_t number;
    u32 set = s->facts, n = sets_count(&a->sets, set);
    for (u32 i = 0; i < n; i++) {
        u32 fact = sets_item(&a->sets, set, i), value = a->facts.at[fact].value;
        if (value < a->p->values.n)
            continue;
        u32 place = path_at(&a->ps, value - a->p->values.n)->base;
        if (path_meets(&a->ps, place, path) || path_at(&a->ps, place)->has_deref)
            s->facts = sets_drop(&a->sets, s->facts, fact);
    }
    const struct list_u32 *cells = stored != NONE && keep_variable(a, path) ? path_cells(&a->ps, path) : NULL;
    if (cells && cells->n == 1 && map_get(&a->tested, cells->at[0]) && fact_number(a, s, stored, &number))
        fact_add(a, s, fact_of_memory(a, path_deref(&a->ps, path, false)), false, number);
}

void fact_assume(struct analysis *a, struct state *s, u32 condition, bool truth)
{
    for (int depth = 0; depth < 8; depth++) {
        const struct value *v = &a->p->values.at[condition];
        int64_t y;
        if (v->op == V_CMP && (v->flags == CMP_EQ || v->flags == CMP_NE) && fact_number(a, s, v->b, &y)) {
            bool equal = (v->flags == CMP_EQ) == truth;
            const struct value *left = &a->p->values.at[v->a];
            if (y == 0 && (left->op == V_CMP || (left->op == V_BIN && left->flags == BIN_XOR))) {
                condition = v->a; /* (x == 1) != 0, as C spells conditions */
                truth = !equal;
                continue;
            }
            learn(a, s, v->a, !equal, y);
            return;
        }
        if (v->op == V_BIN && v->flags == BIN_XOR && fact_number(a, s, v->b, &y) && (y == 1 || y == -1)) {
            condition = v->a;
            truth = !truth;
            continue;
        }
        if (truth && v->op != V_CMP)
            learn(a, s, condition, true, 0);
        else
            learn(a, s, condition, false, truth);
        return;
    }
}

u32 fact_of_parameters(struct analysis *a, u32 facts)
{
    u32 out = 0;
    for (u32 i = 0, n = sets_count(&a->sets, facts); i < n; i++) {
        u32 fact = sets_item(&a->sets, facts, i), value = a->facts.at[fact].value;
        if (value < a->p->values.n && a->p->values.at[value].op == V_ARG)
            out = sets_add(&a->sets, out, fact);
    }
    return out;
}

static bool refutes(const struct fact *f, enum result known, int64_t number)
{
    if (known == RESULT_IS)
        return f->is_not ? number == f->number : number != f->number;
    return known == RESULT_NOT && !f->is_not && number == f->number;
}

bool fact_refuted(struct analysis *a, u32 facts, u32 binding)
{
    for (u32 i = 0, n = binding ? sets_count(&a->sets, facts) : 0; i < n; i++) {
        const struct fact *f = &a->facts.at[sets_item(&a->sets, facts, i)];
        if (f->value >= a->p->values.n)
            continue; /* of a flag */
        u32 path = binding_arg(&a->ps, binding, a->p->values.at[f->value].a);
        const struct path *q = path_at(&a->ps, path);
        enum result known = RESULT_ANY;
        if (q->kind == P_CONST)
            known = RESULT_IS;
        else if (q->kind == P_GLOBAL || q->kind == P_STACK || q->kind == P_FUNCTION)
            known = RESULT_NOT;
        if (refutes(f, known, known == RESULT_IS ? value_number(&a->p->values.at[q->a]) : 0))
            return true;
    }
    return false;
}

bool fact_refuted_at(struct analysis *a, u32 facts, const struct state *s, u32 call)
{
    const struct value *v = &a->p->values.at[call];
    for (u32 i = 0, n = sets_count(&a->sets, facts); i < n; i++) {
        struct fact f = a->facts.at[sets_item(&a->sets, facts, i)];
        u32 number = a->p->values.at[f.value].a;
        int64_t is = 0;
        if (number >= v->c)
            continue;
        enum result known = fact_result(a, s, a->p->args.at[v->b + number], &is);
        if (refutes(&f, known, is))
            return true;
    }
    return false;
}
