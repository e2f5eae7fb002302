/* Stacks and addresses of the arena, named. Called by collect*.c. Takes no locks; allocates with malloc. */
#include "names.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "escape.h"
#include "frame.h"
#include "map.h"
#include "names_internal.h"

#define MAX_MODULES 16384u /* ids that fit a frame */

json_t *names_text(const char *text)
{
    char *safe = escape_text(text, strlen(text));
    json_t *s = json_string(safe);
    free(safe);
    return s;
}

static void add_module(struct names *n, const struct module_rec *m)
{
    if (!m->id || m->id >= MAX_MODULES)
        return;
    struct named_module *nm = &n->module[m->id];
    if (nm->known)
        return;
    char *path = view_string_raw(m->path), *soname = view_string_raw(m->soname);
    size_t length = m->build_id_len <= sizeof m->build_id ? m->build_id_len : 0;
    nm->known = true;
    nm->is_snarl = m->is_snarl != 0;
    nm->is_python = m->is_python != 0;
    nm->is_system = (m->is_system && !m->is_main) || m->is_libc || m->is_python;
    nm->path = escape_text(path, strlen(path));
    nm->symbols = symbol_module(n->symbolizer, path, *soname ? soname : NULL, m->is_main != 0, m->build_id, length);
    for (size_t i = 0; i < length; i++)
        snprintf(nm->build_id + 2 * i, 3, "%02x", m->build_id[i]);
    free(path);
    free(soname);
}

static struct symbolizer *kept; /* of names_keep */

void names_keep(void)
{
    if (!kept && !(kept = symbolizer_new(NULL)))
        abort();
}

struct names *names_new(void)
{
    struct names *n = view_alloc(sizeof *n);
    struct module_rec m;
    struct view_walk walk = {0};
    n->module = view_alloc(MAX_MODULES * sizeof *n->module);
    n->symbolizer = kept ? kept : symbolizer_new(NULL);
    if (!n->symbolizer)
        abort();
    while (view_next(POOL_MODULE, &walk, &m, sizeof m))
        add_module(n, &m);
    return n;
}

static void free_documents(struct refmap *m)
{
    for (const struct refmap_item *i = refmap_next(m, NULL); i; i = refmap_next(m, i))
        json_decref((json_t *)(uintptr_t)i->value);
    refmap_free(m);
}

void names_free(struct names *n)
{
    if (!n)
        return;
    free_documents(&n->frames);
    free_documents(&n->stacks);
    names_free_locks(n);
    for (u32 i = 0; i < MAX_MODULES; i++)
        free(n->module[i].path);
    free(n->module);
    if (n->symbolizer != kept)
        symbolizer_free(n->symbolizer);
    free(n);
}

struct symbol_module *names_module(struct names *n, u32 id)
{
    return id < MAX_MODULES ? n->module[id].symbols : NULL;
}

struct symbol_module *names_module_ref(struct names *n, ref_t module)
{
    struct module_rec m;
    return view_get(module, &m, sizeof m) && m.id < MAX_MODULES ? n->module[m.id].symbols : NULL;
}

static u64 frame_of(u64 address, ref_t process)
{
    struct process_rec p;
    struct module_rec m;
    if (!address || !view_get(process, &p, sizeof p))
        return 0;
    ref_t at = p.modules;
    for (u32 steps = 0; at && steps < MAX_MODULES && view_get(at, &m, sizeof m); at = m.next, steps++)
        if (address >= m.lo && address < m.hi && m.id < MAX_MODULES)
            return (u64)m.id << 48 | FRAME_OFFSET(address - m.bias);
    return 0;
}

static json_t *native_frame(struct names *n, u64 frame, const struct symbol_frame *f)
{
    const struct named_module *m = &n->module[FRAME_MODULE(frame)];
    const struct frame_place place = {.module = m->path && *m->path ? m->path : "?",
                                      .offset = FRAME_OFFSET(frame),
                                      .build_id = m->build_id,
                                      .exact = (frame & FRAME_EXACT) != 0,
                                      .system = m->is_system,
                                      .interpreter = m->is_python};
    return frame_json(&place, f);
}

