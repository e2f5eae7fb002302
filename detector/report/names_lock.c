/* Classes of locks, from where they were born. Called by collect*.c. Takes no locks; allocates with malloc.
 *
 * A million locks of a heap class share one name: names are cached by birth, not by lock. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/hash.h"
#include "escape.h"
#include "label.h"
#include "names_internal.h"
#include "symbol/variable.h"

static const char *const kind_names[] = {
#define X(e, s) s,
    OBJECT_KINDS(X)
#undef X
};

/* What a class is, without the instance. */
struct class_name {
    char *class, *local, *full, *file;
    u32 line;
};

static enum lock_type type_of(const struct object_head *h)
{
    switch (h->kind) {
    case OBJ_MUTEX:
        return LOCK_TYPE_MUTEX;
    case OBJ_RWLOCK:
        return LOCK_TYPE_RWLOCK;
    case OBJ_SPIN:
        return LOCK_TYPE_SPIN;
    case OBJ_SEM:
        return LOCK_TYPE_SEM;
    case OBJ_COND:
        return LOCK_TYPE_COND;
    case OBJ_BARRIER:
        return LOCK_TYPE_BARRIER;
    case OBJ_CUSTOM:
        return h->attrs & ATTR_ONCE ? LOCK_TYPE_ONCE : LOCK_TYPE_CUSTOM;
    default:
        return LOCK_TYPE_ANY;
    }
}

static char *copy_escaped(const char *s)
{
    return s ? escape_text(s, strlen(s)) : NULL;
}

static char *joined(const char *a, const char *b)
{
    char *s = NULL;
    if (asprintf(&s, "%s%s", a, b) < 0)
        abort();
    return s;
}

static const char *base_name(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash && slash[1] ? slash + 1 : path;
}

/* What stays the same in every run of the name of a file: its last part. A deleted one has a name that was made up. */
static const char *stable_name(const char *path)
{
    static const char mark[] = " (deleted)";
    size_t n = strlen(path);
    bool deleted = n >= sizeof mark && strcmp(path + n - (sizeof mark - 1), mark) == 0;
    const char *base = base_name(path);
    if (strncmp(base, "memfd:", 6) != 0 && (deleted || strstr(path, " (deleted)[") || base[0] == '#'))
        return "temporary file";
    return base;
}

/* Names given by the program: a semaphore's, a file's path, an annotation's. Folders differ from machine to machine, so
 * a path's class is its last part. */
static void named_class(struct class_name *c, const struct view_object *o, char *name)
{
    const char *path = name + (strncmp(name, "FILE ", 5) == 0 ? 5 : 0);
    if (o->head.kind == OBJ_FLOCK || o->head.kind == OBJ_FCNTL || o->birth.region == REGION_FILE)
        c->class = joined("file:", stable_name(path));
    else if (o->head.attrs & ATTR_FILE)
        c->class = joined("FILE:", strcmp(path, "FILE") == 0 ? "no file" : stable_name(path));
    else if (o->head.kind == OBJ_SEM && ((o->head.attrs & ATTR_PYTHON) == 0 || name[0] == '/'))
        c->class = joined("sem:", base_name(name));
    else
        c->class = joined(name, "");
    c->full = strchr(path, '/') ? joined(path, "") : NULL;
    free(name);
}

static u32 sites_of(struct names *n, const struct view_stack *s, bool own_only, struct symbol_site *out, u32 max)
{
    u32 count = 0;
    for (u32 i = 0; i < s->n && count < max; i++) {
        u32 id = FRAME_MODULE(s->frame[i]);
        if (s->frame[i] & FRAME_PYTHON || names_is_snarl(n, id) || (own_only && n->module[id].is_system))
            continue;
        out[count++] =
            (struct symbol_site){names_module(n, id), FRAME_OFFSET(s->frame[i]), !(s->frame[i] & FRAME_EXACT)};
    }
    return count;
}

