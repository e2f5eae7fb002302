/* stack_class, data_stack: the variable that lies at a place in a stack frame: function:variable.
 * Called by detector/report. Takes no locks, allocates.
 *
 * Compilers write a variable's place relative to the frame base, which is the CFA (gcc) or a register (clang); in the
 * latter case the call frame information says where that register stands relative to the CFA at this pc. */
#include "internal.h"

#include <stdlib.h>
#include <string.h>

struct frame {
    struct symbol_module *m;
    u64 pc;             /* in DWARF's addresses */
    Dwarf_Frame *rules; /* call frame information at the pc, NULL if none */
    bool base_known;
    int64_t base; /* frame base - CFA */
};

/* A register's value - CFA at the pc, if the rule for the CFA is based on that register. */
static bool register_offset(struct frame *f, unsigned reg, int64_t *out)
{
    Dwarf_Op *ops;
    size_t n;
    if (!f->rules || dwarf_frame_cfa(f->rules, &ops, &n) != 0 || n != 1)
        return false;
    if (ops[0].atom == DW_OP_bregx && ops[0].number == reg)
        *out = -(int64_t)ops[0].number2;
    else if (ops[0].atom == DW_OP_breg0 + reg)
        *out = -(int64_t)ops[0].number;
    else
        return false;
    return true;
}

static bool location_at(Dwarf_Die *die, unsigned attribute, u64 pc, Dwarf_Op **ops, size_t *n)
{
    Dwarf_Attribute a;
    return dwarf_attr_integrate(die, attribute, &a) && dwarf_getlocation_addr(&a, pc, ops, n, 1) == 1;
}

static void find_base(struct frame *f, Dwarf_Die *function)
{
    Dwarf_Op *ops;
    size_t n;
    if (!location_at(function, DW_AT_frame_base, f->pc, &ops, &n) || n != 1)
        return;
    u8 op = ops[0].atom;
    if (op == DW_OP_call_frame_cfa) {
        f->base_known = true;
    } else if (op >= DW_OP_reg0 && op <= DW_OP_reg31) {
        f->base_known = register_offset(f, op - DW_OP_reg0, &f->base);
    } else if (op >= DW_OP_breg0 && op <= DW_OP_breg31) {
        f->base_known = register_offset(f, op - DW_OP_breg0, &f->base);
        f->base += (int64_t)ops[0].number;
    }
}

/* Where a variable is, relative to the CFA. */
static bool variable_offset(struct frame *f, Dwarf_Die *variable, int64_t *out)
{
    Dwarf_Op *ops;
    size_t n;
    if (!location_at(variable, DW_AT_location, f->pc, &ops, &n) || n != 1)
        return false;
    if (ops[0].atom == DW_OP_fbreg && f->base_known) {
        *out = f->base + (int64_t)ops[0].number;
        return true;
    }
    if (ops[0].atom < DW_OP_breg0 || ops[0].atom > DW_OP_breg31 || !register_offset(f, ops[0].atom - DW_OP_breg0, out))
        return false;
    *out += (int64_t)ops[0].number;
    return true;
}

struct variable_walk {
    struct frame *f;
    int64_t wanted;
    bool any_scope; /* also variables of blocks that do not contain the pc */
    Dwarf_Die found;
    int64_t found_at;
    unsigned n;
};

static enum walk match_variable(Dwarf_Die *die, void *context)
{
    struct variable_walk *w = context;
    Dwarf_Die type;
    int64_t at;
    switch (dwarf_tag(die)) {
    case DW_TAG_lexical_block:
    case DW_TAG_inlined_subroutine:
    case DW_TAG_try_block:
    case DW_TAG_catch_block:
        return w->any_scope || dwarf_haspc(die, w->f->pc) > 0 ? WALK_INTO : WALK_OVER;
    case DW_TAG_variable:
    case DW_TAG_formal_parameter:
        break;
    default:
        return WALK_OVER;
    }
    if (!variable_offset(w->f, die, &at) || !die_type(die, &type) || w->wanted < at ||
        (u64)(w->wanted - at) >= die_size(&type))
        return WALK_OVER;
    w->found = *die; /* the last one found is in the innermost scope */
    w->found_at = at;
    w->n++;
    return WALK_OVER;
}

