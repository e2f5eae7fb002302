/* Names of global, static and thread-local locks and data: module:symbol, module:file.c:symbol, with the path to the member.
 * Called by detector/report. Takes no locks, allocates.
 *
 * DWARF has no index from data addresses to variables, so units are searched: that of the symbol's source file first,
 * then all, and what was seen is kept. Function bodies are searched only when the symbol may be a static in a
 * function. */
#include "internal.h"

#include <stdlib.h>
#include <string.h>

struct variables_walk {
    struct symbol_module *m;
    bool deep; /* only what lies in functions; else only what does not */
};

/* The number that a location begins with; *address: it is one. */
static bool first_operand(Dwarf_Attribute *location, Dwarf_Op *op, Dwarf_Word *value, bool *address)
{
    Dwarf_Attribute a;
    *address = op->atom == DW_OP_addr || op->atom == DW_OP_addrx || op->atom == DW_OP_GNU_addr_index;
    *value = op->number;
    if (op->atom >= DW_OP_lit0 && op->atom <= DW_OP_lit31) {
        *value = op->atom - DW_OP_lit0;
        return true;
    }
    switch (op->atom) {
    case DW_OP_addr:
    case DW_OP_const1u:
    case DW_OP_const2u:
    case DW_OP_const4u:
    case DW_OP_const8u:
    case DW_OP_const1s:
    case DW_OP_const2s:
    case DW_OP_const4s:
    case DW_OP_const8s:
    case DW_OP_constu:
    case DW_OP_consts:
        return true;
    case DW_OP_addrx:
    case DW_OP_GNU_addr_index:
    case DW_OP_constx:
    case DW_OP_GNU_const_index:
        return dwarf_getlocation_attr(location, op, &a) == 0 &&
               (dwarf_formaddr(&a, value) == 0 || dwarf_formudata(&a, value) == 0);
    default:
        return false;
    }
}

/* Where a variable of static storage is: an address, or an offset behind the thread pointer. */
static bool static_location(struct symbol_module *m, Dwarf_Die *die, u64 *at, bool *tls)
{
    Dwarf_Attribute a;
    Dwarf_Op *ops;
    size_t n;
    Dwarf_Word value;
    bool address;
    if (!dwarf_attr(die, DW_AT_location, &a) || dwarf_getlocation(&a, &ops, &n) != 0 || n < 1 || n > 2 ||
        !first_operand(&a, &ops[0], &value, &address))
        return false;
    *tls = n == 2 && (ops[1].atom == DW_OP_form_tls_address || ops[1].atom == DW_OP_GNU_push_tls_address);
    if (!*tls) {
        *at = value + m->dwarf_bias;
        return n == 1 && address && value;
    }
    /* gcc 12 with -gsplit-dwarf writes the address in the TLS segment, not the offset. */
    u64 size = m->tls_segment.hi - m->tls_segment.lo;
    *at = value >= size && value - m->tls_segment.lo < size ? value - m->tls_segment.lo : value;
    return true;
}

static enum walk collect_variable(Dwarf_Die *die, void *context)
{
    struct variables_walk *w = context;
    struct symbol_module *m = w->m;
    struct data_variable v = {.die = *die};
    Dwarf_Die type;
    switch (dwarf_tag(die)) {
    case DW_TAG_variable:
        break;
    case DW_TAG_namespace:
    case DW_TAG_module:
        return WALK_INTO;
    case DW_TAG_subprogram:
    case DW_TAG_lexical_block:
    case DW_TAG_inlined_subroutine:
    case DW_TAG_structure_type:
    case DW_TAG_class_type:
        return w->deep ? WALK_INTO : WALK_OVER;
    default:
        return WALK_OVER;
    }
    if (!static_location(m, die, &v.lo, &v.tls))
        return WALK_OVER;
    u64 size = die_type(die, &type) ? die_size(&type) : 0;
    v.hi = v.lo + (size ? size : 1);
    if (v.hi > v.lo && grow((void **)&m->variables, &m->variables_cap, m->nvariables, sizeof v))
        m->variables[m->nvariables++] = v;
    return WALK_OVER;
}

