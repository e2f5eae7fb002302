/* Access paths. Called by everything that follows the code. Takes no locks; allocates with malloc. */
#include "path.h"

/* A longer path is named by its value alone: lists and trees would make paths without end. */
#define MAX_DEPTH 10

void paths_begin(struct paths *ps, struct points *pt)
{
    *ps = (struct paths){.p = pt->p, .pt = pt};
    LIST_ADD(&ps->at, (struct path){0});
    LIST_ADD(&ps->binding, (struct binding){0});
    ps->of_value = store_alloc((pt->p->values.n + 1) * sizeof *ps->of_value);
    ps->result = store_alloc((pt->p->functions.n + 1) * sizeof *ps->result);
    ps->fresh_result = store_alloc(pt->p->functions.n + 1);
}

static u32 make(struct paths *ps, struct path q)
{
    u64 h = hash_combine(hash_combine(q.kind, q.base), hash_combine(q.a, hash_combine((u32)q.offset, q.element)));
    for (h >>= 1;; h++) {
        u32 *known = map_put(&ps->index, h);
        if (!*known) {
            const struct path *base = path_at(ps, q.base);
            if (!P_IS_ROOT(q.kind)) {
                q.depth = (u8)(base->depth + 1);
                q.has_arg = base->has_arg;
                q.has_deref = base->has_deref || q.kind == P_DEREF;
                q.has_index = base->has_index || q.kind == P_INDEX;
                if (q.kind == P_INDEX && q.a)
                    q.has_arg |= path_at(ps, q.a)->has_arg;
            }
            q.has_arg |= q.kind == P_ARG;
            *known = ps->at.n;
            LIST_ADD(&ps->at, q);
            return *known;
        }
        const struct path *x = path_at(ps, *known);
        if (x->kind == q.kind && x->base == q.base && x->a == q.a && x->offset == q.offset && x->element == q.element)
            return *known;
    }
}

u32 path_root(struct paths *ps, enum path_kind kind, u32 a)
{
    return make(ps, (struct path){.kind = (u8)kind, .a = a});
}

u32 path_field(struct paths *ps, u32 base, const struct step *s)
{
    const struct path *b = path_at(ps, base);
    struct path q = {.kind = P_FIELD, .base = base, .offset = s->offset, .element = s->element};
    q.type = s->type;
    q.within = s->within;
    if (b->kind == P_FIELD) { /* one step for both */
        q.base = b->base;
        q.offset += b->offset;
        if (!q.element)
            q.element = b->element;
        else if (b->element)
            q.element = (u32)hash_combine(b->element, q.element) | 1;
        if (!q.type) {
            q.type = b->type;
            q.within = b->within + (u32)s->offset;
        }
    }
    return q.offset || q.element ? make(ps, q) : (q.type && !s->offset) ? make(ps, q) : q.base;
}

u32 path_index(struct paths *ps, u32 base, u32 index)
{
    const struct path *i = path_at(ps, index);
    if (i->kind == P_CONST) {
        int64_t n = value_number(&ps->p->values.at[i->a]);
        struct step s = {.element = n ? (u32)hash_combine(0, (u64)n + 1) | 1 : 0};
        return n ? path_field(ps, base, &s) : base;
    }
    return make(ps, (struct path){.kind = P_INDEX, .base = base, .a = index});
}

u32 path_deref(struct paths *ps, u32 base, bool changed)
{
    return make(ps, (struct path){.kind = P_DEREF, .base = base, .a = changed});
}

u32 path_again(struct paths *ps, u32 base)
{
    return make(ps, (struct path){.kind = P_AGAIN, .base = base});
}

/* A call through a pointer that reaches nothing returns nothing. */
static bool returns_nothing(const struct paths *ps, u32 value)
{
    const struct value *v = &ps->p->values.at[value];
    const struct call *c = v->op == V_CALL ? points_call(ps->pt, value) : NULL;
    return c && !c->known && !c->targets.n && ps->p->values.at[v->a].op != V_FUNCTION;
}

