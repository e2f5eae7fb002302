/* The reader of .eh_frame_hdr and .eh_frame. Called by recipe.c and full.c; fuzzed by tests/fuzz/fuzz_cfi.c.
 * Takes no lock, allocates nothing. */
#include "cfi.h"

#include <errno.h>

#define REMEMBER_DEPTH 4
#define MAX_SCAN 4000000u /* entries looked at when there is no search table */

/* ---- entries ---- */

struct common {                 /* CIE */
    u64 code_align, start, end; /* initial instructions */
    int64_t data_align;
    u32 pointers; /* encoding of addresses in its FDEs */
    u32 lsda;     /* and of the language's data, ENC_OMIT: none */
    bool augmented, signal;
};

/* Starts reading an entry: its end goes to r->end. Returns the id field's address, 0 at the end of the section or when
 * bad. */
static u64 entry_begin(struct cfi_reader *r, const struct cfi_memory *m, u64 at)
{
    cfi_reader_at(r, m, at, m->hi);
    u64 length = cfi_fixed(r, 4);
    if (length == 0xffffffff)
        length = cfi_fixed(r, 8);
    if (r->bad || !length || length > r->end - r->at) {
        r->bad |= length != 0;
        return 0;
    }
    r->end = r->at + length;
    return r->at;
}

/* The letters after 'z' say what the augmentation data holds, in their order. */
static int augmentation(struct cfi_reader *r, const u8 *letters, struct common *c)
{
    if (!letters[0])
        return 0;
    if (letters[0] != 'z')
        return -EPROTO;
    c->augmented = true;
    u64 length = cfi_uleb(r);
    if (r->bad || length > r->end - r->at)
        return -EPROTO;
    u64 after = r->at + length;
    for (const u8 *l = letters + 1; *l && !r->bad; l++) {
        if (*l == 'R') {
            c->pointers = (u32)cfi_fixed(r, 1);
        } else if (*l == 'L') {
            c->lsda = (u32)cfi_fixed(r, 1);
        } else if (*l == 'P') {
            u32 e = (u32)cfi_fixed(r, 1);
            if (e == ENC_ALIGNED)
                return -EPROTO;
            cfi_encoded(r, e & 0x0f, 0); /* its value does not matter, its size does */
        } else if (*l == 'S') {
            c->signal = true;
        } else if (*l != 'B') {
            break; /* unknown: what follows cannot be told apart, and is not needed but for R */
        }
    }
    if (r->bad || r->at > after)
        return -EPROTO;
    r->at = after;
    return 0;
}

static int read_common(const struct cfi_memory *m, u64 at, struct common *c)
{
    struct cfi_reader r;
    u8 letters[16];
    u32 n = 0;
    *c = (struct common){.lsda = ENC_OMIT};
    if (!entry_begin(&r, m, at) || cfi_fixed(&r, 4) != 0)
        return -EPROTO;
    u32 version = (u32)cfi_fixed(&r, 1);
    if (version != 1 && version != 3 && version != 4)
        return -EPROTO;
    do {
        letters[n] = (u8)cfi_fixed(&r, 1);
    } while (letters[n] && ++n < sizeof letters);
    if (n == sizeof letters)
        return -EPROTO;
    if (version == 4 && cfi_fixed(&r, 2) != 8) /* 8-byte addresses, no segments */
        return -EPROTO;
    c->code_align = cfi_uleb(&r);
    c->data_align = cfi_sleb(&r);
    u64 ra = version == 1 ? cfi_fixed(&r, 1) : cfi_uleb(&r);
    if (r.bad || ra != REG_RA || augmentation(&r, letters, c))
        return -EPROTO;
    c->start = r.at;
    c->end = r.end;
    return 0;
}

/* ---- instructions ---- */

