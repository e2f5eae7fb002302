/* Walking DWARF entries with bounds, and reading their attributes.
 * Called by unit, frames, variable, types, typepath, stackvar. Takes no locks, allocates from the pool only.
 *
 * libdw checks that what it reads lies in the file, not that it makes sense: references may form cycles, siblings may
 * point back, nesting may be as deep as the file is long. So nothing here recurses without a limit, and siblings only
 * go forward. */
#include "internal.h"

#include <stdio.h>
#include <string.h>

bool die_first_child(Dwarf_Die *die, Dwarf_Die *child)
{
    return die->addr && dwarf_child(die, child) == 0 && child->addr > die->addr;
}

bool die_next(Dwarf_Die *die)
{
    Dwarf_Die next;
    if (dwarf_siblingof(die, &next) != 0 || next.addr <= die->addr)
        return false;
    *die = next;
    return true;
}

void die_walk(struct symbol_module *m, Dwarf_Die *root, walk_fn fn, void *context)
{
    Dwarf_Die at[DIE_DEPTH];
    unsigned depth = 0;
    if (!die_first_child(root, &at[0]))
        return;
    for (;;) {
        if (!m->die_budget)
            return;
        m->die_budget--;
        enum walk next = fn(&at[depth], context);
        if (next == WALK_STOP)
            return;
        if (next == WALK_INTO && depth + 1 < DIE_DEPTH && die_first_child(&at[depth], &at[depth + 1])) {
            depth++;
            continue;
        }
        while (!die_next(&at[depth])) {
            if (depth-- == 0)
                return;
        }
    }
}

bool die_ref(Dwarf_Die *die, unsigned attribute, Dwarf_Die *out)
{
    Dwarf_Attribute a;
    return die->addr && dwarf_attr_integrate(die, attribute, &a) && dwarf_formref_die(&a, out);
}

bool die_uint(Dwarf_Die *die, unsigned attribute, u64 *out)
{
    Dwarf_Attribute a;
    Dwarf_Word w;
    if (!dwarf_attr_integrate(die, attribute, &a) || dwarf_formudata(&a, &w) != 0)
        return false;
    *out = w;
    return true;
}

bool die_flag(Dwarf_Die *die, unsigned attribute)
{
    Dwarf_Attribute a;
    bool set = false;
    return dwarf_attr_integrate(die, attribute, &a) && dwarf_formflag(&a, &set) == 0 && set;
}

const char *die_text(Dwarf_Die *die, unsigned attribute)
{
    Dwarf_Attribute a;
    const char *s = dwarf_attr_integrate(die, attribute, &a) ? dwarf_formstring(&a) : NULL;
    return s && *s ? s : NULL;
}

void die_origin(Dwarf_Die *die, Dwarf_Die *out)
{
    *out = *die;
    for (unsigned i = 0; i < 16; i++) {
        Dwarf_Attribute a;
        Dwarf_Die next;
        if (!dwarf_attr(out, DW_AT_abstract_origin, &a) && !dwarf_attr(out, DW_AT_specification, &a))
            return;
        if (!dwarf_formref_die(&a, &next))
            return;
        *out = next;
    }
}

bool die_type(Dwarf_Die *die, Dwarf_Die *out)
{
    return die_ref(die, DW_AT_type, out);
}

bool die_unwrap(Dwarf_Die *type)
{
    Dwarf_Die next;
    switch (dwarf_tag(type)) {
    case DW_TAG_typedef:
    case DW_TAG_const_type:
    case DW_TAG_volatile_type:
    case DW_TAG_restrict_type:
    case DW_TAG_atomic_type:
    case DW_TAG_immutable_type:
        if (!die_type(type, &next))
            return false;
        *type = next;
        return true;
    default:
        return false;
    }
}

void die_peel(Dwarf_Die *type)
{
    Dwarf_Die next;
    for (unsigned i = 0; i < TYPE_DEPTH && die_unwrap(type); i++)
        ;
    if (dwarf_hasattr(type, DW_AT_signature) && die_ref(type, DW_AT_signature, &next))
        *type = next;
}

