/* Compilation units: which one an address belongs to, its functions, its struct types. Each unit is read when an
 * address leads to it; opening a module reads only the units' headers and ranges (not .debug_aranges, which clang does
 * not write). Called by module_open, frames, variable, types, sites, stackvar. Takes no locks, allocates. */
#include "internal.h"

#include <stdlib.h>
#include <string.h>

#define UNITS_MAX 4000000u
#define RANGES_PER_DIE 65536u

static bool is_code(const struct symbol_module *m, u64 address)
{
    for (size_t i = 0; i < m->ncode; i++) {
        if (address >= m->code[i].lo && address < m->code[i].hi)
            return true;
    }
    return false;
}

/* Next address range of an entry. Ranges outside of the code segments belong to functions that the linker dropped. */
static ptrdiff_t next_range(struct symbol_module *m, Dwarf_Die *die, ptrdiff_t at, Dwarf_Addr *base, struct range *out,
                            bool *use)
{
    Dwarf_Addr lo, hi;
    at = dwarf_ranges(die, at, base, &lo, &hi);
    if (at <= 0)
        return 0;
    *out = (struct range){lo + m->dwarf_bias, hi + m->dwarf_bias, 0};
    *use = lo < hi && is_code(m, out->lo);
    return at;
}

static bool add_unit_ranges(struct symbol_module *m, Dwarf_Die *die, u32 unit)
{
    Dwarf_Addr base = 0;
    ptrdiff_t at = 0;
    struct range r;
    bool use, any = false;
    for (unsigned i = 0; i < RANGES_PER_DIE && (at = next_range(m, die, at, &base, &r, &use)); i++) {
        any = true;
        r.unit = unit;
        if (use && grow((void **)&m->ranges, &m->ranges_cap, m->nranges, sizeof r))
            m->ranges[m->nranges++] = r;
    }
    return any;
}

static int by_start(const void *a, const void *b)
{
    const struct range *x = a, *y = b;
    if (x->lo != y->lo)
        return x->lo < y->lo ? -1 : 1;
    return x->unit < y->unit ? -1 : x->unit > y->unit;
}

void units_load(struct symbol_module *m)
{
    Dwarf_CU *cu = NULL;
    Dwarf_Half version;
    uint8_t type;
    Dwarf_Die die, split;
    while (m->nunits < UNITS_MAX && dwarf_get_units(m->dwarf, cu, &cu, &version, &type, &die, &split) == 0) {
        if (type != DW_UT_compile && type != DW_UT_skeleton)
            continue;
        if (!grow((void **)&m->units, &m->units_cap, m->nunits, sizeof *m->units))
            break;
        struct unit *u = &m->units[m->nunits];
        memset(u, 0, sizeof *u);
        u->skeleton = u->die = die;
        if (type == DW_UT_skeleton) {
            if (split.addr)
                u->die = split;
            else
                m->status.dwo_missing = true;
        }
        u->language = dwarf_srclang(&u->die);
        const char *language = language_name(u->language);
        u->is_cxx = language && strcmp(language, "c++") == 0;
        u->no_ranges = !add_unit_ranges(m, &u->skeleton, (u32)m->nunits) && !dwarf_hasattr(&u->skeleton, DW_AT_low_pc);
        m->nunits++;
    }
    if (m->nranges)
        qsort(m->ranges, m->nranges, sizeof *m->ranges, by_start);
}

struct unit *unit_of(struct symbol_module *m, Dwarf_Die *die)
{
    Dwarf_Die unit;
    if (!m->unit_by_die.n) {
        for (size_t i = 0; i < m->nunits; i++)
            map_put(&m->unit_by_die, (u64)(uintptr_t)m->units[i].die.addr, &m->units[i]);
    }
    return dwarf_diecu(die, &unit, NULL, NULL) ? map_get(&m->unit_by_die, (u64)(uintptr_t)unit.addr) : NULL;
}

struct functions_walk {
    struct symbol_module *m;
    struct unit *u;
};

