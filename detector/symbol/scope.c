/* What is around a DWARF entry: namespaces, classes, functions; and the qualified names that follow from it.
 * Called by all that names something. Takes no locks, allocates.
 *
 * Entries do not know their parents, and finding them means walking the unit. So a unit is walked once, and its scopes
 * are kept as intervals in the order of the file. */
#include "internal.h"

#include <stdlib.h>
#include <string.h>

static bool is_scope(int tag)
{
    switch (tag) {
    case DW_TAG_namespace:
    case DW_TAG_module:
    case DW_TAG_structure_type:
    case DW_TAG_class_type:
    case DW_TAG_union_type:
    case DW_TAG_enumeration_type:
    case DW_TAG_subprogram:
    case DW_TAG_inlined_subroutine:
    case DW_TAG_lexical_block:
        return true;
    default:
        return false;
    }
}

/* Notes the scope at `die`; index + 1, 0 if it is none or memory is out. */
static u32 open_scope(struct scopes *s, Dwarf_Die *die, u32 parent)
{
    if (!is_scope(dwarf_tag(die)) || s->n == UINT32_MAX - 1 || !grow((void **)&s->at, &s->cap, s->n, sizeof *s->at))
        return 0;
    s->at[s->n] = (struct scope){die->addr, (const char *)die->addr + 1, *die, parent};
    return (u32)++s->n;
}

/* Its own walk rather than die_walk, as it has to know where children end: before the next entry behind them. */
static void find_scopes(struct symbol_module *m, Dwarf_Die *unit, struct scopes *s)
{
    Dwarf_Die at[DIE_DEPTH];
    u32 scope[DIE_DEPTH + 1] = {0}; /* the scope that each level's children are in */
    u32 closing[DIE_DEPTH];         /* scope of the entry at each level, 0 if it is none */
    unsigned depth = 0;
    const void *last = NULL;
    if (!die_first_child(unit, &at[0]))
        return;
    for (bool fresh = true; m->die_budget; m->die_budget--) {
        if (fresh) {
            closing[depth] = open_scope(s, &at[depth], scope[depth]);
            last = at[depth].addr;
            if (depth + 1 < DIE_DEPTH && die_first_child(&at[depth], &at[depth + 1])) {
                scope[depth + 1] = closing[depth] ? closing[depth] : scope[depth];
                depth++;
                continue;
            }
        }
        if (closing[depth])
            s->at[closing[depth] - 1].end = (const char *)last + 1;
        fresh = die_next(&at[depth]);
        if (!fresh && depth-- == 0)
            return;
    }
}

static struct scopes *scopes_of(struct symbol_module *m, Dwarf_Die *unit)
{
    struct scopes *s = map_get(&m->scopes, (u64)(uintptr_t)unit->addr);
    if (s)
        return s;
    s = calloc(1, sizeof *s);
    if (!s || !map_put(&m->scopes, (u64)(uintptr_t)unit->addr, s)) {
        free(s);
        return NULL;
    }
    find_scopes(m, unit, s);
    return s;
}

void die_scopes_free(struct symbol_module *m)
{
    for (size_t i = 0; i < m->scopes.size; i++) {
        struct scopes *s = m->scopes.slots[i].value;
        if (s)
            free(s->at);
        free(s);
    }
    map_free(&m->scopes);
}

size_t die_scopes(struct symbol_module *m, Dwarf_Die *die, Dwarf_Die *out, size_t max)
{
    Dwarf_Die unit;
    struct scopes *s = dwarf_diecu(die, &unit, NULL, NULL) ? scopes_of(m, &unit) : NULL;
    size_t lo = 0, hi = s ? s->n : 0, n = 0;
    while (lo < hi) { /* scopes that begin before the entry */
        size_t mid = lo + (hi - lo) / 2;
        if ((const char *)s->at[mid].begin < (const char *)die->addr)
            lo = mid + 1;
        else
            hi = mid;
    }
    for (u32 i = (u32)lo; i && n < max; i = s->at[i - 1].parent) {
        if ((const char *)s->at[i - 1].end > (const char *)die->addr)
            out[n++] = s->at[i - 1].die;
    }
    return n;
}

static void add_scope_name(struct symbol_module *m, Dwarf_Die *scope, struct text *out)
{
    int tag = dwarf_tag(scope);
    const char *name = die_text(scope, DW_AT_name);
    switch (tag) {
    case DW_TAG_namespace:
        text_add(out, name ? name : "(anonymous namespace)");
        text_add(out, "::");
        break;
    case DW_TAG_structure_type:
    case DW_TAG_class_type:
    case DW_TAG_union_type:
    case DW_TAG_enumeration_type:
        text_add(out, name ? name : "{lambda}"); /* the only nameless class with functions */
        text_add(out, "::");
        break;
    case DW_TAG_subprogram: {
        const struct function_name *f = die_function(m, scope, NULL);
        if (f && f->name) {
            text_add(out, f->name);
            text_add(out, "::");
        }
        break;
    }
    default:
        break;
    }
}

void die_qualified(struct symbol_module *m, Dwarf_Die *die, struct text *out)
{
    Dwarf_Die origin, scopes[DIE_DEPTH];
    die_origin(die, &origin);
    size_t n = die_scopes(m, &origin, scopes, DIE_DEPTH);
    for (size_t i = n; i > 0; i--) {
        /* What stands before a function does not matter: its name is qualified already. */
        if (dwarf_tag(&scopes[i - 1]) == DW_TAG_subprogram)
            out->len = 0;
        add_scope_name(m, &scopes[i - 1], out);
    }
    const char *name = die_text(&origin, DW_AT_name);
    text_add(out, name ? name : "(anonymous)");
}