/* Elements of one dimension; 0 if open ("[]", or length not constant). */
static u64 subrange_count(Dwarf_Die *range)
{
    u64 n, lower = 0;
    if (die_uint(range, DW_AT_count, &n))
        return n;
    if (!die_uint(range, DW_AT_upper_bound, &n) || n >= UINT32_MAX)
        return 0;
    die_uint(range, DW_AT_lower_bound, &lower);
    return n >= lower ? n - lower + 1 : 0;
}

static u64 array_count(Dwarf_Die *array)
{
    Dwarf_Die d;
    u64 n = 1;
    if (!die_first_child(array, &d))
        return 0;
    do {
        u64 c = dwarf_tag(&d) == DW_TAG_subrange_type ? subrange_count(&d) : 1;
        if (__builtin_mul_overflow(n, c, &n))
            return 0;
    } while (die_next(&d));
    return n;
}

u64 die_size(Dwarf_Die *type)
{
    Dwarf_Die t = *type;
    u64 factor = 1, size = 0;
    for (unsigned i = 0; i < TYPE_DEPTH; i++) {
        die_peel(&t);
        if (die_uint(&t, DW_AT_byte_size, &size))
            return __builtin_mul_overflow(size, factor, &size) ? 0 : size;
        Dwarf_Die element;
        if (dwarf_tag(&t) != DW_TAG_array_type || __builtin_mul_overflow(factor, array_count(&t), &factor) ||
            !die_type(&t, &element))
            break;
        t = element;
    }
    int tag = dwarf_tag(&t);
    bool pointer = tag == DW_TAG_pointer_type || tag == DW_TAG_reference_type || tag == DW_TAG_rvalue_reference_type;
    return pointer && factor <= UINT32_MAX ? 8 * factor : 0;
}

bool die_member_offset(Dwarf_Die *member, u64 *out)
{
    Dwarf_Attribute a;
    Dwarf_Word w;
    Dwarf_Op *ops;
    size_t n;
    *out = 0;
    if (!dwarf_attr_integrate(member, DW_AT_data_member_location, &a))
        return !dwarf_hasattr(member, DW_AT_data_bit_offset); /* unions have none */
    if (dwarf_formudata(&a, &w) == 0) {
        *out = w;
        return true;
    }
    if (dwarf_getlocation(&a, &ops, &n) != 0 || n != 1 ||
        (ops[0].atom != DW_OP_plus_uconst && ops[0].atom != DW_OP_constu))
        return false; /* virtual bases: only known at run time */
    *out = ops[0].number;
    return true;
}

bool die_is_cxx(Dwarf_Die *die)
{
    Dwarf_Die unit;
    if (!dwarf_diecu(die, &unit, NULL, NULL))
        return false;
    const char *language = language_name(dwarf_srclang(&unit));
    return language && strcmp(language, "c") != 0 && strcmp(language, "assembler") != 0;
}

const struct function_name *die_function(struct symbol_module *m, Dwarf_Die *die, const char *symbol)
{
    Dwarf_Die origin;
    die_origin(die, &origin);
    struct function_name *f = map_get(&m->names, (u64)(uintptr_t)die->addr);
    if (f)
        return f;
    struct pool *p = &m->owner->pool;
    f = pool_alloc(p, sizeof *f);
    if (!f || !map_put(&m->names, (u64)(uintptr_t)die->addr, f))
        return NULL;
    const char *name = die_text(&origin, DW_AT_name), *linkage = die_text(die, DW_AT_linkage_name);
    if (!linkage)
        linkage = die_text(die, DW_AT_MIPS_linkage_name);
    if (!linkage && symbol && strncmp(symbol, "_Z", 2) == 0)
        linkage = symbol;
    if (linkage && strncmp(linkage, "_Z", 2) == 0) {
        name_from_linkage(p, linkage, f);
        if (f->function != f->linkage)
            return f;
    }
    f->linkage = linkage ? pool_string(p, linkage) : name ? pool_string(p, name) : NULL;
    f->function = f->name = name ? pool_string_n(p, name, strnlen(name, NAME_MAX_LENGTH)) : f->linkage;
    if (name && die_is_cxx(&origin)) {
        char buffer[NAME_MAX_LENGTH] = "";
        struct text t = {buffer, sizeof buffer, 0};
        die_qualified(m, &origin, &t);
        f->function = f->name = pool_string(p, buffer);
    }
    return f;
}

