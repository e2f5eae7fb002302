/* Decodes machine code by the table that preload/opcodes makes. Called while a module is prepared, and to tell what a copy
 * of an instruction does. Pure; takes no lock, allocates nothing.
 *
 *     prefixes  [REX | VEX | EVEX]  escapes  opcode  [ModRM [SIB] [displacement]]  [immediates]
 *
 * An instruction that the processor refuses may be taken for one (its length is right): its copy will be refused, too. */
#include "access/rewrite_insn.h"

#include <string.h>

struct parts {
    const u8 *code, *end, *p;
    struct insn *in;
    bool size_66, lock, rex_seen;
    u8 rex; /* W R X B, also of VEX and EVEX, not inverted */
    u8 map, pp, length, vvvv;
    bool broadcast, masked, evex;
    u8 opcode, modrm;
};

/* ---- before the opcode ---- */

static bool prefix(struct parts *d, u8 b)
{
    switch (b) {
    case 0x66:
        d->size_66 = true;
        return true;
    case 0x67:
        d->in->address_32 = true;
        return true;
    case 0xf0:
        d->lock = true;
        return true;
    case 0xf2:
    case 0xf3:
        d->in->rep = b;
        return true;
    case 0x64:
    case 0x65:
        d->in->segment = b;
        return true;
    case 0x26:
    case 0x2e:
    case 0x36:
    case 0x3e:
        return true;
    default:
        return false;
    }
}

/* 26 2E 36 3E, 64 to 67, F0 F2 F3 */
static bool may_be_prefix(u8 b)
{
    return (b & 0xfc) == 0x64 || (b & 0xe7) == 0x26 || (b & 0xfc) == 0xf0;
}

static bool take(struct parts *d, u8 *b)
{
    if (d->p == d->end)
        return false;
    *b = *d->p++;
    return true;
}

/* C5 RvvvvLpp, C4 RXBmmmmm WvvvvLpp, 62 RXBR0mmm Wvvvv1pp zLLbVaaa */
static bool vector_prefix(struct parts *d, u8 first)
{
    u8 a = 0, b = 0, c = 0;
    if (d->size_66 || d->lock || d->rex_seen || d->in->rep || !take(d, &a))
        return false;
    if (first == 0xc5) {
        b = a & 0x7f;
        a = (a & 0x80) | 0x61;
    } else if (!take(d, &b)) {
        return false;
    }
    d->rex = (u8)((b >> 7) << 3 | (~a >> 7 & 1) << 2 | (~a >> 6 & 1) << 1 | (~a >> 5 & 1));
    d->vvvv = ~b >> 3 & 15;
    d->pp = b & 3;
    if (first != 0x62) {
        d->length = b >> 2 & 1;
        d->map = a & 31;
        if (d->map < 1 || d->map > 3)
            return false;
        d->map += MAP_VEX;
        return true;
    }
    if ((a & 8) || !(b & 4) || !take(d, &c))
        return false;
    d->evex = true;
    d->length = c >> 5 & 3;
    d->broadcast = c >> 4 & 1;
    d->masked = (c & 7) != 0;
    d->map = a & 7;
    if (d->map < 1 || d->map > 6)
        return false;
    d->map += MAP_EVEX;
    return true;
}

/* 0F, 0F 38, 0F 3A */
static bool escapes(struct parts *d)
{
    if (d->opcode != 0x0f)
        return true;
    if (!take(d, &d->opcode))
        return false;
    d->map = 1;
    if (d->opcode != 0x38 && d->opcode != 0x3a)
        return true;
    d->map = d->opcode == 0x38 ? 2 : 3;
    return take(d, &d->opcode);
}

static bool up_to_opcode(struct parts *d)
{
    u8 b;
    do {
        if (!take(d, &b))
            return false;
    } while (may_be_prefix(b) && prefix(d, b));
    if ((b & 0xf0) == 0x40) {
        d->rex_seen = true;
        d->rex = b & 15;
        if (!take(d, &b))
            return false;
        if ((b & 0xf0) == 0x40 || prefix(d, b)) /* REX not right before the opcode: not what compilers make */
            return false;
    }
    if (b == 0xc4 || b == 0xc5 || b == 0x62)
        return vector_prefix(d, b) && take(d, &d->opcode);
    d->opcode = b;
    return escapes(d);
}

