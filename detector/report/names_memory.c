/* Memory, named from where it lives. Called by collect_memory.c. Takes no locks; allocates with malloc. */
#include <stdlib.h>
#include <string.h>

#include "buffer.h"
#include "escape.h"
#include "label.h"
#include "names_internal.h"

#define MAX_SITES 16u

static const char *region_name(u32 region)
{
    switch (region) {
    case REGION_GLOBAL:
    case REGION_TLS: /* "thread_local" tells them apart */
        return "global";
    case REGION_STACK:
        return "stack";
    case REGION_SHARED:
    case REGION_FILE:
        return "shared";
    case REGION_DESCRIPTOR:
        return "descriptor";
    default: /* also what the program has mapped itself */
        return "heap";
    }
}

static void set_text(json_t *j, const char *key, const char *value)
{
    if (value && *value)
        json_object_set_new(j, key, names_text(value));
}

/* The calls outwards from the function whose variable it is, or those of the allocation. */
static json_t *born(struct names *n, const struct object_birth *b, ref_t frame_stack)
{
    struct view_stack s;
    if (b->region != REGION_STACK)
        return b->region == REGION_GLOBAL || b->region == REGION_TLS ? json_array()
                                                                     : names_stack(n, b->alloc_stack, 0, 0);
    json_t *list = json_array();
    view_stack(frame_stack, &s);
    for (u32 i = b->frame; i < s.n; i++) {
        json_t *frames = names_frame(n, s.frame[i]);
        json_array_extend(list, frames);
        json_decref(frames);
    }
    return list;
}

/* The function that a name of the form function#n or function:variable begins with. */
static void set_function(json_t *j, const char *class, u32 region)
{
    const char *end = NULL;
    if (region != REGION_STACK) {
        end = strrchr(class, '#');
    } else {
        for (const char *p = class; *p; p++) {
            if (p[0] == ':' && p[1] == ':')
                p++;
            else if (p[0] == ':')
                end = p;
        }
    }
    char *function = end && end > class ? strndup(class, (size_t)(end - class)) : NULL;
    set_text(j, "function", function);
    free(function);
}

/* What people call it when there is no variable to name. */
static void set_shown(json_t *j, const struct data_name *d, u32 region)
{
    const char *function = json_string_value(json_object_get(j, "function"));
    struct buffer b = {0};
    if (d->shown && *d->shown)
        buffer_put(&b, d->shown);
    else if (region == REGION_GLOBAL || region == REGION_TLS)
        buffer_put(&b, d->name.class_name);
    else if (region == REGION_STACK)
        buffer_print(&b, function ? "a variable of %s()" : "a variable on a stack", function);
    else if (region == REGION_SHARED || region == REGION_FILE)
        buffer_put(&b, "shared memory");
    else
        buffer_print(&b, function ? "memory allocated in %s()" : "memory", function);
    char *text = buffer_take(&b);
    set_text(j, "shown", text);
    free(text);
}

/* What is mapped, and where in it. Its name may be another one in every run, so it is for people only. */
static void set_mapped(json_t *j, const struct object_birth *b)
{
    char *file = b->name ? view_string(b->name) : NULL;
    struct buffer shown = {0};
    if (file && *file) {
        buffer_print(&shown, "%s+0x%llx", file, (unsigned long long)b->offset);
        char *text = buffer_take(&shown);
        set_text(j, "shown", text);
        free(text);
    }
    free(file);
}

static void set_object(json_t *j, const struct data_name *d)
{
    static const char *const shapes[] = {"", "integer", "bool", "pointer", "float", "aggregate", "lock"};
    set_text(j, "type", d->type);
    if (d->shape != DATA_UNKNOWN && (size_t)d->shape < ARRAY_LEN(shapes))
        json_object_set_new(j, "shape", json_string(shapes[d->shape]));
    if (d->size)
        json_object_set_new(j, "object_size", json_integer((json_int_t)(d->size & INT64_MAX)));
    if (d->is_volatile)
        json_object_set_new(j, "volatile", json_true());
    if (d->is_atomic)
        json_object_set_new(j, "atomic", json_true());
    if (d->name.source == NAME_TYPED && d->name.file) {
        json_t *declared = json_object();
        set_text(declared, "file", d->name.file);
        json_object_set_new(declared, "line", json_integer(d->name.line));
        json_object_set_new(j, "declared", declared);
    }
}