/* The one path that all of a choice's pointers have; those that are null do not count. */
static u32 common_path(struct paths *ps, u32 value, const u32 *from, u32 n, u32 stride)
{
    u32 only = 0;
    for (u32 i = 0; i < n; i += stride) {
        const struct value *v = &ps->p->values.at[from[i]];
        if (from[i] == value || (v->op == V_CONST && value_number(v) == 0) || returns_nothing(ps, from[i]))
            continue;
        if (v->op == V_PHI || v->op == V_SELECT)
            return 0;
        u32 path = path_of(ps, from[i]);
        if (only && only != path)
            return 0;
        only = path;
    }
    return only;
}

static u32 path_of_call(struct paths *ps, u32 value, bool *early)
{
    const struct call *c = points_call(ps->pt, value);
    if (!c)
        return 0;
    const struct value *callee = &ps->p->values.at[ps->p->values.at[value].a];
    if (c->known && (c->known->op == K_ALLOC || c->known->op == K_REALLOC))
        return path_root(ps, P_HEAP, value);
    if (callee->op == V_FUNCTION && ps->pt->allocates[callee->a])
        return path_root(ps, P_HEAP, value);
    if (c->known && c->known->op == K_SAME && c->known->arg < ps->p->values.at[value].c)
        return path_of(ps, ps->p->args.at[ps->p->values.at[value].b + c->known->arg]);
    if (c->targets.n != 1 || c->known)
        return 0;
    u32 result = ps->result[c->targets.at[0]];
    if (ps->fresh_result[c->targets.at[0]])
        return path_root(ps, P_HEAP, value); /* each time another */
    *early = !result;
    return result ? path_bind(ps, result, binding_of_call(ps, value, NULL)) : 0;
}

static u32 compute(struct paths *ps, u32 value, bool *early)
{
    const struct value *v = &ps->p->values.at[value];
    u32 base, path = 0;
    switch (v->op) {
    case V_GLOBAL:
        return path_root(ps, P_GLOBAL, v->a);
    case V_FUNCTION:
        return path_root(ps, P_FUNCTION, v->a);
    case V_CONST:
        return path_root(ps, P_CONST, value);
    case V_ARG:
        return path_root(ps, P_ARG, value);
    case V_ALLOCA:
        return path_root(ps, P_STACK, value);
    case V_FIELD:
        base = path_of(ps, v->a);
        return path_at(ps, base)->depth < MAX_DEPTH ? path_field(ps, base, &ps->p->steps.at[v->b])
                                                    : path_root(ps, P_VALUE, value);
    case V_INDEX:
        base = path_of(ps, v->a);
        return path_at(ps, base)->depth < MAX_DEPTH ? path_index(ps, base, path_of(ps, v->b))
                                                    : path_root(ps, P_VALUE, value);
    case V_LOAD:
        base = path_of(ps, v->a);
        return path_at(ps, base)->depth < MAX_DEPTH ? path_deref(ps, base, false) : path_root(ps, P_VALUE, value);
    case V_PHI:
        path = common_path(ps, value, ps->p->args.at + v->b + 1, v->c, 2);
        break;
    case V_SELECT:
        path = common_path(ps, value, (const u32[]){v->b, v->c}, 2, 1);
        break;
    case V_CALL:
        path = path_of_call(ps, value, early);
        break;
    default:
        break;
    }
    return path ? path : path_root(ps, P_VALUE, value);
}

u32 path_of(struct paths *ps, u32 value)
{
    bool early = false;
    if (ps->of_value[value])
        return ps->of_value[value];
    if (ps->p->values.at[value].op == V_PHI) /* what it is made of may be made of it */
        ps->of_value[value] = path_root(ps, P_VALUE, value);
    u32 path = compute(ps, value, &early);
    if (!early) /* the callee's result may be known later */
        ps->of_value[value] = path;
    return path;
}

u32 binding_make(struct paths *ps, const u32 *args, u32 n)
{
    if (!n)
        return 0;
    for (u64 h = hash_bytes(args, n * sizeof *args, n) >> 1;; h++) {
        u32 *known = map_put(&ps->bindings, h);
        if (!*known) {
            *known = ps->binding.n;
            LIST_ADD(&ps->binding, (struct binding){ps->args.n, n});
            for (u32 i = 0; i < n; i++)
                LIST_ADD(&ps->args, args[i]);
            return *known;
        }
        const struct binding *b = &ps->binding.at[*known];
        if (b->n == n && memcmp(ps->args.at + b->first, args, n * sizeof *args) == 0)
            return *known;
    }
}