u32 names_sites(struct names *n, ref_t stack, bool own_only, struct symbol_site *out, u32 max)
{
    struct view_stack s;
    view_stack(stack, &s);
    u32 count = own_only ? sites_of(n, &s, true, out, max) : 0;
    return count ? count : sites_of(n, &s, false, out, max);
}

struct symbol_site names_frame_site(struct names *n, ref_t stack, u32 frame)
{
    struct view_stack s;
    view_stack(stack, &s);
    if (frame >= s.n || s.frame[frame] & FRAME_PYTHON)
        return (struct symbol_site){NULL, 0, false};
    u64 f = s.frame[frame];
    return (struct symbol_site){names_module(n, FRAME_MODULE(f)), FRAME_OFFSET(f), !(f & FRAME_EXACT)};
}

static bool is_rounded(const struct view_object *o)
{
    return o->birth.region == REGION_HEAP && o->birth.frame == HEAP_ROUNDED;
}

/* One whole object, not an element of some. */
static bool is_one(const struct variable_name *v)
{
    return v->source == NAME_TYPED && !strstr(v->class_name, "[]");
}

static void block_class(struct names *n, const struct view_object *o, enum lock_type type, struct variable_name *v)
{
    struct symbol_site alloc[16], init[16];
    u32 na = names_sites(n, o->birth.alloc_stack, is_rounded(o), alloc, ARRAY_LEN(alloc));
    u32 ni = names_sites(n, o->birth.init_stack, false, init, ARRAY_LEN(init));
    u64 size = o->birth.region == REGION_SHARED || o->birth.alloc_size == HEAP_UNKNOWN ? HEAP_MAPPED
               : na                                                                    ? o->birth.alloc_size
                                                                                       : 0;
    heap_class(n->symbolizer, alloc, na, init, ni, o->birth.init_seen, size, o->birth.offset, type, v);
    if (!is_rounded(o) || is_one(v) || size == HEAP_UNKNOWN)
        return;
    struct variable_name less = {0};
    heap_class(n->symbolizer, alloc, na, init, ni, o->birth.init_seen, size - 8, o->birth.offset, type, &less);
    if (less.source == NAME_TYPED && (is_one(&less) || v->source != NAME_TYPED))
        *v = less;
}

static void native_class(struct names *n, const struct view_object *o, struct class_name *c)
{
    struct variable_name v = {0};
    enum lock_type type = type_of(&o->head);
    if (o->birth.region == REGION_GLOBAL) {
        variable_global(n->symbolizer, names_module_ref(n, o->birth.module), o->birth.offset, type, &v);
    } else if (o->birth.region == REGION_TLS) {
        variable_tls(n->symbolizer, names_module_ref(n, o->birth.module), o->birth.offset, type, &v);
    } else if (o->birth.region == REGION_STACK) {
        ref_t stack = o->birth.alloc_stack ? o->birth.alloc_stack : o->birth.init_stack;
        stack_class(n->symbolizer, names_frame_site(n, stack, o->birth.frame), (int64_t)o->birth.offset, type, &v);
    } else {
        block_class(n, o, type, &v);
    }
    c->class = copy_escaped(v.class_name && *v.class_name ? v.class_name : "?");
    c->file = copy_escaped(v.file);
    c->line = v.line;
    struct module_rec m;
    bool of_main = o->birth.region == REGION_GLOBAL && view_get(o->birth.module, &m, sizeof m) && m.is_main;
    c->local = of_main && v.local ? copy_escaped(v.local) : NULL;
}

/* A name says nothing of where the lock is; its declaration does. */
static void named_place(struct names *n, const struct view_object *o, struct class_name *c)
{
    struct class_name native = {0};
    if (o->birth.region != REGION_GLOBAL)
        return;
    native_class(n, o, &native);
    c->file = native.file;
    c->line = native.line;
    free(native.class);
    free(native.local);
}