static int by_place(const void *a, const void *b)
{
    const struct data_variable *x = a, *y = b;
    if (x->tls != y->tls)
        return x->tls ? 1 : -1;
    if (x->lo != y->lo)
        return x->lo < y->lo ? -1 : 1;
    return x->hi < y->hi ? -1 : x->hi > y->hi;
}

static struct data_variable *known_variable(struct symbol_module *m, u64 address, bool tls)
{
    struct data_variable key = {.lo = address, .hi = UINT64_MAX, .tls = tls};
    size_t lo = 0, hi = m->nvariables;
    if (m->variables_sorted != m->nvariables)
        qsort(m->variables, m->nvariables, sizeof *m->variables, by_place);
    m->variables_sorted = m->nvariables;
    while (lo < hi) {
        size_t mid = lo + (hi - lo) / 2;
        if (by_place(&m->variables[mid], &key) <= 0)
            lo = mid + 1;
        else
            hi = mid;
    }
    for (size_t i = lo; i > 0 && lo - i < 16; i--) {
        struct data_variable *v = &m->variables[i - 1];
        if (v->tls == tls && address >= v->lo && address < v->hi)
            return v;
    }
    return NULL;
}

static struct data_variable *search_unit(struct symbol_module *m, struct unit *u, bool deep, u64 address, bool tls)
{
    bool *known = deep ? &u->deep_known : &u->shallow_known;
    size_t from = m->nvariables;
    if (*known)
        return NULL; /* known_variable has seen them */
    *known = true;
    /* Thread-local variables have no address, so dwz may have moved them to a partial unit. */
    struct variables_walk walk = {m, deep};
    if (!deep)
        unit_walk(m, u, collect_variable, &walk, &m->imported);
    else
        die_walk(m, &u->die, collect_variable, &walk);
    for (size_t i = from; i < m->nvariables; i++) {
        struct data_variable *v = &m->variables[i];
        if (v->tls == tls && address >= v->lo && address < v->hi)
            return v;
    }
    return NULL;
}

static bool unit_is(struct unit *u, const char *file)
{
    const char *name = die_text(&u->skeleton, DW_AT_name);
    return name && strcmp(base_name(name), file) == 0;
}

static bool in_function(const struct elf_symbol *s)
{
    return strncmp(s->name, "_ZZ", 3) == 0 || strncmp(s->name, "_ZGVZ", 5) == 0;
}

static struct data_variable *find_variable(struct symbol_module *m, u64 address, bool tls, const struct elf_symbol *s)
{
    struct data_variable *v = known_variable(m, address, tls);
    bool maybe_deep = !s || s->local || in_function(s), only_deep = s && in_function(s);
    for (int deep = only_deep; !v && s && s->file && deep <= maybe_deep; deep++) {
        for (size_t i = 0; !v && i < m->nunits; i++) {
            if (unit_is(&m->units[i], s->file))
                v = search_unit(m, &m->units[i], deep, address, tls);
        }
    }
    for (int deep = only_deep; !v && deep <= maybe_deep; deep++) {
        for (size_t i = 0; !v && i < m->nunits; i++)
            v = search_unit(m, &m->units[i], deep, address, tls);
    }
    return v;
}

void variable_finish(struct symbolizer *s, struct symbol_module *m, const char *local, char separator,
                     struct variable_name *out)
{
    char between[2] = {separator, 0};
    out->module = symbol_module_name(m);
    out->class_name = pool_format(&s->pool, "%s%s%s", out->module, between, local);
    size_t skip = strlen(out->module) + (separator != 0);
    out->local = strlen(out->class_name) >= skip ? out->class_name + skip : out->class_name;
}