static enum walk collect_function(Dwarf_Die *die, void *context)
{
    struct functions_walk *w = context;
    struct unit *u = w->u;
    switch (dwarf_tag(die)) {
    case DW_TAG_subprogram:
        break;
    case DW_TAG_namespace:
    case DW_TAG_module:
    case DW_TAG_structure_type:
    case DW_TAG_class_type:
    case DW_TAG_union_type:
    case DW_TAG_lexical_block:
        return WALK_INTO;
    default:
        return WALK_OVER;
    }
    Dwarf_Addr base = 0;
    ptrdiff_t at = 0;
    struct range r;
    bool use;
    for (unsigned i = 0; i < RANGES_PER_DIE && (at = next_range(w->m, die, at, &base, &r, &use)); i++) {
        if (use && grow((void **)&u->functions, &u->functions_cap, u->nfunctions, sizeof *u->functions))
            u->functions[u->nfunctions++] = (struct function_range){r.lo, r.hi, *die};
    }
    return WALK_INTO; /* local classes and nested functions have functions of their own */
}

static int by_function_start(const void *a, const void *b)
{
    const struct function_range *x = a, *y = b;
    if (x->lo != y->lo)
        return x->lo < y->lo ? -1 : 1;
    return x->die.addr < y->die.addr ? -1 : x->die.addr > y->die.addr;
}

static Dwarf_Die *function_in(struct symbol_module *m, struct unit *u, u64 address)
{
    if (!u->functions_known) {
        u->functions_known = true;
        die_walk(m, &u->die, collect_function, &(struct functions_walk){m, u});
        if (u->nfunctions)
            qsort(u->functions, u->nfunctions, sizeof *u->functions, by_function_start);
    }
    size_t lo = 0, hi = u->nfunctions;
    while (lo < hi) {
        size_t mid = lo + (hi - lo) / 2;
        if (u->functions[mid].lo <= address)
            lo = mid + 1;
        else
            hi = mid;
    }
    for (size_t i = lo; i > 0 && lo - i < 16; i--) {
        if (address < u->functions[i - 1].hi)
            return &u->functions[i - 1].die;
    }
    return NULL;
}

struct unit *unit_at(struct symbol_module *m, u64 address, Dwarf_Die **function)
{
    struct unit *found = NULL;
    size_t lo = 0, hi = m->nranges;
    *function = NULL;
    while (lo < hi) {
        size_t mid = lo + (hi - lo) / 2;
        if (m->ranges[mid].lo <= address)
            lo = mid + 1;
        else
            hi = mid;
    }
    for (size_t i = lo; i > 0 && lo - i < 32; i--) {
        if (address >= m->ranges[i - 1].hi)
            continue;
        struct unit *u = &m->units[m->ranges[i - 1].unit];
        if ((*function = function_in(m, u, address)))
            return u;
        if (!found)
            found = u;
    }
    for (size_t i = 0; !found && is_code(m, address) && i < m->nunits; i++) {
        if (m->units[i].no_ranges && (*function = function_in(m, &m->units[i], address)))
            return &m->units[i];
    }
    return found;
}

size_t inline_chain(Dwarf_Die *function, u64 address, Dwarf_Die *chain, size_t max)
{
    Dwarf_Die at;
    size_t n = 0;
    chain[n++] = *function;
    if (!die_first_child(function, &at))
        return n;
    for (unsigned depth = 0, steps = 0; depth < DIE_DEPTH && steps < 1000000;) {
        int tag = dwarf_tag(&at);
        bool inlined = tag == DW_TAG_inlined_subroutine;
        bool inside =
            (inlined || tag == DW_TAG_lexical_block || tag == DW_TAG_try_block || tag == DW_TAG_catch_block) &&
            dwarf_haspc(&at, address) > 0;
        steps++;
        if (inside && inlined) {
            if (n == max)
                return n;
            chain[n++] = at;
        }
        Dwarf_Die child;
        if (inside) {
            if (!die_first_child(&at, &child))
                return n;
            at = child;
            depth++;
        } else if (!die_next(&at)) {
            return n;
        }
    }
    return n;
}