/* ---- the table ---- */

static bool needs_modrm(u16 dims)
{
    return dims & (1u << DIM_FORM | 1u << DIM_REG | 1u << DIM_RM);
}

/* Most opcodes have one dimension or none. */
static u32 case_of(const struct parts *d, u32 dims)
{
    bool vector = d->map > 3;
    u32 modrm = d->p < d->end ? *d->p : 0, i = 0, step = 1;
    for (; dims; dims &= dims - 1) {
        u32 at, n = 2;
        switch (__builtin_ctz(dims)) {
        case DIM_FORM:
            at = modrm >= 0xc0;
            break;
        case DIM_REG:
            at = modrm >> 3 & 7, n = 8;
            break;
        case DIM_RM:
            at = modrm & 7, n = 8;
            break;
        case DIM_PREFIX:
            at = vector ? d->pp : d->size_66 + (d->in->rep == 0xf3 ? 2u : d->in->rep ? 4u : 0);
            n = vector ? 4 : 6;
            break;
        case DIM_WIDE:
            at = d->rex >> 3;
            break;
        case DIM_LENGTH:
            at = d->length, n = d->evex ? 4 : 2;
            break;
        case DIM_BROADCAST:
            at = d->broadcast;
            break;
        default:
            at = d->masked;
        }
        i += at * step;
        step *= n;
    }
    return i;
}

static const struct opcode_facts *facts_of(const struct parts *d)
{
    u8 opcode = d->opcode;
    if (opcode == 0x90 && d->map == 0 && (d->rex & 1)) {
        if (d->in->rep)
            return NULL;
        opcode = 0x91; /* with a further register it is an exchange, not nop */
    }
    const struct opcode_row *row = &opcode_rows[d->map][opcode];
    if (needs_modrm(row->dims) && d->p == d->end)
        return NULL;
    return &opcode_facts[opcode_cases[row->first + case_of(d, row->dims)]];
}

/* ---- operands ---- */

static int64_t take_signed(struct parts *d, u32 size)
{
    int8_t v1 = 0;
    int16_t v2 = 0;
    int32_t v4 = 0;
    int64_t v = 0;
    switch (size) {
    case 1:
        memcpy(&v1, d->p, 1);
        v = v1;
        break;
    case 2:
        memcpy(&v2, d->p, 2);
        v = v2;
        break;
    case 4:
        memcpy(&v4, d->p, 4);
        v = v4;
        break;
    case 8:
        memcpy(&v, d->p, 8);
        break;
    default:
        break;
    }
    d->p += size;
    return v;
}

static bool sib(struct parts *d, u8 mod)
{
    struct insn *in = d->in;
    u8 b;
    if (!take(d, &b))
        return false;
    u8 index = (u8)((b >> 3 & 7) | (d->rex & 2) << 2);
    in->index = index == RSP || in->memory == MEM_VECTOR ? REG_NONE : index;
    in->shift = b >> 6;
    if ((b & 7) == 5 && mod == 0)
        in->disp_size = 4;
    else
        in->base = (u8)((b & 7) | (d->rex & 1) << 3);
    return true;
}

static bool memory_operand(struct parts *d, u8 disp8_shift)
{
    struct insn *in = d->in;
    u8 mod = d->modrm >> 6, rm = d->modrm & 7;
    in->has_operand = true;
    in->disp_size = mod == 1 ? 1 : mod == 2 ? 4 : 0;
    if (rm == 4) {
        if (!sib(d, mod))
            return false;
    } else if (mod == 0 && rm == 5) {
        in->rip = true;
        in->disp_size = 4;
        if (in->address_32)
            return false;
    } else {
        in->base = (u8)(rm | (d->rex & 1) << 3);
    }
    if (d->end - d->p < in->disp_size)
        return false;
    in->disp_at = (u8)(d->p - d->code);
    in->disp = take_signed(d, in->disp_size);
    if (in->disp_size == 1)
        in->disp *= 1 << disp8_shift;
    return true;
}

