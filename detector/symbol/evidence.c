/* What the functions at a place in the code have pointers to: variables, parameters, results, template arguments. It
 * tells what they allocate. Called by types. Takes no locks, allocates from the pool only. */
#include "internal.h"

#include <string.h>

static void add_evidence(struct symbol_module *m, struct evidence *e, const char *name, bool direct)
{
    if (!name || e->n == EVIDENCE_MAX)
        return;
    e->near[e->n] = e->now_near;
    e->direct[e->n] = direct;
    e->type[e->n++] = pool_string(&m->owner->pool, name);
}

/* A pointer to something that is no struct. */
static void add_other(struct evidence *e, Dwarf_Die *type)
{
    Dwarf_Die to = *type, next;
    for (unsigned i = 0; i < TYPE_DEPTH && dwarf_tag(&to) == DW_TAG_pointer_type && die_type(&to, &next); i++) {
        die_peel(&next);
        to = next;
    }
    e->other |= die_size(&to) != 1;
    if (e->now_near)
        e->near_other = *type;
}

/* A type by its name, and, one level down, what it is a template of: unique_ptr<T>, vector<T>. */
static void evidence_type(struct symbol_module *m, Dwarf_Die *type, struct evidence *e, unsigned depth)
{
    Dwarf_Die at = *type, child, argument;
    unsigned pointers = depth > 0;
    for (unsigned i = 0; i < TYPE_DEPTH; i++) {
        const char *n = die_text(&at, DW_AT_name);
        if (pointers && lock_type_name(n, LOCK_TYPE_ANY))
            add_evidence(m, e, n, pointers == 1);
        int tag = dwarf_tag(&at);
        if (tag == DW_TAG_pointer_type || tag == DW_TAG_reference_type || tag == DW_TAG_rvalue_reference_type ||
            tag == DW_TAG_array_type) {
            if (tag != DW_TAG_array_type && pointers++ == 1)
                add_other(e, &at);
            if (!die_type(&at, &child))
                return;
            at = child;
        } else if (!die_unwrap(&at)) {
            break;
        }
    }
    die_peel(&at);
    int tag = dwarf_tag(&at);
    if (tag != DW_TAG_structure_type && tag != DW_TAG_class_type && tag != DW_TAG_union_type) {
        if (pointers == 1 && (tag == DW_TAG_base_type || tag == DW_TAG_enumeration_type))
            add_other(e, &at);
        return;
    }
    if (pointers)
        add_evidence(m, e, type_name(m, &at), pointers == 1);
    if (depth > 2 || !die_first_child(&at, &child))
        return;
    do {
        if (dwarf_tag(&child) == DW_TAG_template_type_parameter && die_type(&child, &argument))
            evidence_type(m, &argument, e, depth + 1);
    } while (die_next(&child));
}

struct evidence_walk {
    struct symbol_module *m;
    struct evidence *e;
};

static enum walk collect_evidence(Dwarf_Die *die, void *context)
{
    struct evidence_walk *w = context;
    Dwarf_Die type;
    u64 line;
    w->e->now_near = false;
    switch (dwarf_tag(die)) {
    case DW_TAG_lexical_block:
    case DW_TAG_try_block:
        return WALK_INTO;
    case DW_TAG_variable:
    case DW_TAG_formal_parameter:
        w->e->now_near = w->e->line && die_uint(die, DW_AT_decl_line, &line) && line == w->e->line;
        if (die_type(die, &type))
            evidence_type(w->m, &type, w->e, 0);
        return WALK_OVER;
    case DW_TAG_template_type_parameter:
        if (die_type(die, &type))
            evidence_type(w->m, &type, w->e, 1);
        return WALK_OVER;
    default:
        return WALK_OVER;
    }
}

/* What the functions at a site have pointers to. */
void evidence_gather(struct symbol_module *m, Dwarf_Die *function, u64 address, struct evidence *e)
{
    Dwarf_Die chain[16], origin, type;
    if (e->known)
        return;
    e->known = true;
    if (!function)
        return;
    size_t n = inline_chain(function, address - m->dwarf_bias, chain, ARRAY_LEN(chain));
    const struct symbol_frames *frames = symbol_lookup(m->owner, m, address, false);
    for (size_t i = n; i > 0; i--) {
        /* The abstract function has the variables that this copy optimised away. */
        Dwarf_Attribute a;
        origin = chain[i - 1];
        e->line = frames->n == n ? frames->frame[n - i].line : 0;
        if (dwarf_attr(&chain[i - 1], DW_AT_abstract_origin, &a))
            dwarf_formref_die(&a, &origin);
        die_walk(m, &origin, collect_evidence, &(struct evidence_walk){m, e});
        e->now_near = false;
        if (die_type(&origin, &type))
            evidence_type(m, &type, e, 0);
    }
}

static enum walk collect_variable(Dwarf_Die *die, void *context)
{
    return dwarf_tag(die) == DW_TAG_variable ? collect_evidence(die, context) : WALK_OVER;
}

void evidence_of_variables(struct symbol_module *m, struct unit *u, struct evidence *e)
{
    die_walk(m, &u->die, collect_variable, &(struct evidence_walk){m, e});
}

bool evidence_of(const struct evidence *e, const char *type, bool near, bool direct)
{
    for (size_t i = 0; i < e->n; i++) {
        if ((!near || e->near[i]) && (!direct || e->direct[i]) && strcmp(e->type[i], type) == 0)
            return true;
    }
    return false;
}
