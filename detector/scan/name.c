/* Names of locks and memory, as runs spell them (docs/architecture.md): a global is "file.c:symbol" or "symbol", with
 * ".field" and "[n]" behind; what is allocated is "type.field"; a local variable "function:variable". Called by emit.c.
 * Takes no locks; allocates with malloc. */
#include "name.h"

#include <stdlib.h>

static const char *file_name(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash ? slash + 1 : path;
}

/* ".a.b" for an offset in a type; arrays count as their first element. False where the type ends before. */
static bool put_fields(struct buffer *b, const struct program *p, u32 type, u32 offset)
{
    for (int depth = 0; depth < 20; depth++) {
        const struct type *t = &p->types.at[type];
        const struct field *found = NULL;
        if (t->kind == T_ARRAY) {
            type = t->element;
            continue;
        }
        for (u32 i = 0; t->kind == T_STRUCT && i < t->nfields; i++) {
            const struct field *f = &p->fields.at[t->field + i];
            u32 size = p->types.at[f->type].size;
            if (offset == f->offset || (offset > f->offset && offset < f->offset + size)) {
                found = f;
                if (offset < f->offset + size)
                    break;
            }
        }
        const char *name = text_of(p, t->name); /* the inside of a lock has no names for people */
        if (!found || strncmp(name, "pthread_", 8) == 0 || strncmp(name, "__pthread_", 10) == 0)
            return found != NULL || offset == 0;
        if (found->name)
            buffer_print(b, ".%s", text_of(p, found->name));
        offset -= found->offset;
        type = found->type;
        if (!offset && p->types.at[type].kind != T_STRUCT)
            return true;
        if (!offset && !found->name)
            continue;
        if (!offset)
            return true;
    }
    return false;
}

/* Whether a structure's start is told as its first member: when it was reached as that, or is a lock. */
static bool is_first_member(struct whole *w, u32 type, u32 path)
{
    const struct program *p = w->a->p;
    const struct type *t = &p->types.at[type];
    while (t->kind == T_ARRAY)
        t = &p->types.at[t->element];
    if (t->kind != T_STRUCT || !t->nfields)
        return false;
    const struct path *q = path_at(&w->a->ps, path);
    u32 first = p->fields.at[t->field].type;
    return q->kind == P_FIELD || strncmp(text_of(p, p->types.at[first].name), "pthread_", 8) == 0;
}

static void global_name(struct whole *w, struct name *n, u32 global, u32 offset, bool many, u32 path)
{
    const struct program *p = w->a->p;
    const struct global *g = &p->globals.at[global];
    struct buffer shown = {0}, local = {0};
    buffer_put(&shown, text_of(p, g->shown));
    if (many)
        buffer_put(&shown, "[]");
    if (g->type && (offset || is_first_member(w, g->type, path)))
        put_fields(&shown, p, g->type, offset);
    if ((g->flags & GL_STATIC) && g->file)
        buffer_print(&local, "%s:", file_name(text_of(p, g->file)));
    n->shown = buffer_take(&shown);
    buffer_put(&local, n->shown);
    n->local = buffer_take(&local);
    n->file = g->file;
    n->line = g->line;
    n->region = "global";
}

static void local_name(struct whole *w, struct name *n, u32 value, u32 offset, u32 path)
{
    const struct program *p = w->a->p;
    const struct value *v = &p->values.at[value];
    struct buffer shown = {0}, local = {0};
    buffer_put(&shown, v->c ? text_of(p, v->c) : "variable");
    if (v->a && (offset || is_first_member(w, v->a, path)))
        put_fields(&shown, p, v->a, offset);
    n->shown = buffer_take(&shown);
    buffer_print(&local, "%s:%s", text_of(p, p->functions.at[v->function].shown), n->shown);
    n->local = buffer_take(&local);
    n->region = "stack";
}

/* "type.field" of a path's last step, "" when it has none. */
static bool typed_name(struct whole *w, struct name *n, u32 path)
{
    const struct program *p = w->a->p;
    const struct path *q = path_at(&w->a->ps, path);
    while (q->kind == P_INDEX || q->kind == P_AGAIN)
        q = path_at(&w->a->ps, q->base);
    if (q->kind != P_FIELD || !q->type || !p->types.at[q->type].name)
        return false;
    struct buffer b = {0};
    buffer_put(&b, text_of(p, p->types.at[q->type].name));
    if (!put_fields(&b, p, q->type, q->within) && q->within)
        buffer_print(&b, "+%u", q->within);
    n->local = buffer_take(&b);
    n->shown = strdup(n->local);
    n->region = "heap";
    return n->shown != NULL;
}

/* Memory without a type: the function that allocates it. */
static void heap_name(struct whole *w, struct name *n, u32 value)
{
    const struct program *p = w->a->p;
    const struct value *v = &p->values.at[value];
    struct buffer b = {0};
    u32 count = 1;
    for (u32 i = p->functions.at[v->function].value; i < value; i++) {
        const struct call *c = p->values.at[i].op == V_CALL ? points_call(&w->a->pt, i) : NULL;
        count += c && c->known && c->known->op == K_ALLOC;
    }
    buffer_print(&b, "%s#%u", text_of(p, p->functions.at[v->function].shown), count);
    n->local = buffer_take(&b);
    n->shown = strdup(n->local);
    n->region = "heap";
}

struct name name_of_cell(struct whole *w, u32 cell, u32 path)
{
    struct name n = {.cell = cell};
    const struct cell *c = &w->a->pt.cells.at[cell];
    const struct object *o = &w->a->pt.objects.at[c->object];
    u32 element = path_element(&w->a->ps, path);
    if (o->kind == OBJ_GLOBAL)
        global_name(w, &n, o->of, c->offset, element != 0 && points_in_array(&w->a->pt, cell), path);
    else if (o->kind == OBJ_STACK)
        local_name(w, &n, o->of, c->offset, path);
    else if (!typed_name(w, &n, path) && o->kind == OBJ_HEAP)
        heap_name(w, &n, o->of);
    if (!n.local) {
        n.local = strdup("?");
        n.shown = strdup("?");
        n.region = "heap";
    }
    return n;
}

struct name name_of_path(struct whole *w, u32 path)
{
    const struct list_u32 *cells = path_cells(&w->a->ps, path);
    if (path_at(&w->a->ps, path)->kind == P_ATOMIC)
        return (struct name){strdup("atomic section"), strdup("atomic section"), 0, 0, "global", NONE};
    if (cells->n == 1 && cells->at[0] != CELL_ANY)
        return name_of_cell(w, cells->at[0], path);
    struct name n = {.cell = NONE};
    if (!typed_name(w, &n, path)) {
        if (cells->n && cells->at[0] != CELL_ANY)
            return name_of_cell(w, cells->at[0], path);
        n.local = strdup("?");
        n.shown = strdup("?");
        n.region = "heap";
    }
    return n;
}

char *name_of_program(const struct program *p)
{
    for (u32 i = 0; i < p->functions.n; i++) {
        const struct function *f = &p->functions.at[i];
        if (!(f->flags & FN_DEFINED) || strcmp(text_of(p, f->name), "main") != 0 || !f->file)
            continue;
        const char *name = file_name(text_of(p, f->file)), *dot = strrchr(name, '.');
        return strndup(name, dot && dot != name ? (size_t)(dot - name) : strlen(name));
    }
    return strdup("library");
}