struct interpreter {
    struct cfi_reader r;
    const struct common *common;
    struct cfi_row *row;
    struct cfi_rule initial[CFI_REGS];
    struct {
        struct cfi_rule cfa, reg[CFI_REGS];
    } remembered[REMEMBER_DEPTH];
    u32 nremembered;
    u64 location, target;
};

/* Rules of registers that are not followed (vector ones) go nowhere. */
static void set(struct interpreter *in, u64 reg, u32 kind, int64_t value, u32 length)
{
    if (reg < CFI_REGS)
        in->row->reg[reg] = (struct cfi_rule){value, length, kind};
}

static int64_t factored(struct interpreter *in, bool is_signed)
{
    u64 v = is_signed ? (u64)cfi_sleb(&in->r) : cfi_uleb(&in->r);
    return (int64_t)(v * (u64)in->common->data_align);
}

static void expression(struct interpreter *in, u64 reg, u32 kind)
{
    u64 length = cfi_uleb(&in->r), at = in->r.at;
    cfi_skip(&in->r, length);
    if (length > 0xffff)
        in->r.bad = true;
    set(in, reg, kind, (int64_t)at, (u32)length);
}

static void restore(struct interpreter *in, u64 reg)
{
    if (reg < CFI_REGS)
        in->row->reg[reg] = in->initial[reg];
}

/* The rule of the CFA. */
static void cfa_opcode(struct interpreter *in, u32 op)
{
    struct cfi_rule *cfa = &in->row->cfa;
    u64 reg = op == 0x0c || op == 0x12 || op == 0x0d ? cfi_uleb(&in->r) : cfa->length;
    if (op == 0x0f) { /* def_cfa_expression */
        u64 length = cfi_uleb(&in->r);
        *cfa = (struct cfi_rule){(int64_t)in->r.at, (u32)length, CFI_IS_EXPR};
        cfi_skip(&in->r, length);
        in->r.bad |= length > 0xffff;
        return;
    }
    int64_t offset = op == 0x0d                 ? cfa->value
                     : op == 0x0c || op == 0x0e ? (int64_t)cfi_uleb(&in->r)
                                                : factored(in, true);
    if (reg >= CFI_REGS || ((op == 0x0d || op == 0x0e || op == 0x13) && cfa->kind != CFI_REGISTER))
        in->r.bad = true;
    *cfa = (struct cfi_rule){offset, (u32)reg, CFI_REGISTER};
}

static void remember(struct interpreter *in)
{
    if (in->nremembered >= REMEMBER_DEPTH) {
        in->r.bad = true;
        return;
    }
    in->remembered[in->nremembered].cfa = in->row->cfa;
    __builtin_memcpy(in->remembered[in->nremembered++].reg, in->row->reg, sizeof in->row->reg);
}

static void recall(struct interpreter *in)
{
    if (!in->nremembered) {
        in->r.bad = true;
        return;
    }
    in->row->cfa = in->remembered[--in->nremembered].cfa;
    __builtin_memcpy(in->row->reg, in->remembered[in->nremembered].reg, sizeof in->row->reg);
}

static void register_opcode(struct interpreter *in, u32 op)
{
    u64 reg = cfi_uleb(&in->r);
    switch (op) {
    case 0x05: /* offset_extended */
    case 0x11: /* offset_extended_sf */
        set(in, reg, CFI_AT_CFA, factored(in, op == 0x11), 0);
        break;
    case 0x2f: /* GNU_negative_offset_extended */
        set(in, reg, CFI_AT_CFA, -factored(in, false), 0);
        break;
    case 0x14: /* val_offset */
    case 0x15: /* val_offset_sf */
        set(in, reg, CFI_IS_CFA, factored(in, op == 0x15), 0);
        break;
    case 0x06:
        restore(in, reg);
        break;
    case 0x07:
        set(in, reg, CFI_UNDEFINED, 0, 0);
        break;
    case 0x08:
        set(in, reg, CFI_SAME, 0, 0);
        break;
    case 0x09: {
        u64 other = cfi_uleb(&in->r);
        in->r.bad |= other >= CFI_REGS;
        set(in, reg, CFI_REGISTER, (int64_t)other, 0);
        break;
    }
    default: /* 0x10 expression, 0x16 val_expression */
        expression(in, reg, op == 0x10 ? CFI_AT_EXPR : CFI_IS_EXPR);
    }
}

