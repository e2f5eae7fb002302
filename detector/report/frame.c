/* Frames of machine code. Called by names.c for those of a run, and by the verbs that read results. Takes no locks; allocates
 * with malloc.
 *
 * A saved result is hostile input: what it says of a module is believed only where a file has the build id that it
 * names. Strings of the document are escaped already, those of debug information are here. */
#include "frame.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "advice.h"
#include "label.h"
#include "names.h"

#define MAX_DEPTH 16 /* of the document; stacks stand less deep */
#define LEAST_BUILD_ID 16

/* Headers of the C++ library: their inlined functions are the library's, whatever module they were compiled into. */
static bool library_header(const char *path)
{
    return strstr(path, "/include/c++/") || strncmp(path, "/usr/include/", 13) == 0 ||
           strncmp(path, "/usr/lib/gcc", 12) == 0 || strncmp(path, "/usr/lib/llvm", 13) == 0;
}

json_t *frame_json(const struct frame_place *place, const struct symbol_frame *f)
{
    const char *file = f->file ? f->file : f->path;
    json_t *j = json_object();
    if (f->function)
        json_object_set_new(j, "function", names_text(f->function));
    if (f->name && f->function && strcmp(f->name, f->function) != 0)
        json_object_set_new(j, "name", names_text(f->name));
    if (file)
        json_object_set_new(j, "file", names_text(file));
    if (f->path && strcmp(f->path, file) != 0)
        json_object_set_new(j, "path", names_text(f->path));
    if (f->line)
        json_object_set_new(j, "line", json_integer(f->line));
    if (f->column)
        json_object_set_new(j, "column", json_integer(f->column));
    char offset[24];
    snprintf(offset, sizeof offset, "0x%llx", (unsigned long long)place->offset);
    json_object_set_new(j, "module", json_string(place->module));
    json_object_set_new(j, "offset", json_string(offset));
    json_object_set_new(j, "inlined", json_boolean(f->inlined));
    if (f->language)
        json_object_set_new(j, "language", names_text(f->language));
    if (f->nearest)
        json_object_set_new(j, "nearest", json_true());
    if (place->system || (f->path && library_header(f->path)))
        json_object_set_new(j, "system", json_true());
    if (place->interpreter)
        json_object_set_new(j, "interpreter", json_true());
    bool named = f->function && !f->nearest && f->line;
    if (!named && place->build_id[0])
        json_object_set_new(j, "build_id", json_string(place->build_id));
    if (!named && place->exact)
        json_object_set_new(j, "exact", json_true());
    return j;
}

/* ---- later ---- */

/* Bytes of a build id; 0 when it is none. */
static size_t read_build_id(const char *hex, u8 *id, size_t size)
{
    size_t n = strlen(hex);
    if (n < LEAST_BUILD_ID || n % 2 || n / 2 > size || strspn(hex, "0123456789abcdef") != n)
        return 0;
    for (size_t i = 0; i < n / 2; i++) {
        char byte[3] = {hex[2 * i], hex[2 * i + 1], 0};
        id[i] = (u8)strtoul(byte, NULL, 16);
    }
    return n / 2;
}

/* What names are known of the frame now; NULL: no more than it has. */
static const struct symbol_frames *look_up(struct symbolizer *s, const json_t *frame, u64 *offset)
{
    u8 id[64];
    size_t n = read_build_id(label_text(frame, "build_id"), id, sizeof id);
    if (!n)
        return NULL;
    *offset = strtoull(label_text(frame, "offset"), NULL, 16);
    struct symbol_module *m = symbol_module(s, label_text(frame, "module"), NULL, false, id, n);
    const struct symbol_frames *found = symbol_lookup(s, m, *offset, !json_is_true(json_object_get(frame, "exact")));
    const struct symbol_frame *last = &found->frame[found->n - 1];
    bool knew = *label_text(frame, "function") && !json_is_true(json_object_get(frame, "nearest"));
    return last->function && !last->nearest && (last->line || !knew) ? found : NULL;
}