static json_t *python_frame(u64 frame)
{
    struct py_frame p;
    json_t *j = json_object();
    bool ok = view_get((ref_t)frame, &p, sizeof p);
    char *function = view_string(ok ? p.function : 0), *file = view_string(ok ? p.file : 0);
    json_object_set_new(j, "function", json_string(*function ? function : "?"));
    if (*file)
        json_object_set_new(j, "file", json_string(file));
    if (p.line)
        json_object_set_new(j, "line", json_integer(p.line));
    json_object_set_new(j, "inlined", json_false());
    json_object_set_new(j, "language", json_string("python"));
    if (names_python_library(file))
        json_object_set_new(j, "system", json_true());
    free(function);
    free(file);
    return j;
}

json_t *names_frame(struct names *n, u64 frame)
{
    bool fresh;
    u64 *place = refmap_put(&n->frames, frame, &fresh);
    if (!fresh)
        return json_incref((json_t *)(uintptr_t)*place);
    json_t *array = json_array();
    if (frame & FRAME_PYTHON) {
        json_array_append_new(array, python_frame(frame));
    } else if (!names_is_snarl(n, FRAME_MODULE(frame))) {
        struct symbol_module *m = n->module[FRAME_MODULE(frame)].symbols;
        const struct symbol_frames *f = symbol_lookup(n->symbolizer, m, FRAME_OFFSET(frame), !(frame & FRAME_EXACT));
        for (u32 i = 0; i < f->n && i < 256; i++)
            json_array_append_new(array, native_frame(n, frame, &f->frame[i]));
    }
    *refmap_put(&n->frames, frame, NULL) = (u64)(uintptr_t)array;
    return json_incref(array);
}

static json_t *build_stack(struct names *n, const struct view_stack *s)
{
    json_t *array = json_array();
    for (u32 i = 0; i < s->n; i++) {
        json_t *frames = names_frame(n, s->frame[i]);
        json_array_extend(array, frames);
        json_decref(frames);
    }
    return array;
}

json_t *names_stack(struct names *n, ref_t stack, u64 site, ref_t process)
{
    struct view_stack s;
    u64 frame;
    if (view_stack(stack, &s)) {
        bool fresh;
        u64 *place = refmap_put(&n->stacks, stack, &fresh);
        if (fresh) {
            json_t *array = build_stack(n, &s);
            *refmap_put(&n->stacks, stack, NULL) = (u64)(uintptr_t)array;
            return json_incref(array);
        }
        return json_incref((json_t *)(uintptr_t)*place);
    }
    frame = frame_of(site, process);
    return frame ? names_frame(n, frame) : json_array();
}

char *names_function_at(struct names *n, u64 address, ref_t process)
{
    u64 frame = frame_of(address, process);
    if (!frame)
        return NULL;
    const struct symbol_frames *f =
        symbol_lookup(n->symbolizer, n->module[FRAME_MODULE(frame)].symbols, FRAME_OFFSET(frame), false);
    const char *name = f->frame[f->n - 1].name;
    return name && !f->frame[f->n - 1].nearest ? escape_text(name, strlen(name)) : NULL;
}

json_t *names_advice(struct names *n)
{
    json_t *list = json_array();
    for (const struct refmap_item *i = refmap_next(&n->frames, NULL); i; i = refmap_next(&n->frames, i)) {
        if (i->key & FRAME_PYTHON)
            continue;
        struct named_module *m = &n->module[FRAME_MODULE(i->key)];
        if (!m->symbols || m->advised || m->is_system)
            continue;
        m->advised = true;
        const char *text = symbol_module_advice(n->symbolizer, m->symbols);
        if (text)
            json_array_append_new(list, names_text(text));
    }
    return list;
}
