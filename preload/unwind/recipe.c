/* Recipes: for each return address met on a stack, the step to the caller's frame in one word, made from the unwind
 * tables once. Called by the walkers. Takes no lock (modules_read_enter keeps handlers out while a recipe is made);
 * allocates its table with sys_map.
 *
 * The table is open addressing; a key is set once and stays, its recipe may be taken back when the module goes away and
 * made again. That happens while nobody makes recipes (modules.c waits for them), so no recipe of an old module is ever
 * stored for a new one. A full table is replaced by a larger one; the old one stays for its readers: in all at most as
 * much again as the last one. */
#include "internal.h"

#include <errno.h>

#include "base/sys.h"
#include "safe.h"

#define FIRST_BITS 13u
#define LAST_BITS 20u

struct recipe_table *recipes;
static u32 growing;

static struct recipe_table *table_new(u32 bits)
{
    struct recipe_table *t = sys_map(sizeof *t + (sizeof(struct recipe_slot) << bits));
    if (t) {
        t->shift = 64 - bits;
        t->mask = (1ULL << bits) - 1;
    }
    return t;
}

/* False when there is no room near its place. */
static bool table_put(struct recipe_table *t, u64 key, u64 bits, u64 frame)
{
    u64 at = key * 0x9e3779b97f4a7c15ULL >> t->shift;
    for (u32 i = 0; i < RECIPE_PROBES; i++, at++) {
        struct recipe_slot *s = &t->slot[at & t->mask];
        u64 k = __atomic_load_n(&s->key, __ATOMIC_ACQUIRE);
        if (!k && __atomic_compare_exchange_n(&s->key, &k, key, false, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE)) {
            __atomic_fetch_add(&t->used, 1, __ATOMIC_RELAXED);
            k = key;
        }
        if (k == key) {
            __atomic_store_n(&s->frame, frame, __ATOMIC_RELAXED);
            __atomic_store_n(&s->bits, bits, __ATOMIC_RELEASE);
            return true;
        }
    }
    return false;
}

static void table_grow(struct recipe_table *old)
{
    if ((old->mask + 1) >> LAST_BITS || __atomic_exchange_n(&growing, 1, __ATOMIC_ACQUIRE))
        return;
    if (recipes == old) {
        struct recipe_table *new = table_new((u32)(64 - old->shift + 1));
        for (u64 i = 0; new &&i <= old->mask; i++) {
            const struct recipe_slot *s = &old->slot[i];
            u64 bits = __atomic_load_n(&s->bits, __ATOMIC_ACQUIRE);
            if (bits)
                table_put(new, s->key, bits, s->frame);
        }
        if (new)
            __atomic_store_n(&recipes, new, __ATOMIC_RELEASE);
    }
    __atomic_store_n(&growing, 0, __ATOMIC_RELEASE);
}

static void keep(u64 key, u64 bits, u64 frame)
{
    struct recipe_table *t = recipes;
    if (!t)
        return;
    if (t->used > t->mask / 2 || !table_put(t, key, bits, frame))
        table_grow(t);
}

/* A module went away: its return addresses are those behind its first byte up to the one behind its last. */
static void forget_range(u64 lo, u64 hi)
{
    struct recipe_table *t = recipes;
    for (u64 i = 0; t && i <= t->mask; i++) {
        u64 pc = t->slot[i].key >> 1;
        if (pc >= lo && pc <= hi)
            __atomic_store_n(&t->slot[i].bits, 0, __ATOMIC_RELEASE);
    }
}

void recipe_start(void)
{
    growing = 0;
    if (!recipes && modules_tracking)
        recipes = table_new(FIRST_BITS);
    modules_on_gone = forget_range;
}

/* ---- from rules to a recipe ---- */

/* "rbp or rsp + offset", optionally followed by a dereference. */
static bool plain_expression(const struct cfi_memory *m, const struct cfi_rule *rule, u32 *reg, int64_t *offset,
                             bool *deref)
{
    struct cfi_reader r;
    cfi_reader_at(&r, m, (u64)rule->value, (u64)rule->value + rule->length);
    u32 op = (u32)cfi_fixed(&r, 1);
    *reg = op - 0x70;
    *offset = cfi_sleb(&r);
    *deref = r.at < r.end && cfi_fixed(&r, 1) == 0x06;
    return !r.bad && r.at == r.end && (*reg == REG_RBP || *reg == REG_RSP);
}

static bool fits(int64_t v, u32 bits)
{
    return v >= -(1LL << (bits - 1)) && v < 1LL << (bits - 1);
}

/* The CFA part, 0 when it has no short form. */
static u64 cfa_bits(const struct cfi_memory *m, const struct cfi_row *row)
{
    u32 reg = row->cfa.length;
    int64_t offset = row->cfa.value;
    bool deref = false;
    if (row->cfa.kind == CFI_IS_EXPR && !plain_expression(m, &row->cfa, &reg, &offset, &deref))
        return 0;
    if ((reg != REG_RBP && reg != REG_RSP) || !fits(offset, 24))
        return 0;
    return RECIPE_SET | (reg == REG_RBP ? RECIPE_BASE_RBP : 0) | (deref ? RECIPE_DEREF : 0) |
           ((u64)offset & 0xffffff) << 16;
}