/* Replaces the frame by those found: inlined calls make several. */
static void replace(json_t *stack, size_t i, const struct symbol_frames *found, u64 offset)
{
    json_t *frame = json_incref(json_array_get(stack, i));
    const struct frame_place place = {.module = label_text(frame, "module"),
                                      .offset = offset,
                                      .build_id = label_text(frame, "build_id"),
                                      .exact = json_is_true(json_object_get(frame, "exact")),
                                      .system = json_is_true(json_object_get(frame, "system")),
                                      .interpreter = json_is_true(json_object_get(frame, "interpreter"))};
    json_array_remove(stack, i);
    for (u32 k = 0; k < found->n && k < 256; k++)
        json_array_insert_new(stack, i + k, frame_json(&place, &found->frame[k]));
    json_decref(frame);
}

/* Frames of an inlined function have the offset of the one that they are part of. */
static bool alone(const json_t *stack, size_t i)
{
    const json_t *frame = json_array_get(stack, i);
    return !json_is_true(json_object_get(frame, "inlined")) &&
           (i == 0 || !json_is_true(json_object_get(json_array_get(stack, i - 1), "inlined")));
}

struct naming {
    struct symbolizer *symbolizer;
    json_t *modules; /* set of those of which something was named */
};

static size_t name_stack(struct naming *n, json_t *stack)
{
    size_t named = 0;
    for (size_t i = json_array_size(stack); i-- > 0;) {
        u64 offset;
        const json_t *frame = json_array_get(stack, i);
        const struct symbol_frames *found =
            json_object_get(frame, "build_id") && alone(stack, i) ? look_up(n->symbolizer, frame, &offset) : NULL;
        if (!found)
            continue;
        json_object_set_new(n->modules, label_text(frame, "module"), json_true());
        replace(stack, i, found, offset);
        named++;
    }
    return named;
}

/* Every array of frames below; how many frames have been named. */
static size_t name_all(struct naming *n, json_t *j, int depth)
{
    const char *key;
    json_t *value;
    size_t i, named = 0;
    if (depth > MAX_DEPTH)
        return 0;
    if (json_is_array(j) && json_object_get(json_array_get(j, 0), "inlined"))
        return name_stack(n, j);
    json_array_foreach (j, i, value)
        named += name_all(n, value, depth + 1);
    json_object_foreach (j, key, value)
        named += name_all(n, value, depth + 1);
    return named;
}

/* Takes away what the run said of modules that had no names then. */
static void forget_advice(json_t *sentences, const json_t *modules)
{
    for (size_t i = json_array_size(sentences); i-- > 0;) {
        const char *sentence = json_string_value(json_array_get(sentences, i)), *end = sentence;
        char *module;
        while (end && (end = strchr(end, ' '))) {
            module = strndup(sentence, (size_t)(end++ - sentence));
            bool known = module && json_object_get(modules, module);
            free(module);
            if (!known)
                continue;
            json_array_remove(sentences, i);
            break;
        }
    }
}

/* Made of a run, not by another verb's words. */
static bool has_advice(const json_t *finding)
{
    return !label_is(finding, "verdict", "static") && !json_object_get(finding, "across") &&
           !label_flag(finding, "baseline");
}

void frames_name(json_t *document)
{
    struct naming n = {symbolizer_new(NULL), json_object()};
    json_t *f;
    size_t i;
    if (!n.symbolizer)
        abort();
    json_array_foreach (json_object_get(document, "findings"), i, f) {
        if (name_all(&n, f, 0) && has_advice(f))
            advice_write(f);
    }
    name_all(&n, json_object_get(document, "lock_graph"), 0);
    name_all(&n, json_object_get(document, "contention"), 0);
    forget_advice(json_object_get(json_object_get(document, "run"), "symbols"), n.modules);
    json_decref(n.modules);
    symbolizer_free(n.symbolizer);
}