static void advance(struct interpreter *in, u64 delta)
{
    in->location += delta * in->common->code_align;
}

static void opcode(struct interpreter *in, u32 op)
{
    switch (op) {
    case 0x00: /* nop */
        break;
    case 0x01: /* set_loc */
        in->location = cfi_encoded(&in->r, in->common->pointers, 0);
        break;
    case 0x02:
    case 0x03:
    case 0x04:
        advance(in, cfi_fixed(&in->r, 1u << (op - 2)));
        break;
    case 0x05:
    case 0x06:
    case 0x07:
    case 0x08:
    case 0x09:
    case 0x10:
    case 0x11:
    case 0x14:
    case 0x15:
    case 0x16:
    case 0x2f:
        register_opcode(in, op);
        break;
    case 0x0a:
        remember(in);
        break;
    case 0x0b:
        recall(in);
        break;
    case 0x0c:
    case 0x0d:
    case 0x0e:
    case 0x0f:
    case 0x12:
    case 0x13:
        cfa_opcode(in, op);
        break;
    case 0x2e: /* GNU_args_size */
        cfi_uleb(&in->r);
        break;
    default:
        in->r.bad = true;
    }
}

/* Runs until the row for target is complete. */
static int interpret(struct interpreter *in, const struct cfi_memory *m, u64 start, u64 end)
{
    cfi_reader_at(&in->r, m, start, end);
    while (!in->r.bad && in->r.at < in->r.end) {
        u32 op = (u32)cfi_fixed(&in->r, 1), low = op & 0x3f;
        switch (op >> 6) {
        case 1:
            advance(in, low);
            break;
        case 2:
            set(in, low, CFI_AT_CFA, factored(in, false), 0);
            break;
        case 3:
            restore(in, low);
            break;
        default:
            opcode(in, op);
        }
        if (in->location > in->target)
            break;
    }
    return in->r.bad ? -EPROTO : 0;
}

/* Reads the entry at `at` up to its instructions. */
static int read_entry(struct cfi_reader *r, const struct cfi_memory *m, u64 at, struct common *common,
                      struct cfi_function *f)
{
    u64 id_at = entry_begin(r, m, at), back = cfi_fixed(r, 4);
    if (!id_at || !back || back > id_at || read_common(m, id_at - back, common))
        return -EPROTO;
    f->lo = cfi_encoded(r, common->pointers, 0);
    f->hi = f->lo + cfi_encoded(r, common->pointers & 0x0f, 0);
    f->lsda = 0;
    if (common->augmented) {
        u64 length = cfi_uleb(r), data = r->at;
        if (length && common->lsda != ENC_OMIT) {
            f->lsda = cfi_encoded(r, common->lsda, 0);
            if (f->lsda == data) /* relative, and nothing */
                f->lsda = 0;
            if (r->bad || r->at > data + length)
                return -EPROTO;
            r->at = data;
        }
        cfi_skip(r, length);
    }
    return r->bad || f->hi < f->lo ? -EPROTO : 0;
}

int cfi_entry(const struct cfi_memory *m, u64 at, u64 pc, struct cfi_row *row)
{
    struct interpreter in;
    struct common common;
    struct cfi_reader r;
    struct cfi_function f;
    if (read_entry(&r, m, at, &common, &f))
        return -EPROTO;
    if (pc < f.lo || pc >= f.hi)
        return -ENOENT;
    __builtin_memset(row, 0, sizeof *row);
    row->signal = common.signal;
    in.common = &common;
    in.row = row;
    in.nremembered = 0;
    in.location = f.lo;
    in.target = ~0ULL;
    __builtin_memset(in.initial, 0, sizeof in.initial);
    int err = interpret(&in, m, common.start, common.end);
    if (err)
        return err;
    __builtin_memcpy(in.initial, row->reg, sizeof in.initial);
    in.location = f.lo;
    in.target = pc;
    err = interpret(&in, m, r.at, r.end);
    return err ? err : row->cfa.kind ? 0 : -EPROTO;
}

