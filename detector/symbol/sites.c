/* function#n: a place in the code as the name of what is born there.
 * Called by heap_class. Takes no locks, allocates.
 *
 * n must not change when code elsewhere changes, and should follow the source, not the compiler's layout. So the calls
 * in the function are found (a call to a known entry is five or six bytes whose target is right; by chance that does
 * not happen), those that allocate or initialise are kept, and they are ordered by line and column; copies of one call
 * (inlining, unrolling) count once. */
#include "internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CALLS_MAX 4096

struct call {
    u32 line, column;
    u64 address; /* counts only without a line */
};

struct calls {
    struct call at[CALLS_MAX];
    size_t n;
};

/* What the instruction before a return address calls: the address, or a GOT slot (indirect). 0: through a register, or
 * unknown. */
static u64 call_target(const u8 *code, size_t length, u64 at, bool *slot)
{
    int32_t distance;
    *slot = length >= 6 && code[0] == 0xff && code[1] == 0x15;
    if (*slot) {
        memcpy(&distance, code + 2, 4);
        return at + 6 + (u64)(int64_t)distance;
    }
    if (length < 5 || code[0] != 0xe8)
        return 0;
    memcpy(&distance, code + 1, 4);
    return at + 5 + (u64)(int64_t)distance;
}

static u64 target_before(struct symbol_module *m, u64 return_address, bool *slot)
{
    size_t length;
    const u8 *code;
    /* The longer form first: its last five bytes cannot begin with its own opcode. */
    if ((code = module_bytes(m, return_address - 6, &length)) && length >= 6 && code[0] == 0xff && code[1] == 0x15)
        return call_target(code, 6, return_address - 6, slot);
    if ((code = module_bytes(m, return_address - 5, &length)) && length >= 5)
        return call_target(code, 5, return_address - 5, slot);
    return 0;
}

/* The function's frame among those at an address: its own, or as inlined. */
static const struct symbol_frame *level_of(const struct symbol_frames *frames, const char *linkage)
{
    for (u32 i = 0; i < frames->n; i++) {
        if (frames->frame[i].linkage == linkage) /* interned */
            return &frames->frame[i];
    }
    return NULL;
}

static int by_source(const void *a, const void *b)
{
    const struct call *x = a, *y = b;
    if (x->line != y->line)
        return x->line < y->line ? -1 : 1;
    if (x->column != y->column)
        return x->column < y->column ? -1 : 1;
    return x->address < y->address ? -1 : x->address > y->address;
}

static void add_call(struct calls *c, const struct symbol_frame *f, u64 address)
{
    if (c->n < CALLS_MAX)
        c->at[c->n++] = (struct call){f->line, f->column, f->line ? 0 : address};
}

static void scan(struct symbol_module *m, u64 lo, u64 hi, u64 target, bool target_slot, const char *linkage,
                 struct calls *c)
{
    size_t length;
    const u8 *code = module_bytes(m, lo, &length);
    if (!code || hi <= lo || hi - lo > CODE_MAX)
        return;
    if (length > hi - lo)
        length = hi - lo;
    for (size_t i = 0; i + 5 <= length; i++) {
        bool slot;
        u64 to = call_target(code + i, length - i, lo + i, &slot);
        if (!to)
            continue;
        const char *name = slot ? symbols_slot(m, to) : symbols_call_target(m, to);
        if (!(to == target && slot == target_slot) && !(name && name_makes_object(name)))
            continue;
        u64 next = lo + i + (slot ? 6 : 5);
        const struct symbol_frame *f = level_of(symbol_lookup(m->owner, m, next, true), linkage);
        if (f)
            add_call(c, f, next);
    }
}

/* The site's place among the calls of its function. */
static size_t number_of(struct symbol_module *m, u64 address, bool call_site, const struct symbol_frame *f)
{
    Dwarf_Die *function = NULL;
    bool slot = false;
    u64 at = address - (call_site && address), target = call_site ? target_before(m, address, &slot) : 0;
    struct calls *c = calloc(1, sizeof *c);
    size_t n = 1;
    if (!c)
        return 1;
    struct call self = {f->line, f->column, f->line ? 0 : address};
    c->at[c->n++] = self;
    if (m->dwarf && unit_at(m, at, &function) && function) {
        Dwarf_Addr base = 0, lo, hi;
        ptrdiff_t next = 0;
        for (int i = 0; i < 64 && (next = dwarf_ranges(function, next, &base, &lo, &hi)) > 0; i++)
            scan(m, lo + m->dwarf_bias, hi + m->dwarf_bias, target, slot, f->linkage, c);
    } else {
        const struct elf_symbol *s = symbols_at(&m->functions, at, true);
        if (s)
            scan(m, s->address, s->size > at - s->address ? s->address + s->size : at + 1, target, slot, f->linkage, c);
    }
    qsort(c->at, c->n, sizeof c->at[0], by_source);
    for (size_t i = 0; i < c->n && by_source(&c->at[i], &self) < 0; i++)
        n += i == 0 || by_source(&c->at[i - 1], &c->at[i]) != 0;
    free(c);
    return n;
}

/* First function outwards that is not an allocator itself. last: accept one, rather than nothing. */
static bool class_from(struct symbolizer *s, const struct symbol_site *sites, size_t n, bool last,
                       struct variable_name *out)
{
    for (size_t i = 0; i < n; i++) {
        struct symbol_module *m = sites[i].module;
        const struct symbol_frames *frames = symbol_lookup(s, m, sites[i].address, sites[i].call_site);
        for (u32 k = 0; m && k < frames->n; k++) {
            const struct symbol_frame *f = &frames->frame[k];
            if (!f->name || (name_is_allocator(f->name) && !last))
                continue;
            out->class_name = out->local =
                f->nearest
                    ? pool_format(&s->pool, "%s+0x%llx", f->name, (unsigned long long)f->nearest_offset)
                    : pool_format(&s->pool, "%s#%zu", f->name, number_of(m, sites[i].address, sites[i].call_site, f));
            out->path = f->path;
            out->file = f->file;
            out->line = f->line;
            out->source = f->nearest ? NAME_ADDRESS : NAME_SITE;
            return true;
        }
    }
    return false;
}

void site_class(struct symbolizer *s, const struct symbol_site *alloc, size_t nalloc, const struct symbol_site *init,
                size_t ninit, bool init_seen, struct variable_name *out)
{
    char buffer[64];
    out->module = "";
    if (class_from(s, alloc, nalloc, false, out) || (init_seen && class_from(s, init, ninit, false, out)) ||
        class_from(s, alloc, nalloc, true, out) || class_from(s, init, ninit, false, out) ||
        class_from(s, init, ninit, true, out))
        return;
    const struct symbol_site *site = nalloc ? &alloc[0] : ninit ? &init[0] : NULL;
    out->source = NAME_ADDRESS;
    snprintf(buffer, sizeof buffer, "+0x%llx", site ? (unsigned long long)site->address : 0ULL);
    variable_finish(s, site ? site->module : NULL, buffer, 0, out);
}
