/* Where execution may come into a function from outside of its copy. Called after scanning. Takes no lock, allocates
 * nothing.
 *
 *     its beginning; what stands after a call; landing pads of exceptions; targets of jump tables; whatever else has its
 *     address taken: by lea, by relocations, by an immediate; endbr64
 *
 * One that is missed costs time, not correctness: original code runs on, or a signal leads to the copy
 * (rewrite_patch.c). One too many costs a jump. */
#include "rewrite.h"

#include <elf.h>

#include "unwind/cfi.h"

#define TABLE_MOST 4096u

static bool mark(struct rewrite *r, u64 addr)
{
    u32 i = place_at(r, addr);
    if (i == NOWHERE)
        return false;
    r->places.item[i].marks |= PLACE_ENTRY | PLACE_LEADER;
    return true;
}

/* ---- landing pads ---- */

/* The call site table of the language's data (Itanium C++ ABI, exception handling, 7). */
static void landing_pads(struct rewrite *r, const struct function *f)
{
    struct cfi_reader d;
    struct cfi_memory m = {0, 0};
    for (u32 i = 0; i < r->image.nparts; i++)
        if (f->lsda >= r->image.part[i].lo && f->lsda < r->image.part[i].hi)
            m = (struct cfi_memory){r->image.part[i].lo, r->image.part[i].hi};
    if (!f->lsda || !m.hi)
        return;
    cfi_reader_at(&d, &m, f->lsda, m.hi);
    u32 encoding = (u32)cfi_fixed(&d, 1);
    u64 start = encoding == ENC_OMIT ? r->image.text_lo + f->lo : cfi_encoded(&d, encoding, 0);
    if ((u32)cfi_fixed(&d, 1) != ENC_OMIT)
        cfi_uleb(&d);
    encoding = (u32)cfi_fixed(&d, 1);
    u64 length = cfi_uleb(&d), end = d.at + length;
    while (!d.bad && d.at < end) {
        cfi_encoded(&d, encoding, 0);
        cfi_encoded(&d, encoding, 0);
        u64 pad = cfi_encoded(&d, encoding, 0);
        cfi_uleb(&d);
        if (!d.bad && pad && mark(r, start + pad))
            r->counts.pads++;
    }
}

/* ---- tables ---- */

typedef u64 any_u64 __attribute__((aligned(1), may_alias));
typedef int32_t any_i32 __attribute__((aligned(1), may_alias));

static u64 read_8(u64 addr)
{
    return *(const any_u64 *)addr;
}

static u64 read_relative(u64 addr, u64 base)
{
    return base + (u64)(int64_t) * (const any_i32 *)addr;
}

static u64 table_target(u64 table, u32 i, u32 width)
{
    return width == 8 ? read_8(table + 8ULL * i) : read_relative(table + 4ULL * i, table);
}

/* Entries from `table` on, as long as they lead to instructions: the first two must lead into the function (or, when
 * `f` is NULL, anywhere). */
static bool table(struct rewrite *r, const struct function *f, u64 at, u32 width)
{
    u32 n = 0;
    u64 *known = &r->tables[(at * 0x9e3779b97f4a7c15ULL) >> 56];
    if (at % width)
        return false;
    if (*known == (at | (width == 8)))
        return true;
    for (; n < TABLE_MOST && image_constant(&r->image, at + (u64)n * width, width); n++) {
        u64 to = table_target(at, n, width);
        if (place_at(r, to) == NOWHERE)
            break;
        u32 offset = (u32)(to - r->image.text_lo);
        if (f && n < 2 && (offset < f->lo || offset >= f->hi))
            break;
    }
    if (n < (f ? 2u : 1u))
        return false;
    for (u32 i = 0; i < n; i++)
        mark(r, table_target(at, i, width));
    *known = at | (width == 8);
    r->counts.tables++;
    r->counts.table_entries += n;
    return true;
}

/* ---- instructions ---- */

/* A constant that is the address of an instruction: code that is not position independent. */
static void immediate(struct rewrite *r, const struct place *p, const struct insn *in)
{
    if (r->image.bias || in->imm_size != 4 || in->flow != FLOW_NEXT)
        return;
    u32 v;
    __builtin_memcpy(&v, text_at(r, p->at) + in->imm_at, sizeof v);
    mark(r, v);
}

static bool is_endbr(const u8 *code, u32 length)
{
    return length == 4 && code[0] == 0xf3 && code[1] == 0x0f && code[2] == 0x1e && code[3] == 0xfa;
}