u32 binding_of_call(struct paths *ps, u32 call_value, const struct known *k)
{
    const struct value *v = &ps->p->values.at[call_value];
    u32 args[64], n = 0;
    if (k && (k->op == K_CREATE)) {
        if (k->third < v->c)
            args[n++] = path_of(ps, ps->p->args.at[v->b + k->third]);
    } else if (!k) {
        for (; n < v->c && n < ARRAY_LEN(args); n++)
            args[n] = path_of(ps, ps->p->args.at[v->b + n]);
    }
    return binding_make(ps, args, n);
}

u32 binding_arg(const struct paths *ps, u32 binding, u32 i)
{
    const struct binding *b = &ps->binding.at[binding];
    return i < b->n ? ps->args.at[b->first + i] : 0;
}

static u32 bind(struct paths *ps, u32 path, u32 binding)
{
    struct path q = *path_at(ps, path);
    if (q.kind == P_ARG) {
        u32 arg = binding_arg(ps, binding, ps->p->values.at[q.a].a);
        return arg ? arg : path;
    }
    u32 base = path_bind(ps, q.base, binding);
    if (base != q.base && path_at(ps, base)->depth >= MAX_DEPTH) {
        /* Too long: the caller's own name of it is lost, the callee's says what it may be. */
        return path;
    }
    if (q.kind == P_FIELD) {
        struct step s = {q.offset, q.element, q.type, q.within};
        return path_field(ps, base, &s);
    }
    if (q.kind == P_INDEX)
        return path_index(ps, base, q.a ? path_bind(ps, q.a, binding) : 0);
    return q.kind == P_AGAIN ? path_again(ps, base) : path_deref(ps, base, q.a);
}

u32 path_bind(struct paths *ps, u32 path, u32 binding)
{
    if (!binding || !path_at(ps, path)->has_arg)
        return path;
    u64 key = (u64)path << 32 | binding;
    u32 *known = map_get(&ps->memo, key);
    if (known)
        return *known;
    u32 bound = bind(ps, path, binding);
    *map_put(&ps->memo, key) = bound;
    return bound;
}

static void keep_order(struct list_u32 *cells)
{
    struct sets scratch = {0};
    u32 set = sets_make(&scratch, cells->at, cells->n);
    cells->n = sets_count(&scratch, set);
    for (u32 i = 0; i < cells->n; i++)
        cells->at[i] = sets_item(&scratch, set, i);
    store_free(scratch.head.at);
    store_free(scratch.items.at);
    map_free(&scratch.index);
}

static void resolve(struct paths *ps, u32 path, struct list_u32 *out)
{
    struct path q = *path_at(ps, path);
    struct list_u32 base = {0};
    if (!P_IS_ROOT(q.kind)) {
        const struct list_u32 *cells = path_cells(ps, q.base);
        for (u32 i = 0; i < cells->n; i++)
            LIST_ADD(&base, cells->at[i]);
    }
    switch (q.kind) {
    case P_GLOBAL:
        LIST_ADD(out, points_cell_of_global(ps->pt, q.a));
        break;
    case P_ARG:
    case P_STACK:
    case P_HEAP:
    case P_FRESH:
    case P_OWN:
    case P_VALUE:
    case P_OLD:
        points_of_value(ps->pt, q.a, out);
        break;
    case P_FIELD:
        for (u32 i = 0; i < base.n; i++) {
            const struct step step = {q.offset, 0, q.type, q.within};
            u32 moved = points_step(ps->pt, base.at[i], &step);
            if (moved != NONE && moved != CELL_ANY)
                LIST_ADD(out, moved);
        }
        if ((!base.n || base.at[0] == CELL_ANY) && q.type) /* nothing is known of the pointer but what it points to */
            LIST_ADD(out, points_cell_of_type(ps->pt, q.type, q.within));
        break;
    case P_INDEX:
        for (u32 i = 0; i < base.n; i++)
            LIST_ADD(out, base.at[i]);
        break;
    case P_DEREF:
        points_of_cells(ps->pt, &base, out);
        break;
    default:
        break;
    }
    if (q.kind == P_FIELD && out->n > 1)
        keep_order(out);
    if (out->n && out->at[0] == CELL_ANY)
        out->n = 1; /* what else it may be does not matter any more */
    store_free(base.at);
}

