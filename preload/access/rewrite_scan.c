/* The code of a module: its functions, and where their instructions begin. Called first, when a module is prepared.
 * Takes no lock; memory from the system.
 *
 * Functions are the ranges that .eh_frame has entries for: that also knows those of stripped files. Where one cannot be
 * decoded from end to end (data between code, an instruction that is not known, a branch into the midst of another
 * instruction), or lies over another one, it is left alone. */
#include "rewrite.h"

#include "unwind/cfi.h"

#define HEADER_BYTES 16u /* where a frame pointer is set up */

bool image_holds(const struct image *m, u64 addr, u64 bytes)
{
    for (u32 i = 0; i < m->nparts; i++)
        if (addr >= m->part[i].lo && addr < m->part[i].hi)
            return bytes <= m->part[i].hi - addr;
    return false;
}

bool image_constant(const struct image *m, u64 addr, u64 bytes)
{
    if (addr >= m->relro_lo && addr < m->relro_hi)
        return bytes <= m->relro_hi - addr;
    for (u32 i = 0; i < m->nparts; i++)
        if (addr >= m->part[i].lo && addr < m->part[i].hi)
            return !m->part[i].write && bytes <= m->part[i].hi - addr;
    return false;
}

/* ---- ranges ---- */

static bool leave_alone(struct rewrite *r, const struct function *f, u32 hi, u32 n, enum coverage_reason why)
{
    if (!LIST_GROW(&r->left))
        return false;
    r->left.item[r->left.n++] = (struct left_alone){f->lo, hi, n, why};
    return true;
}

static bool add_function(struct rewrite *r, const struct code_range *f)
{
    if (f->lo < r->image.text_lo || f->hi > r->image.text_hi || f->lo >= f->hi)
        return true;
    if (!LIST_GROW(&r->functions))
        return false;
    r->functions.item[r->functions.n++] = (struct function){.lo = (u32)(f->lo - r->image.text_lo),
                                                            .hi = (u32)(f->hi - r->image.text_lo),
                                                            .lsda = f->lsda,
                                                            .taken = {NOTHING_TAKEN, NOTHING_TAKEN}};
    return true;
}

/* Sorts by lo. Tables are mostly sorted, and in large sorted pieces. */
static void sift(struct function *f, u32 root, u32 n)
{
    for (u32 child; (child = root * 2 + 1) < n; root = child) {
        if (child + 1 < n && f[child].lo < f[child + 1].lo)
            child++;
        if (f[root].lo >= f[child].lo)
            return;
        struct function swap = f[root];
        f[root] = f[child];
        f[child] = swap;
    }
}

static void sort(struct function *f, u32 n)
{
    bool sorted = true;
    for (u32 i = 1; i < n && sorted; i++)
        sorted = f[i - 1].lo <= f[i].lo;
    if (sorted)
        return;
    for (u32 i = n / 2; i-- > 0;)
        sift(f, i, n);
    for (u32 i = n; i-- > 1;) {
        struct function swap = f[0];
        f[0] = f[i];
        f[i] = swap;
        sift(f, 0, i);
    }
}

/* Of functions that lie over each other none is kept. */
static bool drop_overlapping(struct rewrite *r)
{
    struct function *f = r->functions.item;
    u32 n = r->functions.n, out = 0, end = 0;
    for (u32 i = 0, next; i < n; i = next) {
        u32 hi = f[i].hi;
        for (next = i + 1; next < n && f[next].lo < hi; next++)
            hi = f[next].hi > hi ? f[next].hi : hi;
        coverage_gap(r, end, f[i].lo);
        end = hi;
        if (next == i + 1)
            f[out++] = f[i];
        else if (leave_alone(r, &f[i], hi, next - i, COVERAGE_overlapping))
            r->counts.overlapping += next - i;
        else
            return false;
    }
    if (n)
        coverage_gap(r, end, text_size(r));
    r->functions.n = out;
    return true;
}

static bool add_entry(void *arg, const struct cfi_function *f)
{
    return add_function(arg, &(struct code_range){f->lo, f->hi, f->lsda});
}

static void ranges_of_tables(struct rewrite *r)
{
    for (u32 i = 0; i < r->image.nparts; i++) {
        const struct image_part *part = &r->image.part[i];
        struct cfi_memory m = {part->lo, part->hi};
        if (r->image.frames < part->lo || r->image.frames >= part->hi)
            continue;
        if (cfi_functions(&m, r->image.frames, add_entry, r) < 0)
            r->functions.n = 0;
    }
}

bool rewrite_ranges(struct rewrite *r, const struct code_range *given, u32 n)
{
    if (!given)
        ranges_of_tables(r);
    for (u32 i = 0; given && i < n; i++)
        if (!add_function(r, &given[i]))
            return false;
    r->counts.functions = r->functions.n;
    sort(r->functions.item, r->functions.n);
    return drop_overlapping(r);
}

/* ---- instructions ---- */

/* push rbp; mov rbp, rsp */
bool scan_sets_frame(const u8 *code, const struct insn *in, u32 offset)
{
    if (offset > HEADER_BYTES || in->length != 3 || code[0] != 0x48)
        return false;
    return (code[1] == 0x89 && code[2] == 0xe5) || (code[1] == 0x8b && code[2] == 0xec);
}

static void lower(int32_t *taken, int64_t to)
{
    if (to < *taken)
        *taken = to < INT32_MIN ? ALL_TAKEN : (int32_t)to;
}

/* The value of the stack pointer, or of the frame pointer, goes to another register, from where it may be passed on: by
 * lea and mov as the address of what begins there, otherwise of anything. */