/* "foo(int)::lock" -> "foo.lock" */
static bool static_in_function(const char *linkage, struct pool *p, struct text *out)
{
    struct function_name name;
    name_from_linkage(p, linkage, &name);
    const char *last = NULL;
    int depth = 0;
    for (const char *c = name.name; *c; c++) {
        depth += strchr("<({[", *c) != NULL;
        depth -= strchr(">)}]", *c) != NULL;
        if (depth == 0 && c[0] == ':' && c[1] == ':')
            last = c;
    }
    if (!last || name.name == name.linkage)
        return false;
    text_add_n(out, name.name, (size_t)(last - name.name));
    text_add(out, ".");
    text_add(out, last + 2);
    return true;
}

/* symbol, ns::Class::member or function.variable. */
static void add_variable_name(struct symbol_module *m, Dwarf_Die *die, const struct elf_symbol *s, struct text *out)
{
    struct pool *p = &m->owner->pool;
    struct function_name name;
    Dwarf_Die scopes[DIE_DEPTH];
    size_t n = die_scopes(m, die, scopes, DIE_DEPTH);
    for (size_t i = 0; i < n; i++) {
        int tag = dwarf_tag(&scopes[i]);
        if (tag != DW_TAG_subprogram && tag != DW_TAG_inlined_subroutine)
            continue;
        const struct function_name *f = die_function(m, &scopes[i], NULL);
        const char *variable = die_text(die, DW_AT_name);
        if (!(f && f->name) && s && static_in_function(s->name, p, out))
            return; /* clang: nothing but the variable is left of a function that was inlined everywhere */
        text_add(out, f && f->name ? f->name : "?");
        text_add(out, ".");
        text_add(out, variable ? variable : "?");
        return;
    }
    const char *linkage = die_text(die, DW_AT_linkage_name);
    if (!linkage && s)
        linkage = s->name;
    if (linkage && strncmp(linkage, "_Z", 2) == 0) {
        name_from_linkage(p, linkage, &name);
        text_add(out, name.name);
        return;
    }
    die_qualified(m, die, out);
}

/* The name of a pointer, from `start` on in t, becomes that of what it leads to. `to`: the way to the pointer. */
static void name_pointed(struct symbol_module *m, const struct target *want, const struct type_path *to, struct text *t,
                         size_t start)
{
    char path[NAME_MAX_LENGTH] = "";
    struct type_path p = {.path = {path, sizeof path, 0}};
    Dwarf_Die type = to->object;
    bool typed = type.addr && type_path_pointed(m, &type, want->behind, want->size, &p);
    const char *pointer = pool_string(&m->owner->pool, t->at + start), *star = *path ? "" : "*";
    const char *shown = pool_format(&m->owner->pool, "%s%s%s", star, want->data->shown, path);
    *want->data = (struct data_name){.name = want->data->name, .shown = shown};
    if (typed)
        data_describe(m, &p, want->data);
    data_strip_indexes(path);
    t->len = start;
    t->at[start] = 0;
    text_add(t, star);
    text_add(t, pointer);
    text_add(t, path);
}

static void name_from_dwarf(struct symbol_module *m, struct data_variable *v, u64 offset, const struct elf_symbol *s,
                            const struct target *want, struct variable_name *out)
{
    char buffer[NAME_MAX_LENGTH] = "", path[NAME_MAX_LENGTH] = "";
    struct text t = {buffer, sizeof buffer, 0};
    struct type_path p = {.path = {path, sizeof path, 0}};
    Dwarf_Die type;
    /* Link-time optimisation makes symbols local, so the source's word counts; but statics of inline functions are only
     * told from others by their symbol. */
    bool file_local = !die_flag(&v->die, DW_AT_external) && (!s || s->local);
    const char *file = file_local ? die_unit_file(&v->die) : NULL;
    if (file) {
        text_add(&t, file);
        text_add(&t, ":");
    }
    size_t start = t.len;
    struct text name = {buffer + start, sizeof buffer - start, 0};
    add_variable_name(m, &v->die, s, &name);
    t.len += name.len;
    struct target at = *want;
    at.size = want->pointed ? sizeof(u64) : want->size;
    if (die_type(&v->die, &type))
        type_path(m, &type, offset, &at, &p);
    if (want->data) {
        want->data->shown = pool_format(&m->owner->pool, "%s%s", buffer + start, path);
        data_describe(m, &p, want->data);
        data_strip_indexes(path);
    }
    text_add(&t, path);
    if (want->pointed)
        name_pointed(m, want, &p, &t, start);
    die_declared(m, &v->die, out);
    out->source = NAME_TYPED;
    variable_finish(m->owner, m, buffer, ':', out);
}