const struct list_u32 *path_cells(struct paths *ps, u32 path)
{
    if (!path_at(ps, path)->resolved) {
        struct list_u32 cells = {0};
        resolve(ps, path, &cells);
        ps->at.at[path].cells = cells;
        ps->at.at[path].resolved = true;
    }
    return &ps->at.at[path].cells;
}

u32 path_single(struct paths *ps, u32 path)
{
    if (path_element(ps, path) == NONE)
        return NONE;
    const struct list_u32 *cells = path_cells(ps, path);
    if (cells->n != 1 || ps->pt->objects.at[ps->pt->cells.at[cells->at[0]].object].many)
        return NONE;
    return cells->at[0];
}

/* A pointer to an element of an array, which one is not known. */
static bool in_array(struct paths *ps, u32 path)
{
    const struct list_u32 *cells = path_cells(ps, path);
    for (u32 i = 0; i < cells->n; i++)
        if (points_in_array(ps->pt, cells->at[i]))
            return true;
    return false;
}

u32 path_element(struct paths *ps, u32 path)
{
    u32 element = 0;
    const struct path *q = path_at(ps, path);
    for (; q->kind == P_FIELD || q->kind == P_INDEX; q = path_at(ps, q->base)) {
        if (q->kind == P_INDEX)
            return NONE;
        if (q->element)
            element = element ? (u32)hash_combine(q->element, element) | 1 : q->element;
    }
    bool whole = q->kind == P_GLOBAL || q->kind == P_STACK || q->kind == P_HEAP || q->kind == P_FRESH;
    return !whole && in_array(ps, path) ? NONE : element;
}

u32 path_root_of(const struct paths *ps, u32 path)
{
    while (!P_IS_ROOT(path_at(ps, path)->kind))
        path = path_at(ps, path)->base;
    return path;
}

static bool root_is(const struct paths *ps, u32 path, u32 value)
{
    const struct path *q = path_at(ps, path);
    return P_IS_ROOT(q->kind) && q->kind != P_GLOBAL && q->kind != P_FUNCTION && q->kind != P_OLD && q->a == value;
}

bool path_mentions(const struct paths *ps, u32 path, u32 value)
{
    for (; !P_IS_ROOT(path_at(ps, path)->kind); path = path_at(ps, path)->base)
        if (path_at(ps, path)->kind == P_INDEX && path_at(ps, path)->a &&
            path_mentions(ps, path_at(ps, path)->a, value))
            return true;
    return root_is(ps, path, value);
}

u32 path_age(struct paths *ps, u32 path, u32 value)
{
    if (root_is(ps, path, value))
        return path_root(ps, P_OLD, value);
    struct path q = *path_at(ps, path);
    if (P_IS_ROOT(q.kind))
        return path;
    u32 base = path_age(ps, q.base, value);
    if (q.kind == P_FIELD) {
        struct step s = {q.offset, q.element, q.type, q.within};
        return path_field(ps, base, &s);
    }
    if (q.kind == P_INDEX)
        return path_index(ps, base, q.a && path_mentions(ps, q.a, value) ? 0 : q.a);
    return q.kind == P_AGAIN ? path_again(ps, base) : path_deref(ps, base, q.a);
}

u32 path_reroot(struct paths *ps, u32 path, u32 root)
{
    struct path q = *path_at(ps, path);
    if (P_IS_ROOT(q.kind))
        return root;
    u32 base = q.kind == P_DEREF ? q.base : path_reroot(ps, q.base, root);
    struct step s = {q.offset, q.element, q.type, q.within};
    return q.kind == P_FIELD ? path_field(ps, base, &s) : q.kind == P_INDEX ? path_index(ps, base, q.a) : path;
}

bool path_meets(struct paths *ps, u32 a, u32 b)
{
    if (a == b)
        return true;
    u32 x = path_element(ps, a), y = path_element(ps, b);
    if (x != y && x != NONE && y != NONE)
        return false;
    path_cells(ps, a);
    const struct list_u32 *right = path_cells(ps, b), *left = path_cells(ps, a);
    for (u32 i = 0, j = 0; i < left->n && j < right->n;) {
        if (left->at[i] == right->at[j])
            return true;
        if (left->at[i] < right->at[j])
            i++;
        else
            j++;
    }
    return false;
}