static void use(struct insn *in, u8 how, u32 r, bool rex_seen)
{
    if (!how)
        return;
    if ((how & USE_BYTE) && !rex_seen && r >= 4 && r < 8)
        r -= 4;
    if (how & USE_READ)
        in->reads |= (u16)(1u << r);
    if (how & USE_WRITE)
        in->writes |= (u16)(1u << r);
    if (how & USE_WHOLE)
        in->wholes |= (u16)(1u << r);
}

static bool modrm_operands(struct parts *d, const struct opcode_facts *f)
{
    struct insn *in = d->in;
    if (!take(d, &d->modrm))
        return false;
    u32 reg = (d->modrm >> 3 & 7) | (d->rex & 4u) << 1, rm = (d->modrm & 7) | (d->rex & 1u) << 3;
    use(in, f->reg, reg, d->rex_seen);
    if (d->modrm < 0xc0) {
        if (!memory_operand(d, f->disp8_shift))
            return false;
        in->reads |= (u16)(REG_BIT(in->base) | REG_BIT(in->index));
        return true;
    }
    if ((f->what & OP_SAME_ZERO) && reg == rm)
        in->reads &= (u16) ~(1u << reg);
    else
        use(in, f->rm, rm, d->rex_seen);
    if ((f->what & OP_SAME_ZERO) && reg == rm)
        in->writes |= (u16)(1u << reg), in->wholes |= (u16)(1u << reg);
    return true;
}

static bool immediates(struct parts *d, const struct opcode_facts *f)
{
    struct insn *in = d->in;
    if (f->memory == MEM_ABSOLUTE) {
        u32 size = in->address_32 ? 4 : 8;
        if ((u64)(d->end - d->p) < size)
            return false;
        in->disp = take_signed(d, size);
        if (in->address_32)
            in->disp &= 0xffffffff;
    }
    if (d->end - d->p < f->immediate)
        return false;
    in->imm_at = (u8)(d->p - d->code);
    in->imm_size = f->immediate;
    if (f->flow == FLOW_JUMP || f->flow == FLOW_BRANCH || f->flow == FLOW_LOOP || f->flow == FLOW_CALL)
        in->target = take_signed(d, f->immediate);
    else
        d->p += f->immediate;
    return true;
}

/* What depends on more than the table's cases. */
static void refine(struct parts *d, const struct opcode_facts *f)
{
    struct insn *in = d->in;
    u32 most = d->rex & 8 ? 63 : 31;
    if ((f->what & OP_COUNT_CL) || ((f->what & OP_COUNT_IMM) && !(d->code[in->length - 1] & most)))
        in->flags_written = 0;
    if (f->what & OP_ALL_READ) {
        in->reads = REGS_ALL;
        in->flags_read = FLAGS_ALL;
    }
    if (f->what & OP_STACK) {
        in->reads |= 1u << RSP;
        in->writes |= 1u << RSP;
    }
    in->lock = d->lock || (f->what & OP_LOCKED);
    if (!(f->what & OP_REPEATS))
        in->rep = 0;
}

bool insn_decode(const u8 *code, u64 n, struct insn *in)
{
    struct parts d = {.code = code, .p = code, .end = code + (n < INSN_LONGEST ? n : INSN_LONGEST), .in = in};
    memset(in, 0, sizeof *in);
    in->base = in->index = REG_NONE;
    if (!up_to_opcode(&d))
        return false;
    in->opcode_at = (u8)(d.p - code - 1);
    const struct opcode_facts *f = facts_of(&d);
    if (!f || !(f->what & OP_VALID))
        return false;
    in->what = f->what;
    in->flow = f->flow;
    in->memory = f->memory;
    in->size = f->size;
    in->element = f->element;
    in->bits = f->bits;
    in->reads = f->reads;
    in->writes = f->writes;
    in->wholes = f->wholes;
    in->flags_read = f->flags_read;
    in->flags_written = f->flags_written;
    use(in, f->opcode_reg, (d.opcode & 7) | (d.rex & 1u) << 3, d.rex_seen);
    use(in, f->vvvv, d.vvvv, true);
    if (((f->what & OP_MODRM) && !modrm_operands(&d, f)) || !immediates(&d, f))
        return false;
    in->length = (u8)(d.p - code);
    refine(&d, f);
    return true;
}