static struct class_name *make_class(struct names *n, const struct view_object *o)
{
    struct class_name *c = view_alloc(sizeof *c);
    struct view_stack s;
    if (o->head.attrs & ATTR_INTERPRETER)
        c->class = joined("python:interpreter lock", "");
    if (o->head.attrs & ATTR_THREAD_END)
        c->class = joined(LABEL_THREAD_END, "");
    /* Before the name: multiprocessing makes one up for every lock. */
    if (!c->class && (o->head.attrs & ATTR_PYTHON) && view_stack(o->birth.init_stack, &s))
        names_python_lock(&s, &c->class, &c->file, &c->line);
    char *name = c->class || !o->birth.name ? NULL : view_string(o->birth.name);
    if (name && *name) {
        named_class(c, o, name);
        named_place(n, o, c);
    } else {
        free(name);
    }
    if (!c->class)
        native_class(n, o, c);
    if (!c->local)
        c->local = joined(c->class, "");
    return c;
}

static const struct class_name *class_of(struct names *n, const struct view_object *o)
{
    const struct object_birth *b = &o->birth;
    bool global = b->region == REGION_GLOBAL;
    struct {
        u64 offset, size;
        u32 kind, attrs, region, frame, module, init, alloc, name;
    } key = {b->offset,
             global ? 0 : b->alloc_size,
             o->head.kind,
             o->head.attrs & (ATTR_ONCE | ATTR_FILE | ATTR_INTERPRETER | ATTR_PYTHON | ATTR_THREAD_END),
             b->region,
             b->frame,
             global ? b->module : 0,
             global && !(o->head.attrs & ATTR_PYTHON) ? 0 : b->init_stack,
             b->alloc_stack,
             b->name};
    bool fresh;
    u64 *place = refmap_put(&n->births, hash_bytes(&key, sizeof key, 0), &fresh);
    if (fresh)
        *place = (u64)(uintptr_t)make_class(n, o);
    return (const struct class_name *)(uintptr_t)*place;
}

static struct lock_name *unknown_lock(struct names *n)
{
    struct lock_name *l = view_alloc(sizeof *l);
    static char mark[] = "?";
    *l = (struct lock_name){.class = mark, .local = mark, .kind = "custom", .instance = ++n->ninstances};
    return l;
}

/* The line that made it: of a Python lock its memory says nothing. */
static ref_t born_stack(const struct view_object *o)
{
    bool python = (o->head.attrs & ATTR_PYTHON) && o->birth.init_seen;
    if (is_rounded(o))
        return 0;
    return o->birth.alloc_stack && !python ? o->birth.alloc_stack : o->birth.init_seen ? o->birth.init_stack : 0;
}

const struct lock_name *names_lock(struct names *n, ref_t lock)
{
    bool fresh;
    struct view_object o;
    u64 *place = refmap_put(&n->locks, lock, &fresh);
    if (!fresh)
        return (const struct lock_name *)(uintptr_t)*place;
    struct lock_name *l;
    if (!view_object(lock, &o)) {
        l = unknown_lock(n);
    } else {
        const struct class_name *c = class_of(n, &o);
        l = view_alloc(sizeof *l);
        *l = (struct lock_name){
            c->class,        c->local,       c->full,
            c->file,         c->line,        kind_names[o.head.kind],
            ++n->ninstances, o.head.attrs,   (o.head.attrs & ATTR_SHARED) || o.birth.region == REGION_SHARED,
            o.head.process,  born_stack(&o), o.acquisitions};
    }
    *refmap_put(&n->locks, lock, NULL) = (u64)(uintptr_t)l;
    return l;
}

void names_free_locks(struct names *n)
{
    for (const struct refmap_item *i = refmap_next(&n->locks, NULL); i; i = refmap_next(&n->locks, i))
        free((void *)(uintptr_t)i->value);
    for (const struct refmap_item *i = refmap_next(&n->births, NULL); i; i = refmap_next(&n->births, i)) {
        struct class_name *c = (struct class_name *)(uintptr_t)i->value;
        if (!c)
            continue;
        free(c->class);
        free(c->local);
        free(c->full);
        free(c->file);
        free(c);
    }
    refmap_free(&n->locks);
    refmap_free(&n->births);
}