static bool bp_bits(const struct cfi_memory *m, const struct cfi_rule *rule, u64 *bits)
{
    u32 reg;
    int64_t offset = rule->value;
    bool deref;
    enum recipe_bp how;
    if (rule->kind == CFI_UNSET || rule->kind == CFI_SAME)
        return true;
    if (rule->kind == CFI_AT_CFA) {
        how = BP_AT_CFA;
    } else {
        if (rule->kind != CFI_AT_EXPR || !plain_expression(m, rule, &reg, &offset, &deref) || deref)
            return false;
        how = reg == REG_RBP ? BP_AT_RBP : BP_AT_RSP;
    }
    *bits |= (u64)how << 5 | ((u64)offset & 0xffff) << 40;
    return fits(offset, 16);
}

static bool ra_bits(const struct cfi_memory *m, const struct cfi_row *row, u64 *bits)
{
    const struct cfi_rule *ra = &row->reg[REG_RA];
    u32 reg;
    int64_t offset;
    bool deref;
    if (!row->signal)
        return ra->kind == CFI_AT_CFA && ra->value == -8;
    if (ra->kind != CFI_AT_EXPR || !plain_expression(m, ra, &reg, &offset, &deref) || deref || reg != REG_RSP ||
        offset < 0 || offset > 255)
        return false;
    *bits |= RECIPE_SIGNAL | (u64)offset << 56;
    return true;
}

static u64 recipe_from(const struct cfi_memory *m, const struct cfi_row *row)
{
    const u64 complex = RECIPE_SET | (u64)RECIPE_COMPLEX << 1;
    if (row->reg[REG_RA].kind == CFI_UNDEFINED)
        return RECIPE_SET | (u64)RECIPE_END << 1;
    u64 bits = cfa_bits(m, row);
    u32 sp_rule = row->reg[REG_RSP].kind;
    /* The caller's rsp is the CFA; a signal frame says so in another way (it restores rsp from where its CFA stands
     * too). */
    if (!bits || (sp_rule != CFI_UNSET && !row->signal) || !bp_bits(m, &row->reg[REG_RBP], &bits) ||
        !ra_bits(m, row, &bits))
        return complex;
    return bits;
}

static struct cfi_memory memory_of(const struct module *m)
{
    return (struct cfi_memory){m->eh_lo, m->eh_hi};
}

/* Its unwind tables can be read. An untracked module may have been unmapped since. */
static bool has_tables(const struct module *m)
{
    return m->eh_hdr && (modules_tracking || safe_readable(m->eh_hdr));
}

/* The recipe for a place in this module. */
static u64 recipe_at(const struct module *m, u64 pc, bool exact)
{
    const u64 none = RECIPE_SET | (u64)RECIPE_NONE << 1;
    struct cfi_memory memory = memory_of(m);
    struct cfi_row row;
    if (!has_tables(m))
        return none;
    int err = cfi_find(&memory, m->eh_hdr, exact ? pc : pc - 1, &row);
    /* A return address where a function begins was put there by hand, by makecontext for one: nothing has called that
     * function, the stack is complete. */
    if (err == -ENOENT && !exact && !cfi_find(&memory, m->eh_hdr, pc, &row))
        return RECIPE_SET | (u64)RECIPE_END << 1;
    return err ? none : recipe_from(&memory, &row);
}

SNARL_COLD void recipe_make(u64 pc, bool exact, struct recipe *out)
{
    struct module m;
    u64 mask;
    bool entered = modules_read_enter(&mask);
    if (modules_lookup(exact ? pc : pc - 1, &m)) {
        out->bits = entered ? recipe_at(&m, pc, exact) : RECIPE_SET | (u64)RECIPE_NONE << 1 | RECIPE_UNKNOWN;
        out->bits |= m.is_snarl ? RECIPE_SNARL : 0;
        out->frame =
            (m.id ? (u64)m.id << 48 | FRAME_OFFSET(pc - m.bias) : FRAME_OFFSET(pc)) | (exact ? FRAME_EXACT : 0);
        if (entered && modules_tracking)
            keep(pc << 1 | exact, out->bits, out->frame);
    } else {
        out->bits = RECIPE_SET | (u64)RECIPE_NONE << 1 | RECIPE_UNKNOWN;
        out->frame = FRAME_OFFSET(pc) | (exact ? FRAME_EXACT : 0);
    }
    modules_read_leave(entered, mask);
}

int recipe_row(u64 pc, bool exact, struct cfi_row *row, struct cfi_memory *memory)
{
    struct module m;
    if (!modules_lookup(exact ? pc : pc - 1, &m) || !has_tables(&m))
        return -ENOENT;
    *memory = memory_of(&m);
    return cfi_find(memory, m.eh_hdr, exact ? pc : pc - 1, row);
}