static bool find_on_stack(struct frame *f, Dwarf_Die *function, int64_t offset, struct variable_walk *w)
{
    *w = (struct variable_walk){.f = f, .wanted = offset};
    die_walk(f->m, function, match_variable, w);
    if (w->n)
        return true;
    w->any_scope = true;
    die_walk(f->m, function, match_variable, w);
    return w->n == 1;
}

static void name_variable(struct symbol_module *m, Dwarf_Die *function, struct variable_walk *w,
                          const struct target *want, struct variable_name *out)
{
    char path[NAME_MAX_LENGTH] = "";
    struct type_path p = {.path = {path, sizeof path, 0}};
    Dwarf_Die type, scopes[DIE_DEPTH], *owner = function;
    const char *name = die_text(&w->found, DW_AT_name);
    size_t n = die_scopes(m, &w->found, scopes, DIE_DEPTH);
    for (size_t i = n; i > 0; i--) { /* innermost function around it, inlined ones too */
        int tag = dwarf_tag(&scopes[i - 1]);
        if (tag == DW_TAG_inlined_subroutine || tag == DW_TAG_subprogram)
            owner = &scopes[i - 1];
    }
    const struct function_name *f = die_function(m, owner, NULL);
    if (die_type(&w->found, &type))
        type_path(m, &type, (u64)(w->wanted - w->found_at), want, &p);
    if (want->data) {
        want->data->shown = pool_format(&m->owner->pool, "%s%s", name ? name : "?", path);
        data_describe(m, &p, want->data);
        data_strip_indexes(path);
    }
    out->class_name = out->local =
        pool_format(&m->owner->pool, "%s:%s%s", f && f->name ? f->name : "?", name ? name : "?", path);
    out->source = NAME_TYPED;
    die_declared(m, &w->found, out);
}

static bool class_from_dwarf(struct symbol_module *m, u64 address, int64_t offset, const struct target *want,
                             struct variable_name *out)
{
    Dwarf_Die *function;
    Dwarf_Addr bias = 0;
    struct variable_walk w;
    if (!unit_at(m, address, &function) || !function)
        return false;
    struct frame f = {.m = m, .pc = address - m->dwarf_bias};
    Dwarf_CFI *cfi = dwfl_module_eh_cfi(m->mod, &bias);
    if (!cfi || dwarf_cfi_addrframe(cfi, address - bias, &f.rules) != 0) {
        cfi = dwfl_module_dwarf_cfi(m->mod, &bias);
        if (!cfi || dwarf_cfi_addrframe(cfi, address - bias, &f.rules) != 0)
            f.rules = NULL;
    }
    find_base(&f, function);
    bool found = find_on_stack(&f, function, offset, &w);
    if (found)
        name_variable(m, function, &w, want, out);
    free(f.rules);
    return found;
}

static void stack_at(struct symbolizer *s, struct symbol_site site, int64_t cfa_offset, const struct target *want,
                     struct variable_name *out)
{
    struct symbol_module *m = site.module;
    u64 address = site.address - (site.call_site && site.address), distance = (u64)cfa_offset;
    memset(out, 0, sizeof *out);
    out->module = "";
    if (m && module_open(m) && m->dwarf && class_from_dwarf(m, address, cfa_offset, want, out))
        return;
    const struct symbol_frames *frames = symbol_lookup(s, m, site.address, site.call_site);
    const struct symbol_frame *f = &frames->frame[frames->n - 1]; /* whose frame it is */
    char sign = cfa_offset < 0 ? '-' : '+';
    if (cfa_offset < 0)
        distance = -distance;
    out->source = NAME_ADDRESS;
    if (f->name)
        out->class_name = pool_format(&s->pool, "%s:stack%c0x%llx", f->name, sign, (unsigned long long)distance);
    else
        out->class_name = pool_format(&s->pool, "%s+0x%llx:stack%c0x%llx", symbol_module_name(m),
                                      (unsigned long long)site.address, sign, (unsigned long long)distance);
    out->local = out->class_name;
    out->path = f->path;
    out->file = f->file;
}

void stack_class(struct symbolizer *s, struct symbol_site site, int64_t cfa_offset, enum lock_type type,
                 struct variable_name *out)
{
    stack_at(s, site, cfa_offset, &(struct target){.lock = type}, out);
}

void data_stack(struct symbolizer *s, struct symbol_site site, int64_t cfa_offset, u64 size, struct data_name *out)
{
    *out = (struct data_name){0};
    stack_at(s, site, cfa_offset, &(struct target){.size = size, .data = out}, &out->name);
}