static void name_from_elf(struct symbol_module *m, const struct elf_symbol *s, u64 address, const struct target *want,
                          struct variable_name *out)
{
    char buffer[NAME_MAX_LENGTH] = "";
    struct text t = {buffer, sizeof buffer, 0};
    struct function_name name;
    if (s->local && s->file) {
        text_add(&t, s->file);
        text_add(&t, ":");
    }
    /* C: lock.1234 is a static in a function; the number is the compiler's. name_from_linkage cuts it. */
    size_t start = t.len;
    if (!in_function(s) || !static_in_function(s->name, &m->owner->pool, &t)) {
        name_from_linkage(&m->owner->pool, s->name, &name);
        text_add(&t, name.name);
    }
    unsigned long long inside = address - s->address;
    if (want->data) /* the class is the symbol alone: in an array the distance is an index */
        want->data->shown = inside ? pool_format(&m->owner->pool, "%s+0x%llx", buffer + start, inside)
                                   : pool_string(&m->owner->pool, buffer + start);
    else if (inside)
        text_format(&t, "+0x%llx", inside);
    if (want->pointed)
        name_pointed(m, want, &(struct type_path){.member = {0}}, &t, start);
    out->source = NAME_SYMBOL;
    variable_finish(m->owner, m, buffer, ':', out);
}

static void variable_at(struct symbolizer *s, struct symbol_module *m, u64 address, bool tls, const struct target *want,
                        struct variable_name *out)
{
    char buffer[64];
    memset(out, 0, sizeof *out);
    if (m && module_open(m)) {
        const struct elf_symbol *symbol = symbols_at(tls ? &m->tls : &m->data, address, false);
        struct data_variable *v = m->status.has_dwarf ? find_variable(m, address, tls, symbol) : NULL;
        if (v) {
            name_from_dwarf(m, v, address - v->lo, symbol, want, out);
            return;
        }
        if (symbol) {
            name_from_elf(m, symbol, address, want, out);
            return;
        }
    }
    struct text t = {buffer, sizeof buffer, 0};
    text_format(&t, tls ? "+tls0x%llx" : "+0x%llx", (unsigned long long)address);
    out->source = NAME_ADDRESS;
    variable_finish(s, m, buffer, 0, out);
}

void variable_global(struct symbolizer *s, struct symbol_module *m, u64 address, enum lock_type type,
                     struct variable_name *out)
{
    variable_at(s, m, address, false, &(struct target){.lock = type}, out);
}

void variable_tls(struct symbolizer *s, struct symbol_module *m, u64 tls_offset, enum lock_type type,
                  struct variable_name *out)
{
    variable_at(s, m, tls_offset, true, &(struct target){.lock = type}, out);
}

static void data_at(struct symbolizer *s, struct symbol_module *m, u64 address, bool tls, u64 size,
                    struct data_name *out)
{
    *out = (struct data_name){0};
    variable_at(s, m, address, tls, &(struct target){.size = size, .data = out}, &out->name);
}

void data_global(struct symbolizer *s, struct symbol_module *m, u64 address, u64 size, struct data_name *out)
{
    data_at(s, m, address, false, size, out);
}

void data_pointed(struct symbolizer *s, struct symbol_module *m, u64 pointer, u64 behind, u64 size,
                  struct data_name *out)
{
    *out = (struct data_name){0};
    variable_at(s, m, pointer, false, &(struct target){.size = size, .data = out, .pointed = true, .behind = behind},
                &out->name);
}

void data_tls(struct symbolizer *s, struct symbol_module *m, u64 tls_offset, u64 size, struct data_name *out)
{
    data_at(s, m, tls_offset, true, size, out);
}
