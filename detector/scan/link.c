/* Joins units into one program, as a linker would. Called by scan.c. Takes no locks; allocates with malloc.
 *
 * Types with the same name and size are taken for the same one; the first that has fields stays. */
#include "unit.h"

struct joining {
    struct link *l;
    const struct program *from;
    u32 *type, *function, *global, *step;
    u32 value, loc, block, code, succ, args; /* what is added to its numbers */
};

static u32 text(struct joining *j, u32 at)
{
    if (!at)
        return 0;
    const char *s = text_of(j->from, at);
    return texts_add(&j->l->p->texts, s, strlen(s));
}

void link_begin(struct link *l, struct program *p)
{
    *l = (struct link){.p = p};
    texts_add(&p->texts, "", 0);
    LIST_ADD(&p->types, (struct type){0});
    LIST_ADD(&p->locs, (struct loc){0});
}

static void join_types(struct joining *j)
{
    struct program *p = j->l->p;
    for (u32 i = 1; i < j->from->types.n; i++) {
        const struct type *t = &j->from->types.at[i];
        u32 name = text(j, t->name), *known = NULL;
        if (t->kind == T_STRUCT && name)
            known = map_put(&j->l->types, (u64)name << 32 | t->size);
        if (known && *known) {
            j->type[i] = *known - 1;
            continue;
        }
        j->type[i] = p->types.n;
        if (known)
            *known = p->types.n + 1;
        LIST_ADD(&p->types, (struct type){.kind = t->kind, .name = name, .size = t->size});
    }
    for (u32 i = 1; i < j->from->types.n; i++) {
        const struct type *t = &j->from->types.at[i];
        struct type *to = &p->types.at[j->type[i]];
        to->element = j->type[t->element];
        if (to->nfields || !t->nfields)
            continue;
        to->field = p->fields.n;
        to->nfields = t->nfields;
        for (u32 k = 0; k < t->nfields; k++) {
            const struct field *f = &j->from->fields.at[t->field + k];
            LIST_ADD(&p->fields, (struct field){f->offset, text(j, f->name), j->type[f->type]});
        }
    }
}

static void join_steps(struct joining *j)
{
    struct program *p = j->l->p;
    for (u32 i = 0; i < j->from->steps.n; i++) {
        struct step s = j->from->steps.at[i];
        s.type = j->type[s.type];
        u64 h = hash_combine(hash_combine((u32)s.offset, s.element), hash_combine(s.type, s.within)) >> 1;
        u32 *known = map_put(&j->l->steps, h);
        if (!*known) {
            LIST_ADD(&p->steps, s);
            *known = p->steps.n;
        }
        j->step[i] = *known - 1;
    }
}

static void join_locs(struct joining *j)
{
    struct program *p = j->l->p;
    j->loc = p->locs.n - 1; /* loc 0 is none, everywhere */
    for (u32 i = 1; i < j->from->locs.n; i++) {
        struct loc l = j->from->locs.at[i];
        l.file = text(j, l.file);
        l.function = text(j, l.function);
        l.outer = l.outer ? l.outer + j->loc : 0;
        LIST_ADD(&p->locs, l);
    }
}

static u32 join_global(struct joining *j, const struct global *g)
{
    struct program *p = j->l->p;
    struct global to = *g;
    to.name = text(j, g->name);
    u32 *known = g->flags & GL_STATIC ? NULL : map_put(&j->l->globals, to.name);
    bool fresh = !known || !*known;
    if (!fresh && (!(g->flags & GL_DEFINED) || (p->globals.at[*known - 1].flags & GL_DEFINED)))
        return *known - 1;
    to.shown = text(j, g->shown);
    to.within = text(j, g->within);
    to.file = text(j, g->file);
    to.type = j->type[g->type];
    to.init = p->inits.n; /* filled by join_inits: their targets are not all known yet */
    to.unit = j->l->units;
    if (!fresh) {
        p->globals.at[*known - 1] = to;
        return *known - 1;
    }
    LIST_ADD(&p->globals, to);
    if (known)
        *known = p->globals.n;
    return p->globals.n - 1;
}

static void join_inits(struct joining *j)
{
    struct program *p = j->l->p;
    for (u32 i = 0; i < j->from->globals.n; i++) {
        const struct global *g = &j->from->globals.at[i];
        struct global *to = &p->globals.at[j->global[i]];
        if (!(g->flags & GL_DEFINED) || to->unit != j->l->units)
            continue;
        to->init = p->inits.n;
        for (u32 k = 0; k < g->ninit; k++) {
            struct init init = j->from->inits.at[g->init + k];
            init.function = init.function == NONE ? NONE : j->function[init.function];
            init.global = init.global == NONE ? NONE : j->global[init.global];
            LIST_ADD(&p->inits, init);
        }
    }
}