static void name_heap(struct names *n, const struct object_birth *b, u64 size, const ref_t *use, u32 nuse,
                      struct data_name *d)
{
    struct symbol_site alloc[MAX_SITES], sites[MAX_SITES];
    u32 nalloc = names_sites(n, b->alloc_stack, true, alloc, MAX_SITES), nsites = 0;
    for (u32 i = 0; i < nuse && nsites + 2 <= MAX_SITES; i++) /* two of each: the inner ones know best */
        nsites += names_sites(n, use[i], true, sites + nsites, 2);
    if (nalloc)
        data_heap(n->symbolizer, alloc, nalloc, sites, nsites, b->alloc_size, b->offset, size, d);
    else
        d->name.class_name = d->name.local =
            b->region == REGION_SHARED || b->region == REGION_FILE ? "shared memory" : "memory";
}

static void name_stack(struct names *n, struct symbol_site site, int64_t offset, u64 size, struct data_name *d)
{
    if (site.module)
        data_stack(n->symbolizer, site, offset, size, d);
    else
        d->name.class_name = d->name.local = "stack";
}

/* A file descriptor, named by who made it. */
static json_t *descriptor(struct names *n, const struct object_birth *b, u64 size)
{
    json_t *stack = b->alloc_stack ? names_stack(n, b->alloc_stack, 0, 0) : json_array();
    const json_t *frame = label_frame(stack);
    const char *function = label_text(frame, "function");
    struct buffer name = {0}, shown = {0};
    buffer_print(&name, *function ? "%s:descriptor" : "descriptor", function);
    buffer_print(&shown, "file descriptor %llu", (unsigned long long)b->alloc_size);
    char *name_text = buffer_take(&name), *shown_text = buffer_take(&shown);
    json_t *j = json_pack("{s:I,s:s,s:o,s:I}", "size", (json_int_t)(size & INT64_MAX), "region", "descriptor", "born",
                          stack, "descriptor", (json_int_t)(b->alloc_size & INT64_MAX));
    set_text(j, "name", name_text);
    set_text(j, "function", function);
    set_text(j, "shown", shown_text);
    free(name_text);
    free(shown_text);
    return j;
}

json_t *names_memory(struct names *n, const struct object_birth *b, u64 size, const ref_t *use, u32 nuse)
{
    if (b->region == REGION_DESCRIPTOR)
        return descriptor(n, b, size);
    struct data_name d = {0};
    json_t *j = json_object();
    bool pointed = b->region == REGION_SHARED && b->module && b->alloc_size;
    ref_t frame_stack = b->alloc_stack ? b->alloc_stack : b->init_stack ? b->init_stack : nuse ? use[0] : 0;
    struct module_rec m;
    if (b->region == REGION_GLOBAL)
        data_global(n->symbolizer, names_module_ref(n, b->module), b->offset, size, &d);
    else if (pointed)
        data_pointed(n->symbolizer, names_module_ref(n, b->module), b->alloc_size, b->offset, size, &d);
    else if (b->region == REGION_TLS)
        data_tls(n->symbolizer, names_module_ref(n, b->module), b->offset, size, &d);
    else if (b->region == REGION_STACK)
        name_stack(n, names_frame_site(n, frame_stack, b->frame), (int64_t)b->offset, size, &d);
    else
        name_heap(n, b, size, use, nuse, &d);
    if (!d.name.class_name)
        d.name.class_name = "memory";
    set_text(j, "name", *d.name.class_name ? d.name.class_name : "memory");
    bool in_module = b->region == REGION_GLOBAL || b->region == REGION_TLS || pointed;
    if (in_module && d.name.local && view_get(b->module, &m, sizeof m) && m.is_main)
        set_text(j, "local", d.name.local);
    json_object_set_new(j, "size", json_integer((json_int_t)(size & INT64_MAX)));
    json_object_set_new(j, "region", json_string(region_name(b->region)));
    json_object_set_new(j, "born", born(n, b, frame_stack));
    if (!in_module)
        set_function(j, d.name.class_name, b->region);
    set_shown(j, &d, b->region);
    if (b->region == REGION_SHARED && !pointed)
        set_mapped(j, b);
    set_object(j, &d);
    if (b->region == REGION_TLS)
        json_object_set_new(j, "thread_local", json_true());
    if (b->region == REGION_HEAP && b->offset < b->alloc_size && b->alloc_size <= INT64_MAX)
        json_object_set_new(j, "block",
                            json_pack("{s:I,s:I}", "size", (json_int_t)b->alloc_size, "offset", (json_int_t)b->offset));
    return j;
}
