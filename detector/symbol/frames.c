/* symbol_lookup: functions, lines and inlined calls at an address. Called by detector/report, and by sites.c. Takes no
 * locks, allocates. Answers are kept per address, so asking again is one probe. */
#include "internal.h"

#include <string.h>

#define INLINE_MAX 64

/* *frame: the frames, to be filled. */
static struct symbol_frames *frames_new(struct symbol_module *m, size_t n, struct symbol_frame **frame)
{
    struct symbol_frames *f = pool_alloc(&m->owner->pool, sizeof *f);
    *frame = f ? pool_alloc(&m->owner->pool, n * sizeof **frame) : NULL;
    if (!*frame)
        return NULL;
    f->n = (u32)n;
    f->frame = *frame;
    return f;
}

static void name_from_symbol(struct symbol_module *m, u64 address, struct symbol_frame *f)
{
    const struct elf_symbol *s = symbols_at(&m->functions, address, true);
    struct function_name name;
    if (!s)
        return;
    f->nearest = address - s->address >= s->size && address != s->address;
    /* An assembler label without size names what follows it; so it is no guess when the full table was there. */
    f->nearest_offset = f->nearest ? address - s->address : 0;
    name_from_linkage(&m->owner->pool, s->name, &name);
    f->linkage = name.linkage;
    f->name = name.name;
    f->function = f->nearest
                      ? pool_format(&m->owner->pool, "%s+0x%llx", name.function, (unsigned long long)f->nearest_offset)
                      : name.function;
    f->language = strncmp(s->name, "_Z", 2) == 0 ? "c++" : NULL;
}

static void line_at(struct symbol_module *m, struct unit *u, u64 address, struct symbol_frame *f)
{
    Dwarf_Line *line = dwarf_getsrc_die(&u->skeleton, address - m->dwarf_bias);
    int number = 0, column = 0;
    if (!line)
        return;
    const char *file = dwarf_linesrc(line, NULL, NULL);
    if (file && *file)
        source_path(m, &u->skeleton, file, &f->path, &f->file);
    if (dwarf_lineno(line, &number) == 0 && number > 0)
        f->line = (u32)number;
    if (dwarf_linecol(line, &column) == 0 && column > 0)
        f->column = (u32)column;
}

/* Where an inlined function was called. */
static void line_of_call(struct symbol_module *m, struct unit *u, Dwarf_Die *inlined, struct symbol_frame *f)
{
    u64 n;
    Dwarf_Die unit;
    const char *file = die_file(inlined, DW_AT_call_file, &unit);
    if (file)
        source_path(m, &u->skeleton, file, &f->path, &f->file);
    if (die_uint(inlined, DW_AT_call_line, &n) && n <= UINT32_MAX)
        f->line = (u32)n;
    if (die_uint(inlined, DW_AT_call_column, &n) && n <= UINT32_MAX)
        f->column = (u32)n;
}

/* An inlined function that asks debuggers not to show it (attribute artificial), as wrappers in headers do. C++ compilers
 * mark member functions of their own making in the same way: these stay. */
static bool part_of_caller(Dwarf_Die *inlined)
{
    Dwarf_Attribute a;
    return die_flag(inlined, DW_AT_artificial) && !dwarf_attr_integrate(inlined, DW_AT_object_pointer, &a);
}

static struct symbol_frames *frames_from_dwarf(struct symbol_module *m, u64 address)
{
    Dwarf_Die *function, chain[INLINE_MAX];
    struct unit *u = unit_at(m, address, &function);
    if (!u)
        return NULL;
    size_t n = function ? inline_chain(function, address - m->dwarf_bias, chain, INLINE_MAX) : 1;
    struct symbol_frame *frame;
    struct symbol_frames *frames = frames_new(m, n, &frame);
    if (!frames)
        return NULL;
    frames->n = 0;
    for (size_t level = n; level-- > 0;) { /* the chain goes inwards */
        if (function && level > 0 && part_of_caller(&chain[level]))
            continue;
        struct symbol_frame *f = &frame[frames->n++];
        if (function) {
            const struct elf_symbol *s = level == 0 ? symbols_at(&m->functions, address, false) : NULL;
            const struct function_name *name = die_function(m, &chain[level], s ? s->name : NULL);
            if (name) {
                f->function = name->function;
                f->name = name->name;
                f->linkage = name->linkage;
            }
        } else {
            name_from_symbol(m, address, f);
        }
        f->inlined = level > 0;
        f->language = language_name(u->language);
        if (level + 1 == n)
            line_at(m, u, address, f);
        else
            line_of_call(m, u, &chain[level + 1], f);
    }
    return frames;
}

const struct symbol_frames *symbol_lookup(struct symbolizer *s, struct symbol_module *m, u64 address, bool call_site)
{
    static const struct symbol_frame nothing;
    static const struct symbol_frames unknown = {1, &nothing};
    struct symbol_frame *frame;
    (void)s;
    if (!m || !module_open(m))
        return &unknown;
    u64 key = address << 1 | call_site;
    struct symbol_frames *frames = map_get(&m->frames, key);
    if (frames)
        return frames;
    u64 at = call_site && address ? address - 1 : address;
    frames = frames_from_dwarf(m, at);
    if (!frames && (frames = frames_new(m, 1, &frame)))
        name_from_symbol(m, at, frame);
    if (!frames)
        return &unknown;
    map_put(&m->frames, key, frames);
    return frames;
}