static bool ends_open(Dwarf_Die *type)
{
    Dwarf_Die member, last = {0}, t, range;
    u64 n = 0;
    if (!die_first_child(type, &member))
        return false;
    do {
        if (dwarf_tag(&member) == DW_TAG_member && !dwarf_hasattr(&member, DW_AT_external))
            last = member;
    } while (die_next(&member));
    if (!last.addr || !die_type(&last, &t))
        return false;
    die_peel(&t);
    if (dwarf_tag(&t) != DW_TAG_array_type || !die_first_child(&t, &range))
        return false;
    /* [], [0] and the old [1] */
    if (die_uint(&range, DW_AT_count, &n))
        return n <= 1;
    return !die_uint(&range, DW_AT_upper_bound, &n) || n == 0 || (int64_t)n == -1 || n == UINT32_MAX;
}

struct import_walk {
    struct symbol_module *m;
    walk_fn fn;
    void *context;
    struct map *seen;
    Dwarf_Die waiting[256];
    size_t n;
};

static enum walk visit_or_import(Dwarf_Die *die, void *context)
{
    struct import_walk *w = context;
    Dwarf_Die unit;
    if (dwarf_tag(die) != DW_TAG_imported_unit)
        return w->fn(die, w->context);
    if (w->n < ARRAY_LEN(w->waiting) && die_ref(die, DW_AT_import, &unit) &&
        !map_get(w->seen, (u64)(uintptr_t)unit.addr) && map_put(w->seen, (u64)(uintptr_t)unit.addr, w))
        w->waiting[w->n++] = unit;
    return WALK_OVER;
}

void unit_walk(struct symbol_module *m, struct unit *u, walk_fn fn, void *context, struct map *seen)
{
    struct import_walk *w = calloc(1, sizeof *w);
    if (!w)
        return;
    *w = (struct import_walk){.m = m, .fn = fn, .context = context, .seen = seen};
    die_walk(m, &u->die, visit_or_import, w);
    while (w->n) {
        Dwarf_Die unit = w->waiting[--w->n];
        die_walk(m, &unit, visit_or_import, w);
    }
    free(w);
}

struct types_walk {
    struct symbol_module *m;
    struct unit *u;
};

static void add_type(struct types_walk *w, Dwarf_Die *die)
{
    struct unit *u = w->u;
    Dwarf_Die t = *die;
    die_peel(&t); /* to the definition in a type unit */
    u64 size = die_size(&t);
    if (size && grow((void **)&u->types, &u->types_cap, u->ntypes, sizeof *u->types))
        u->types[u->ntypes++] = (struct type_entry){size, t, ends_open(&t)};
}

/* With -fdebug-types-section a unit may have nothing of a struct but references to its type unit. */
static void add_type_units(struct types_walk *w, Dwarf_Die *die)
{
    Dwarf_Attribute a;
    Dwarf_Die t;
    if (!dwarf_attr(die, DW_AT_type, &a) || dwarf_whatform(&a) != DW_FORM_ref_sig8 || !dwarf_formref_die(&a, &t))
        return;
    int tag = dwarf_tag(&t);
    if (tag == DW_TAG_structure_type || tag == DW_TAG_class_type || tag == DW_TAG_union_type)
        add_type(w, &t);
}

static enum walk collect_type(Dwarf_Die *die, void *context)
{
    struct types_walk *w = context;
    Dwarf_Die target;
    add_type_units(w, die);
    switch (dwarf_tag(die)) {
    case DW_TAG_typedef: {
        const char *name = die_text(die, DW_AT_name);
        if (name && die_type(die, &target) && !die_text(&target, DW_AT_name) &&
            !map_get(&w->m->typedefs, (u64)(uintptr_t)target.addr))
            map_put(&w->m->typedefs, (u64)(uintptr_t)target.addr, (void *)(uintptr_t)name);
        return WALK_OVER;
    }
    case DW_TAG_structure_type:
    case DW_TAG_class_type:
    case DW_TAG_union_type:
        add_type(w, die);
        return WALK_INTO;
    case DW_TAG_subprogram:
    case DW_TAG_lexical_block:
    case DW_TAG_namespace:
    case DW_TAG_module:
        return WALK_INTO;
    default:
        return WALK_OVER;
    }
}

void unit_types(struct symbol_module *m, struct unit *u)
{
    struct map seen = {0};
    if (u->types_known)
        return;
    u->types_known = true;
    unit_walk(m, u, collect_type, &(struct types_walk){m, u}, &seen);
    map_free(&seen);
}