/* ---- search ---- */

/* The entry for the last function that begins at or below pc, in the table of (start, entry) pairs relative to hdr. */
static u64 search_table(const struct cfi_memory *m, u64 table, u64 count, u64 hdr, u64 pc)
{
    struct cfi_reader r;
    u64 lo = 0, hi = count;
    while (lo < hi) {
        u64 middle = (lo + hi) / 2;
        cfi_reader_at(&r, m, table + middle * 8, m->hi);
        u64 start = hdr + (u64)cfi_fixed_signed(&r, 4);
        if (r.bad)
            return 0;
        if (start <= pc)
            lo = middle + 1;
        else
            hi = middle;
    }
    if (!lo)
        return 0;
    cfi_reader_at(&r, m, table + (lo - 1) * 8 + 4, m->hi);
    u64 entry = hdr + (u64)cfi_fixed_signed(&r, 4);
    return r.bad ? 0 : entry;
}

/* A header without a usable table: entry by entry. */
static int scan(const struct cfi_memory *m, u64 at, u64 pc, struct cfi_row *row)
{
    struct cfi_reader r;
    for (u32 i = 0; i < MAX_SCAN && entry_begin(&r, m, at); i++) {
        u64 next = r.end;
        if (cfi_fixed(&r, 4) != 0) {
            int err = cfi_entry(m, at, pc, row);
            if (err != -ENOENT)
                return err;
        }
        at = next;
    }
    return -ENOENT;
}

int cfi_find(const struct cfi_memory *m, u64 hdr, u64 pc, struct cfi_row *row)
{
    struct cfi_reader r;
    cfi_reader_at(&r, m, hdr, m->hi);
    u32 version = (u32)cfi_fixed(&r, 1), frame = (u32)cfi_fixed(&r, 1), counted = (u32)cfi_fixed(&r, 1),
        table = (u32)cfi_fixed(&r, 1);
    if (r.bad || version != 1 || frame == ENC_OMIT)
        return -EPROTO;
    u64 section = cfi_encoded(&r, frame, hdr);
    if (counted == ENC_OMIT || table != (ENC_DATAREL | ENC_SDATA4))
        return r.bad ? -EPROTO : scan(m, section, pc, row);
    u64 count = cfi_encoded(&r, counted, hdr);
    if (r.bad || count > (m->hi - r.at) / 8)
        return -EPROTO;
    u64 entry = search_table(m, r.at, count, hdr, pc);
    return entry ? cfi_entry(m, entry, pc, row) : -ENOENT;
}

int cfi_functions(const struct cfi_memory *m, u64 hdr, bool (*fn)(void *arg, const struct cfi_function *f), void *arg)
{
    struct cfi_reader r;
    cfi_reader_at(&r, m, hdr, m->hi);
    u32 version = (u32)cfi_fixed(&r, 1), frame = (u32)cfi_fixed(&r, 1);
    cfi_fixed(&r, 2);
    if (r.bad || version != 1 || frame == ENC_OMIT)
        return -EPROTO;
    u64 at = cfi_encoded(&r, frame, hdr);
    for (u32 i = 0; i < MAX_SCAN && entry_begin(&r, m, at); i++) {
        struct common common;
        struct cfi_function f;
        u64 next = r.end;
        if (cfi_fixed(&r, 4) != 0 && read_entry(&r, m, at, &common, &f) == 0 && !fn(arg, &f))
            return -ENOMEM;
        at = next;
    }
    return 0;
}