static void take_address(struct function *f, const u8 *code, const struct insn *in)
{
    u32 stack = 1u << RSP | (f->frame ? 1u << RBP : 0);
    if (!(in->reads & stack) || in->memory != MEM_NONE || (in->what & (OP_STACK | OP_ALL_READ)))
        return;
    if (!(in->writes & ~(1u << RSP | 1u << RBP)))
        return;
    bool plain = in->opcode_at < 2 &&
                 (code[in->opcode_at] == 0x8d || code[in->opcode_at] == 0x89 || code[in->opcode_at] == 0x8b);
    if (!plain || (in->reads & stack) == (1u << RSP | 1u << RBP))
        f->taken[0] = f->taken[1] = ALL_TAKEN;
    else
        lower(&f->taken[(in->reads & 1u << RSP) == 0], in->disp);
}

/* COVERAGE_REASON_COUNT: all of it is known. */
static enum coverage_reason decode_function(struct rewrite *r, struct function *f)
{
    struct insn in;
    f->first = r->places.n;
    for (u32 at = f->lo; at < f->hi; at += in.length) {
        const u8 *code = text_at(r, at);
        bool known = insn_decode(code, f->hi - at, &in);
        if (!known || (in.what & OP_BARRED)) {
            r->places.n = f->first;
            return known ? COVERAGE_barred : COVERAGE_undecoded;
        }
        f->frame |= scan_sets_frame(code, &in, at - f->lo);
        take_address(f, code, &in);
        f->writes |= in.writes;
        r->places.item[r->places.n++] = (struct place){
            .at = at, .copy = NOWHERE, .target = NOWHERE, .checks = NOWHERE, .length = in.length, .flow = in.flow};
    }
    f->end = r->places.n;
    return COVERAGE_REASON_COUNT;
}

/* ---- the index ---- */

static void index_places(struct rewrite *r)
{
    u32 words = text_size(r) / 32 + 1;
    __builtin_memset(r->starts, 0, words * sizeof *r->starts);
    for (u32 i = 0; i < r->places.n; i++)
        r->starts[r->places.item[i].at / 32] |= 1u << r->places.item[i].at % 32;
    for (u32 i = 0, n = 0; i < words; i++) {
        r->ranks[i] = n;
        n += (u32)__builtin_popcount(r->starts[i]);
    }
}

/* A branch goes into the midst of an instruction: of this function or another one. Neither can be treated. */
static void entangle(struct rewrite *r, struct function *f, u64 target)
{
    u32 lo = 0, hi = r->functions.n, at = (u32)(target - r->image.text_lo);
    f->entangled |= at >= f->lo && at < f->hi;
    while (lo + 1 < hi) {
        u32 middle = (lo + hi) / 2;
        if (r->functions.item[middle].lo <= at)
            lo = middle;
        else
            hi = middle;
    }
    struct function *other = &r->functions.item[lo];
    if (at < other->lo || at >= other->hi)
        return;
    other->entangled = f->entangled = true;
}

static void find_entangled(struct rewrite *r, struct function *f)
{
    for (u32 i = f->first; i < f->end; i++) {
        const struct place *p = &r->places.item[i];
        struct insn in;
        if (!flow_has_target(p->flow) && p->flow != FLOW_CALL)
            continue;
        place_decode(r, p, &in);
        u64 target = place_target(r, p, &in);
        if (in_text(r, target) && place_at(r, target) == NOWHERE)
            entangle(r, f, target);
    }
}

static bool drop_entangled(struct rewrite *r)
{
    u32 out = 0, places = 0;
    for (u32 i = 0; i < r->functions.n; i++)
        find_entangled(r, &r->functions.item[i]);
    for (u32 i = 0; i < r->functions.n; i++) {
        struct function f = r->functions.item[i];
        u32 n = f.end - f.first;
        if (f.entangled) {
            r->counts.entangled++;
            if (!leave_alone(r, &f, f.hi, 1, COVERAGE_entangled))
                return false;
            continue;
        }
        __builtin_memmove(&r->places.item[places], &r->places.item[f.first], n * sizeof *r->places.item);
        f.first = places;
        f.end = places += n;
        r->functions.item[out++] = f;
    }
    r->functions.n = out;
    r->places.n = places;
    return true;
}

bool rewrite_scan(struct rewrite *r)
{
    u64 bytes = ((u64)text_size(r) / 32 + 1) * sizeof *r->starts;
    r->starts = sys_map(bytes);
    r->ranks = sys_map(bytes);
    if (!r->starts || !r->ranks)
        return false;
    u32 out = 0;
    for (u32 i = 0; i < r->functions.n; i++) {
        struct function *f = &r->functions.item[i];
        if (!LIST_HOLD(&r->places, r->places.n + (u64)(f->hi - f->lo)))
            return false;
        enum coverage_reason why = decode_function(r, f);
        if (why == COVERAGE_REASON_COUNT)
            r->functions.item[out++] = *f;
        else if (leave_alone(r, f, f->hi, 1, why))
            r->counts.undecoded++;
        else
            return false;
    }
    r->functions.n = out;
    index_places(r);
    if (!drop_entangled(r))
        return false;
    index_places(r);
    r->counts.instructions = r->places.n;
    return true;
}

void rewrite_free(struct rewrite *r)
{
    u64 bytes = ((u64)text_size(r) / 32 + 1) * sizeof *r->starts;
    sys_unmap(r->starts, bytes);
    sys_unmap(r->ranks, bytes);
    r->starts = r->ranks = NULL;
    sys_unmap(r->patched, text_size(r));
    r->patched = NULL;
    LIST_FREE(&r->functions);
    LIST_FREE(&r->places);
    LIST_FREE(&r->checks);
    LIST_FREE(&r->left);
    LIST_FREE(&r->stubs);
    LIST_FREE(&r->pushed);
}
