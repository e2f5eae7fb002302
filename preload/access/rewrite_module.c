/* Rewrites one module. Called before its code runs, by one thread at a time. Takes no lock; memory from the system. */
#include "rewrite_module.h"

#include "rewrite_copy.h"
#include "rewrite_patch.h"

/* On the average 50 and 42, and code grows by an eighth; the rest is for modules with more vectors. */
#define BYTES_PER_CHECK 72u
#define COLD_PER_CHECK 48u
#define MARGIN 262144u

static void make_site(const struct rewrite *r, const struct check *c, struct access_site *s)
{
    const struct place *p = &r->places.item[c->place];
    struct insn in;
    place_decode(r, p, &in);
    s->pc = place_address(r, p);
    s->disp = in.rip ? operand_address(r, p, &in) : (u64)in.disp;
    s->size = in.size;
    s->memory = in.memory;
    s->base = in.rip ? SITE_RIP : in.base;
    s->index = in.index;
    s->shift = in.shift;
    s->rep = in.rep;
    bool read = (in.what & OP_MEM_READ) || (p->marks & PLACE_READ_TOO);
    bool is_inline = check_kind(&in, operand_address(r, p, &in)) != CHECK_CALL;
    s->how = (u8)((in.what & OP_MEM_WRITE ? SITE_WRITE : 0) | (read ? SITE_READ : 0) | (in.lock ? SITE_ATOMIC : 0) |
                  (is_inline ? SITE_INLINE : 0) | (in.what & OP_SOME_BYTES ? SITE_SOME_BYTES : 0) |
                  (in.address_32 ? SITE_ADDRESS_32 : 0) | (in.segment ? SITE_SEGMENT : 0));
}

/* The instruction as it was; masked_runs asks no displacement. */
static bool keep_masked(struct rewritten *out, const struct rewrite *r, u32 check)
{
    const struct place *p = &r->places.item[r->checks.item[check].place];
    struct insn in;
    place_decode(r, p, &in);
    if (!masked_is(&in))
        return true;
    if (!LIST_GROW(&out->masked))
        return false;
    struct masked_site *m = &out->masked.item[out->masked.n++];
    *m = (struct masked_site){.site = check, .length = p->length};
    __builtin_memcpy(m->code, text_at(r, p->at), p->length);
    return true;
}

const struct masked_site *rewritten_masked(const struct rewritten *m, u32 site)
{
    u32 lo = 0, hi = m->masked.n;
    while (lo < hi) {
        u32 middle = lo + (hi - lo) / 2;
        if (m->masked.item[middle].site < site)
            lo = middle + 1;
        else
            hi = middle;
    }
    return lo < m->masked.n && m->masked.item[lo].site == site ? &m->masked.item[lo] : NULL;
}

static bool make_sites(struct rewritten *out, const struct rewrite *r)
{
    out->nsites = r->checks.n;
    out->sites = sys_map(r->checks.n * sizeof *out->sites);
    if (!out->sites)
        return false;
    for (u32 i = 0; i < r->checks.n; i++) {
        make_site(r, &r->checks.item[i], &out->sites[i]);
        bool perhaps = out->sites[i].memory != MEM_OPERAND || (out->sites[i].how & SITE_SOME_BYTES);
        if (perhaps && !keep_masked(out, r, i))
            return false;
    }
    return true;
}

void (*rewrite_made)(const struct rewritten *m, const struct rewrite *r);

static enum rewrite_result analyse(struct rewrite *r, const struct code_range *functions, u32 n)
{
    if (!rewrite_ranges(r, functions, n) || !rewrite_scan(r) || !rewrite_entries(r) || !rewrite_live(r) ||
        !rewrite_select(r))
        return REWRITE_NO_MEMORY;
    return r->checks.n ? REWRITTEN : REWRITE_NOTHING;
}

static enum rewrite_result write_copies(struct rewritten *out, struct rewrite *r, struct check_target *to, u64 slow,
                                        u64 cells, u32 first)
{
    struct arena *a = &out->arena;
    u64 checks = r->checks.n;
    if (!arena_near(a, &r->image, text_size(r) * 3ULL + checks * BYTES_PER_CHECK + 65536,
                    checks * COLD_PER_CHECK + 65536))
        return REWRITE_NO_ROOM;
    u64 copies = a->copies, cold = a->cold;
    arena_set_head(a, slow, cells);
    if (!rewrite_copy(r, a, to, first))
        return REWRITE_NO_ROOM;
    out->copy_bytes = a->copies - copies;
    out->cold_bytes = a->cold - cold;
    if (!rewrite_patch(r, a) || !map_make(&out->map, r, a) || !make_sites(out, r))
        return REWRITE_NO_MEMORY;
    rewrite_coverage(r);
    out->coverage = r->coverage;
    out->counts = r->counts;
    if (rewrite_made)
        rewrite_made(out, r);
    return arena_seal(a) && rewrite_commit(r) ? REWRITTEN : REWRITE_REFUSED;
}

enum rewrite_result rewrite_module(struct rewritten *out, const struct image *image, struct check_target *to, u64 slow,
                                   u64 cells, u32 first, const struct code_range *functions, u32 nfunctions)
{
    struct rewrite r = {.image = *image};
    *out = (struct rewritten){.text = image->text_lo, .text_bytes = image->text_hi - image->text_lo};
    enum rewrite_result result = analyse(&r, functions, nfunctions);
    if (result == REWRITTEN)
        result = write_copies(out, &r, to, slow, cells, first);
    if (result != REWRITTEN && !r.coverage.functions)
        rewrite_coverage(&r);
    if (result > REWRITE_NOTHING)
        coverage_refused(&r.coverage);
    out->counts = r.counts;
    out->coverage = r.coverage;
    rewrite_free(&r);
    if (result == REWRITTEN) {
        arena_free_taken(&out->arena);
        return result;
    }
    rewritten_drop(out);
    return result;
}

void rewritten_drop(struct rewritten *m)
{
    map_free(&m->map);
    sys_unmap(m->sites, m->nsites * sizeof *m->sites);
    m->sites = NULL;
    LIST_FREE(&m->masked);
    arena_drop(&m->arena);
}