static void addresses(struct rewrite *r, const struct function *f, const struct place *p, const struct insn *in)
{
    if (in->rip && in->memory == MEM_NONE && in->flow == FLOW_NEXT) {
        u64 to = operand_address(r, p, in);
        if (in_text(r, to))
            mark(r, to);
        else if (!table(r, f, to, 4))
            table(r, f, to, 8);
    } else if (in->has_operand && !in->rip && in->base == REG_NONE && in->index != REG_NONE && in->shift == 3 &&
               in->disp > 0 && (in->flow == FLOW_JUMP_INDIRECT || in->size == 8)) {
        table(r, in->flow == FLOW_JUMP_INDIRECT ? NULL : f, (u64)in->disp, 8);
    }
    immediate(r, p, in);
}

static void instruction(struct rewrite *r, const struct function *f, u32 i)
{
    struct place *p = &r->places.item[i];
    struct insn in;
    place_decode(r, p, &in);
    if (flow_has_target(in.flow) || in.flow == FLOW_CALL) {
        p->target = place_at(r, place_target(r, p, &in));
        if (p->target != NOWHERE)
            r->places.item[p->target].marks |= in.flow == FLOW_CALL ? PLACE_ENTRY | PLACE_LEADER : PLACE_LEADER;
    }
    if (in.flow == FLOW_CALL || in.flow == FLOW_CALL_INDIRECT) {
        p->marks |= PLACE_IN_PLACE;
        mark(r, place_address(r, p) + p->length);
    } else if (in.flow != FLOW_NEXT && i + 1 < r->places.n) {
        p[1].marks |= PLACE_LEADER;
    }
    if (is_endbr(text_at(r, p->at), p->length))
        p->marks |= PLACE_ENTRY | PLACE_LEADER;
    addresses(r, f, p, &in);
}

/* ---- relocations ---- */

/* The loader adds the bias to addresses in its structure for some modules, not for others (vDSO). */
static u64 loaded(const struct rewrite *r, u64 addr)
{
    return addr < r->image.bias ? addr + r->image.bias : addr;
}

static void relative_relocations(struct rewrite *r, u64 at, u64 bytes)
{
    if (!image_holds(&r->image, at, bytes))
        return;
    for (u64 end = at + bytes; at + sizeof(Elf64_Rela) <= end; at += sizeof(Elf64_Rela)) {
        const Elf64_Rela *rela = (const Elf64_Rela *)at;
        if (ELF64_R_TYPE(rela->r_info) == R_X86_64_RELATIVE)
            mark(r, r->image.bias + (u64)rela->r_addend);
    }
}

/* Packed ones: an address, then bitmaps of the 63 words that follow. The words have been relocated. */
static void packed_relocations(struct rewrite *r, u64 at, u64 bytes)
{
    u64 where = 0;
    if (!image_holds(&r->image, at, bytes))
        return;
    for (u64 end = at + bytes; at + 8 <= end; at += 8) {
        u64 entry = read_8(at);
        if (!(entry & 1)) {
            where = r->image.bias + entry;
            if (image_holds(&r->image, where, 8))
                mark(r, read_8(where));
            where += 8;
            continue;
        }
        for (u32 i = 0; i < 63; i++)
            if ((entry >> (i + 1) & 1) && image_holds(&r->image, where + 8ULL * i, 8))
                mark(r, read_8(where + 8ULL * i));
        where += 63 * 8;
    }
}

#define DYNAMIC_RELR 36 /* not in older elf.h */
#define DYNAMIC_RELRSZ 35
static void relocations(struct rewrite *r)
{
    u64 rela = 0, rela_bytes = 0, relr = 0, relr_bytes = 0;
    for (u64 at = r->image.dynamic; at && image_holds(&r->image, at, sizeof(Elf64_Dyn)); at += sizeof(Elf64_Dyn)) {
        const Elf64_Dyn d = *(const Elf64_Dyn *)at;
        if (d.d_tag == DT_NULL)
            break;
        if (d.d_tag == DT_RELA)
            rela = loaded(r, d.d_un.d_ptr);
        else if (d.d_tag == DT_RELASZ)
            rela_bytes = d.d_un.d_val;
        else if (d.d_tag == DYNAMIC_RELR)
            relr = loaded(r, d.d_un.d_ptr);
        else if (d.d_tag == DYNAMIC_RELRSZ)
            relr_bytes = d.d_un.d_val;
    }
    relative_relocations(r, rela, rela_bytes);
    packed_relocations(r, relr, relr_bytes);
}

bool rewrite_entries(struct rewrite *r)
{
    for (u32 i = 0; i < r->functions.n; i++) {
        struct function *f = &r->functions.item[i];
        mark(r, r->image.text_lo + f->lo);
        landing_pads(r, f);
        for (u32 k = f->first; k < f->end; k++)
            instruction(r, f, k);
    }
    relocations(r);
    return true;
}