/* Numbers of functions; the bodies follow when every unit's name is known. */
static u32 join_function(struct joining *j, const struct function *f)
{
    struct program *p = j->l->p;
    struct function to = *f;
    to.name = text(j, f->name);
    u32 *known = f->flags & FN_STATIC ? NULL : map_put(&j->l->functions, to.name);
    bool fresh = !known || !*known;
    if (!fresh && (!(f->flags & FN_DEFINED) || (p->functions.at[*known - 1].flags & FN_DEFINED))) {
        j->l->twice += (f->flags & FN_DEFINED) != 0;
        return *known - 1;
    }
    to.shown = text(j, f->shown);
    to.file = text(j, f->file);
    to.value = f->value + j->value;
    to.block = f->block + j->block;
    to.unit = j->l->units;
    if (!fresh) {
        p->functions.at[*known - 1] = to;
        return *known - 1;
    }
    LIST_ADD(&p->functions, to);
    if (known)
        *known = p->functions.n;
    return p->functions.n - 1;
}

static u32 moved(u32 v, u32 by)
{
    return v == NONE ? NONE : v + by;
}

static struct value join_value(struct joining *j, struct value v)
{
    v.loc = v.loc ? v.loc + j->loc : 0;
    v.function = v.function == NONE ? NONE : j->function[v.function];
    switch (v.op) {
    case V_GLOBAL:
        v.a = j->global[v.a];
        break;
    case V_FUNCTION:
        v.a = j->function[v.a];
        break;
    case V_FIELD:
        v.a += j->value;
        v.b = j->step[v.b];
        break;
    case V_EXTRACT:
        v.a += j->value;
        break;
    case V_ALLOCA:
        v.a = j->type[v.a];
        v.c = text(j, v.c);
        break;
    case V_PHI:
        v.b += j->args;
        break;
    case V_CALL:
    case V_SWITCH:
        v.a += j->value;
        v.b += j->args;
        break;
    case V_SELECT:
    case V_COPY:
        v.c = moved(v.c, j->value); /* and as the others */
        /* fall through */
    case V_INDEX:
    case V_CMP:
    case V_BIN:
    case V_LOAD:
    case V_STORE:
    case V_RMW:
        v.b = moved(v.b, j->value);
        /* fall through */
    case V_RET:
    case V_BRANCH:
        v.a = moved(v.a, j->value);
        break;
    default:
        break;
    }
    return v;
}

static void join_args(struct joining *j)
{
    struct program *p = j->l->p;
    u32 first = p->args.n;
    for (u32 i = 0; i < j->from->args.n; i++)
        LIST_ADD(&p->args, moved(j->from->args.at[i], j->value));
    for (u32 i = 0; i < j->from->values.n; i++) {
        const struct value *v = &j->from->values.at[i];
        for (u32 k = 0; v->op == V_PHI && k < v->c; k += 2) /* a pair begins with a block */
            p->args.at[first + v->b + k] = j->from->args.at[v->b + k] + j->block;
    }
}

static void join_code(struct joining *j)
{
    struct program *p = j->l->p;
    const struct program *from = j->from;
    for (u32 i = 0; i < from->values.n; i++)
        LIST_ADD(&p->values, join_value(j, from->values.at[i]));
    join_args(j);
    for (u32 i = 0; i < from->blocks.n; i++) {
        struct block b = from->blocks.at[i];
        b.code += j->code;
        b.succ += j->succ;
        LIST_ADD(&p->blocks, b);
    }
    for (u32 i = 0; i < from->code.n; i++)
        LIST_ADD(&p->code, from->code.at[i] + j->value);
    for (u32 i = 0; i < from->succ.n; i++)
        LIST_ADD(&p->succ, from->succ.at[i] + j->block);
}

void link_add(struct link *l, const struct program *unit)
{
    struct program *p = l->p;
    struct joining j = {.l = l, .from = unit};
    j.value = p->values.n;
    j.block = p->blocks.n;
    j.code = p->code.n;
    j.succ = p->succ.n;
    j.args = p->args.n;
    j.type = store_alloc((unit->types.n + 1) * sizeof *j.type);
    j.step = store_alloc((unit->steps.n + 1) * sizeof *j.step);
    j.function = store_alloc((unit->functions.n + 1) * sizeof *j.function);
    j.global = store_alloc((unit->globals.n + 1) * sizeof *j.global);
    l->units++;
    join_types(&j);
    join_steps(&j);
    join_locs(&j);
    for (u32 i = 0; i < unit->globals.n; i++)
        j.global[i] = join_global(&j, &unit->globals.at[i]);
    for (u32 i = 0; i < unit->functions.n; i++)
        j.function[i] = join_function(&j, &unit->functions.at[i]);
    join_inits(&j);
    join_code(&j);
    p->lines += unit->lines;
    store_free(j.type);
    store_free(j.step);
    store_free(j.function);
    store_free(j.global);
}

bool link_clashes(const struct link *l, const struct program *unit, const char **name)
{
    for (u32 i = 0; i < unit->functions.n; i++) {
        const struct function *f = &unit->functions.at[i];
        *name = text_of(unit, f->name);
        if (!(f->flags & FN_DEFINED) || (f->flags & FN_STATIC) || strcmp(*name, "main") != 0)
            continue;
        for (u32 k = 0; k < l->p->functions.n; k++)
            if ((l->p->functions.at[k].flags & FN_DEFINED) &&
                strcmp(text_of(l->p, l->p->functions.at[k].name), "main") == 0)
                return true;
    }
    return false;
}