/* Appends a path without "//", "/./" and "x/../": by its text only, which a symbolic link may contradict; it is for
 * people. */
static void add_normal(struct text *t, const char *s)
{
    if (*s == '/' && !t->len)
        text_add(t, "/");
    while (*s) {
        size_t n = strcspn(s, "/");
        bool up = n == 2 && s[0] == '.' && s[1] == '.';
        const char *last = t->len ? memrchr(t->at, '/', t->len) : NULL;
        last = last ? last + 1 : t->at;
        size_t last_length = (size_t)(t->at + t->len - last);
        if (up && last_length && strcmp(last, "..") != 0) {
            t->len = (size_t)(last - t->at);
            t->len -= t->len > 1;
            t->at[t->len] = 0;
        } else if (n && !(n == 1 && s[0] == '.') && !(up && strcmp(t->at, "/") == 0)) {
            if (last_length)
                text_add(t, "/");
            text_add_n(t, s, n);
        }
        s += n + (s[n] == '/');
    }
}

void source_path(struct symbol_module *m, Dwarf_Die *unit, const char *recorded, const char **path, const char **file)
{
    struct pool *p = &m->owner->pool;
    char full[NAME_MAX_LENGTH] = "", root[NAME_MAX_LENGTH] = "";
    struct text t = {full, sizeof full, 0}, r = {root, sizeof root, 0};
    const char *folder = unit->addr ? die_text(unit, DW_AT_comp_dir) : NULL;
    if (folder)
        add_normal(&r, folder);
    if (recorded[0] != '/')
        text_add(&t, root);
    add_normal(&t, recorded);
    *path = *file = pool_string(p, full);
    if (r.len > 1 && strncmp(full, root, r.len) == 0 && full[r.len] == '/')
        *file = pool_string(p, full + r.len + 1);
}

const char *die_file(Dwarf_Die *die, unsigned attribute, Dwarf_Die *unit)
{
    Dwarf_Attribute a;
    Dwarf_Files *files;
    Dwarf_Word index;
    size_t n;
    if (!dwarf_attr_integrate(die, attribute, &a) || dwarf_formudata(&a, &index) != 0 ||
        !dwarf_cu_die(a.cu, unit, NULL, NULL, NULL, NULL, NULL, NULL) || dwarf_getsrcfiles(unit, &files, &n) != 0 ||
        index >= n)
        return NULL;
    const char *name = dwarf_filesrc(files, index, NULL, NULL);
    return name && *name && strcmp(name, "???") != 0 ? name : NULL; /* libdw's word for no file */
}

void die_declared(struct symbol_module *m, Dwarf_Die *die, struct variable_name *out)
{
    Dwarf_Die unit;
    u64 line = 0;
    const char *recorded = die->addr ? die_file(die, DW_AT_decl_file, &unit) : NULL;
    if (!recorded)
        return;
    source_path(m, &unit, recorded, &out->path, &out->file);
    if (die_uint(die, DW_AT_decl_line, &line))
        out->line = (u32)line;
}

const char *die_unit_file(Dwarf_Die *die)
{
    Dwarf_Die origin, unit;
    die_origin(die, &origin);
    const char *name = dwarf_diecu(&origin, &unit, NULL, NULL) ? die_text(&unit, DW_AT_name) : NULL;
    if (name && strcmp(name, "<artificial>") == 0)
        name = NULL;
    if (!name)
        name = die_file(&origin, DW_AT_decl_file, &unit);
    return name ? base_name(name) : NULL;
}
