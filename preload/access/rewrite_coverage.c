/* How much of a module is watched, and why the rest is not: for the report. Called when its patches are known and its text
 * is still as it was. Takes no lock, allocates nothing.
 *
 * In functions that were left alone accesses are counted by decoding from the function's start; where that fails, from the
 * next byte on. That may take data for code, so the share that is told is rather too low than too high. */
#include "rewrite.h"

/* Zeros, int3 and no-operations: what stands between functions. */
static bool is_filling(const u8 *code, const struct insn *in)
{
    if (code[0] == 0xcc)
        return true;
    if (in->flow != FLOW_NEXT || in->writes || in->flags_written || in->memory != MEM_NONE)
        return false;
    u8 opcode = code[in->opcode_at];
    return opcode == 0x90 || (opcode == 0x1f && in->opcode_at && code[in->opcode_at - 1] == 0x0f);
}

void coverage_gap(struct rewrite *r, u32 lo, u32 hi)
{
    struct insn in;
    for (u32 at = lo; at < hi; at += in.length) {
        const u8 *code = text_at(r, at);
        if (!code[0] || !insn_decode(code, hi - at, &in)) {
            in.length = 1;
            r->coverage.unlisted += code[0] != 0;
        } else if (!is_filling(code, &in)) {
            r->coverage.unlisted += in.length;
        }
    }
}

/* Of a function that was left alone. */
static u32 accesses_between(const struct rewrite *r, u32 lo, u32 hi)
{
    struct function f = {.lo = lo, .hi = hi, .taken = {NOTHING_TAKEN, NOTHING_TAKEN}};
    struct insn in;
    u32 n = 0;
    for (u32 at = lo; at < hi; at += in.length) {
        struct place p = {.at = at};
        if (!insn_decode(text_at(r, at), hi - at, &in)) {
            in.length = 1;
            continue;
        }
        p.length = in.length;
        f.frame |= scan_sets_frame(text_at(r, at), &in, at - lo);
        n += select_is_eligible(r, &f, &p, &in);
    }
    return n;
}

static void add(struct coverage *c, enum coverage_reason why, u32 functions, u32 accesses)
{
    c->left[why].functions += functions;
    c->left[why].accesses += accesses;
}

void rewrite_coverage(struct rewrite *r)
{
    struct coverage *c = &r->coverage;
    c->functions = r->counts.functions;
    for (u32 i = 0; i < r->places.n; i++) {
        const struct place *p = &r->places.item[i];
        if (!(p->marks & PLACE_ELIGIBLE))
            continue;
        c->eligible++;
        if (p->marks & PLACE_STAYS)
            add(c, COVERAGE_crowded, 0, 1);
        else if (p->marks & PLACE_UNMEASURED)
            add(c, COVERAGE_unmeasured, 0, 1);
        else
            c->watched++;
    }
    for (u32 i = 0; i < r->left.n; i++) {
        const struct left_alone *l = &r->left.item[i];
        u32 n = accesses_between(r, l->lo, l->hi);
        c->eligible += n;
        add(c, l->why, l->functions, n);
    }
    u32 missed = r->counts.unchecked < c->watched ? r->counts.unchecked : c->watched;
    c->watched -= missed;
    add(c, COVERAGE_crowded, 0, missed);
}

void coverage_refused(struct coverage *c)
{
    add(c, COVERAGE_unplaced, c->functions, c->watched);
    c->watched = 0;
}
