/* Assembles one case of an opcode, decodes it with Zydis, and takes down what rewriting wants to know. */
#include "try.h"

#include <Zydis/Zydis.h>
#include <string.h>

#define DISP8 1 /* Zydis tells what a displacement of one unit means */

/* What decides nothing but must not collide: some instructions refuse the same register twice. */
struct fillers {
    u8 vvvv;  /* inverted, as encoded */
    u8 index; /* of the memory operand */
};

static u8 *put_legacy(u8 *p, const struct opcode_case *c)
{
    static const u8 escapes[4][3] = {{0}, {1, 0x0f}, {2, 0x0f, 0x38}, {2, 0x0f, 0x3a}};
    if (c->at[DIM_PREFIX] & 1)
        *p++ = 0x66;
    if (c->at[DIM_PREFIX] >> 1)
        *p++ = c->at[DIM_PREFIX] >> 1 == 1 ? 0xf3 : 0xf2;
    if (c->at[DIM_WIDE])
        *p++ = 0x48;
    memcpy(p, &escapes[c->map][1], escapes[c->map][0]);
    return p + escapes[c->map][0];
}

static u8 *put_vex(u8 *p, const struct opcode_case *c, const struct fillers *fill)
{
    u32 map = c->map - MAP_VEX;
    *p++ = 0xc4;
    *p++ = (u8)(0xe0 | map);
    *p++ = (u8)(c->at[DIM_WIDE] << 7 | (u32)fill->vvvv << 3 | c->at[DIM_LENGTH] << 2 | c->at[DIM_PREFIX]);
    return p;
}

static u8 *put_evex(u8 *p, const struct opcode_case *c, const struct fillers *fill)
{
    u32 map = c->map - MAP_EVEX;
    *p++ = 0x62;
    *p++ = (u8)(0xf0 | map);
    *p++ = (u8)(c->at[DIM_WIDE] << 7 | (u32)fill->vvvv << 3 | 4 | c->at[DIM_PREFIX]);
    *p++ = (u8)(c->at[DIM_LENGTH] << 5 | c->at[DIM_BROADCAST] << 4 | 8 | c->at[DIM_MASKED]);
    return p;
}

/* Returns the length up to the opcode. */
static u8 assemble(u8 code[32], const struct opcode_case *c, const struct fillers *fill)
{
    u8 *p = code, length;
    memset(code, 0, 32);
    if (c->map <= 3)
        p = put_legacy(p, c);
    else if (c->map <= MAP_VEX + 3)
        p = put_vex(p, c, fill);
    else
        p = put_evex(p, c, fill);
    *p++ = (u8)c->opcode;
    length = (u8)(p - code);
    if (c->at[DIM_FORM]) {
        *p++ = (u8)(0xc0 | c->at[DIM_REG] << 3 | c->at[DIM_RM]);
    } else {
        *p++ = (u8)(0x44 | c->at[DIM_REG] << 3);
        *p++ = (u8)(fill->index << 3 | 3); /* [rbx + index + DISP8] */
        *p++ = DISP8;
    }
    return length;
}

/* These bytes are prefixes, escapes, or begin an encoding of its own. */
static int is_opcode(const struct opcode_case *c)
{
    static const u8 not0[] = {0x0f, 0x26, 0x2e, 0x36, 0x3e, 0x62, 0x64, 0x65, 0x66, 0x67, 0xc4, 0xc5, 0xf0, 0xf2, 0xf3};
    if (c->map == 0)
        return !memchr(not0, (int)c->opcode, sizeof not0) && (c->opcode & 0xf0) != 0x40 &&
               !(c->opcode == 0x8f && c->at[DIM_REG]);
    if (c->map == 1)
        return c->opcode != 0x0f && c->opcode != 0x38 && c->opcode != 0x3a;
    return c->map != MAP_EVEX + 4;
}

/* ---- registers and flags ---- */

static int general(ZydisRegister r)
{
    ZydisRegister whole = ZydisRegisterGetLargestEnclosing(ZYDIS_MACHINE_MODE_LONG_64, r);
    return whole >= ZYDIS_REGISTER_RAX && whole <= ZYDIS_REGISTER_R15 ? (int)(whole - ZYDIS_REGISTER_RAX) : -1;
}

static u8 use_of(const ZydisDecodedOperand *o)
{
    u32 bits = ZydisRegisterGetWidth(ZYDIS_MACHINE_MODE_LONG_64, o->reg.value);
    u8 use = bits == 8 ? USE_BYTE : 0;
    if (o->actions & ZYDIS_OPERAND_ACTION_MASK_READ)
        use |= USE_READ;
    if (o->actions & ZYDIS_OPERAND_ACTION_MASK_WRITE)
        use |= USE_WRITE;
    if (o->actions & ZYDIS_OPERAND_ACTION_CONDWRITE)
        use |= USE_READ;
    else if ((use & USE_WRITE) && bits >= 32)
        use |= USE_WHOLE;
    return use;
}

static void take_register(struct opcode_facts *f, const ZydisDecodedOperand *o)
{
    int r = general(o->reg.value);
    if (r < 0)
        return;
    u8 use = use_of(o);
    switch (o->encoding) {
    case ZYDIS_OPERAND_ENCODING_MODRM_REG:
        f->reg |= use;
        break;
    case ZYDIS_OPERAND_ENCODING_MODRM_RM:
        f->rm |= use;
        break;
    case ZYDIS_OPERAND_ENCODING_OPCODE:
        f->opcode_reg |= use;
        break;
    case ZYDIS_OPERAND_ENCODING_NDSNDD:
        f->vvvv |= use;
        break;
    default:
        f->reads |= (u16)((use & USE_READ ? 1u : 0) << r);
        f->writes |= (u16)((use & USE_WRITE ? 1u : 0) << r);
        f->wholes |= (u16)((use & USE_WHOLE ? 1u : 0) << r);
    }
}

static u8 flags_of(u32 mask)
{
    return (u8)((mask & ZYDIS_CPUFLAG_CF ? FLAG_CF : 0) | (mask & ZYDIS_CPUFLAG_PF ? FLAG_PF : 0) |
                (mask & ZYDIS_CPUFLAG_AF ? FLAG_AF : 0) | (mask & ZYDIS_CPUFLAG_ZF ? FLAG_ZF : 0) |
                (mask & ZYDIS_CPUFLAG_SF ? FLAG_SF : 0) | (mask & ZYDIS_CPUFLAG_OF ? FLAG_OF : 0));
}

/* ---- memory ---- */

static int accesses_nothing(const ZydisDecodedInstruction *d)
{
    switch (d->meta.category) {
    case ZYDIS_CATEGORY_NOP:
    case ZYDIS_CATEGORY_WIDENOP:
    case ZYDIS_CATEGORY_PREFETCH:
    case ZYDIS_CATEGORY_PREFETCHWT1:
    case ZYDIS_CATEGORY_CLDEMOTE:
    case ZYDIS_CATEGORY_CLFLUSHOPT:
    case ZYDIS_CATEGORY_CLWB:
        return 1;
    default:
        return d->mnemonic == ZYDIS_MNEMONIC_CLFLUSH || d->mnemonic == ZYDIS_MNEMONIC_ENDBR64 ||
               d->mnemonic == ZYDIS_MNEMONIC_ENDBR32;
    }
}

static int chooses_elements(const ZydisDecodedInstruction *d, const struct opcode_case *c)
{
    switch (d->mnemonic) {
    case ZYDIS_MNEMONIC_VMASKMOVPS:
    case ZYDIS_MNEMONIC_VMASKMOVPD:
    case ZYDIS_MNEMONIC_VPMASKMOVD:
    case ZYDIS_MNEMONIC_VPMASKMOVQ:
        return 1;
    default:
        return c->at[DIM_MASKED] != 0;
    }
}

/* Its memory is read as a whole, whatever the mask: faults are not suppressed. */
static int reads_all(const ZydisDecodedInstruction *d)
{
    switch (d->meta.exception_class) {
    case ZYDIS_EXCEPTION_CLASS_E1NF:
    case ZYDIS_EXCEPTION_CLASS_E3NF:
    case ZYDIS_EXCEPTION_CLASS_E4NF:
    case ZYDIS_EXCEPTION_CLASS_E5NF:
    case ZYDIS_EXCEPTION_CLASS_E6NF:
    case ZYDIS_EXCEPTION_CLASS_E9NF:
    case ZYDIS_EXCEPTION_CLASS_E10NF:
        return 1;
    default: /* bytes of the result are not bytes of these operands */
        return d->mnemonic == ZYDIS_MNEMONIC_VDBPSADBW || d->mnemonic == ZYDIS_MNEMONIC_VGF2P8AFFINEQB ||
               d->mnemonic == ZYDIS_MNEMONIC_VGF2P8AFFINEINVQB;
    }
}

/* How many of the mask's bits count: of what is broadcast, as many as it becomes. */
static u8 mask_bits(const ZydisDecodedInstruction *d, const ZydisDecodedOperand *o)
{
    switch (d->avx.broadcast.mode) {
    case ZYDIS_BROADCAST_MODE_1_TO_2:
        return 2;
    case ZYDIS_BROADCAST_MODE_1_TO_4:
    case ZYDIS_BROADCAST_MODE_2_TO_4:
        return 4;
    case ZYDIS_BROADCAST_MODE_1_TO_8:
    case ZYDIS_BROADCAST_MODE_2_TO_8:
    case ZYDIS_BROADCAST_MODE_4_TO_8:
        return 8;
    case ZYDIS_BROADCAST_MODE_1_TO_16:
    case ZYDIS_BROADCAST_MODE_2_TO_16:
    case ZYDIS_BROADCAST_MODE_4_TO_16:
    case ZYDIS_BROADCAST_MODE_8_TO_16:
        return 16;
    case ZYDIS_BROADCAST_MODE_1_TO_32:
        return 32;
    case ZYDIS_BROADCAST_MODE_1_TO_64:
        return 64;
    default:
        return (u8)(o->size / o->element_size);
    }
}

static int is_packed(const ZydisDecodedInstruction *d)
{
    return d->meta.category == ZYDIS_CATEGORY_COMPRESS || d->meta.category == ZYDIS_CATEGORY_EXPAND;
}

static u8 string_kind(const ZydisDecodedInstruction *d, const ZydisDecodedOperand *ops)
{
    int src = 0, dst = 0;
    for (u32 i = 0; i < d->operand_count; i++) {
        if (ops[i].type != ZYDIS_OPERAND_TYPE_MEMORY)
            continue;
        src |= general(ops[i].mem.base) == 6;
        dst |= general(ops[i].mem.base) == 7;
    }
    return src && dst ? MEM_STRING_TWO : src ? MEM_STRING_SRC : MEM_STRING_DST;
}

static int is_stack(const ZydisDecodedInstruction *d, const ZydisDecodedOperand *o)
{
    return general(o->mem.base) == 4 || d->mnemonic == ZYDIS_MNEMONIC_LEAVE || d->mnemonic == ZYDIS_MNEMONIC_ENTER;
}

/* An operand that the encoding does not name. */
static void take_fixed_memory(struct opcode_facts *f, const ZydisDecodedInstruction *d, const ZydisDecodedOperand *ops,
                              const ZydisDecodedOperand *o)
{
    int base = general(o->mem.base), index = general(o->mem.index);
    if (is_stack(d, o)) {
        f->what |= OP_STACK;
        return;
    }
    if (base >= 0)
        f->reads |= (u16)(1u << base);
    if (index >= 0)
        f->reads |= (u16)(1u << index);
    f->size = o->size / 8;
    if (d->meta.category == ZYDIS_CATEGORY_STRINGOP || d->meta.category == ZYDIS_CATEGORY_IOSTRINGOP) {
        f->memory = string_kind(d, ops);
        f->writes |= (u16)(1u << base);
    } else if (d->mnemonic == ZYDIS_MNEMONIC_XLAT) {
        f->memory = MEM_TABLE;
    } else if (d->mnemonic == ZYDIS_MNEMONIC_MASKMOVQ || d->mnemonic == ZYDIS_MNEMONIC_MASKMOVDQU ||
               d->mnemonic == ZYDIS_MNEMONIC_VMASKMOVDQU) {
        f->memory = MEM_MASK_STORE;
    } else {
        f->memory = o->encoding >= ZYDIS_OPERAND_ENCODING_DISP16_32_64 || base < 0 ? MEM_ABSOLUTE : MEM_OTHER;
    }
}

static void take_memory(struct opcode_facts *f, const struct opcode_case *c, const ZydisDecodedInstruction *d,
                        const ZydisDecodedOperand *ops, const ZydisDecodedOperand *o)
{
    int named = o->encoding == ZYDIS_OPERAND_ENCODING_MODRM_RM;
    u8 before = f->memory;
    if (named)
        for (ZyanI64 shift = o->mem.disp.value; shift > 1; shift >>= 1)
            f->disp8_shift++;
    if (accesses_nothing(d) || o->mem.type == ZYDIS_MEMOP_TYPE_AGEN)
        return;
    if (!named)
        take_fixed_memory(f, d, ops, o);
    if (!named && is_stack(d, o))
        return;
    if (o->actions & ZYDIS_OPERAND_ACTION_MASK_READ)
        f->what |= OP_MEM_READ;
    if (o->actions & ZYDIS_OPERAND_ACTION_MASK_WRITE)
        f->what |= OP_MEM_WRITE;
    if (!named)
        return;
    f->size = o->size / 8;
    f->memory = before || o->mem.type == ZYDIS_MEMOP_TYPE_MIB || !f->size ? MEM_OTHER : MEM_OPERAND;
    if (o->mem.type == ZYDIS_MEMOP_TYPE_VSIB) {
        f->memory = MEM_VECTOR;
        f->size = o->element_size / 8;
    } else if (chooses_elements(d, c) && ((f->what & OP_MEM_WRITE) || !reads_all(d))) {
        f->what |= OP_SOME_BYTES | (is_packed(d) ? OP_PACKED : 0);
        f->element = (u8)(o->element_size / 8);
        f->bits = mask_bits(d, o);
    }
}

/* ---- single instructions ---- */

static void take_flow(struct opcode_facts *f, const ZydisDecodedInstruction *d, const ZydisDecodedOperand *ops)
{
    int relative = d->operand_count && ops[0].type == ZYDIS_OPERAND_TYPE_IMMEDIATE && ops[0].imm.is_relative;
    switch (d->meta.category) {
    case ZYDIS_CATEGORY_COND_BR:
        f->flow = d->mnemonic == ZYDIS_MNEMONIC_JRCXZ || d->mnemonic == ZYDIS_MNEMONIC_JECXZ ||
                          d->mnemonic == ZYDIS_MNEMONIC_LOOP || d->mnemonic == ZYDIS_MNEMONIC_LOOPE ||
                          d->mnemonic == ZYDIS_MNEMONIC_LOOPNE
                      ? FLOW_LOOP
                      : FLOW_BRANCH;
        break;
    case ZYDIS_CATEGORY_UNCOND_BR:
        f->flow = relative ? FLOW_JUMP : FLOW_JUMP_INDIRECT;
        break;
    case ZYDIS_CATEGORY_CALL:
        f->flow = relative ? FLOW_CALL : FLOW_CALL_INDIRECT;
        break;
    case ZYDIS_CATEGORY_RET:
        f->flow = FLOW_RETURN;
        break;
    default:
        break;
    }
    if (f->flow != FLOW_NEXT && d->meta.branch_type == ZYDIS_BRANCH_TYPE_FAR)
        f->what |= OP_BARRED;
    if (f->flow == FLOW_BRANCH && !relative)
        f->what |= OP_BARRED;
}

/* Its operands' forms decide. */
static void take_form(struct opcode_facts *f, const ZydisDecodedInstruction *d, const ZydisDecodedOperand *ops)
{
    int last = d->operand_count_visible - 1;
    switch (d->mnemonic) {
    case ZYDIS_MNEMONIC_XCHG:
        if (ops[0].type == ZYDIS_OPERAND_TYPE_MEMORY)
            f->what |= OP_LOCKED;
        break;
    case ZYDIS_MNEMONIC_XOR:
    case ZYDIS_MNEMONIC_SUB:
        if (ops[0].type == ZYDIS_OPERAND_TYPE_REGISTER && ops[1].type == ZYDIS_OPERAND_TYPE_REGISTER &&
            ops[0].size >= 32)
            f->what |= OP_SAME_ZERO;
        break;
    case ZYDIS_MNEMONIC_BT:
    case ZYDIS_MNEMONIC_BTS:
    case ZYDIS_MNEMONIC_BTR:
    case ZYDIS_MNEMONIC_BTC:
        if (f->memory && ops[last].type == ZYDIS_OPERAND_TYPE_REGISTER)
            f->memory = MEM_OTHER;
        break;
    default:
        break;
    }
}

static void take_kind(struct opcode_facts *f, const ZydisDecodedInstruction *d)
{
    switch (d->mnemonic) {
    case ZYDIS_MNEMONIC_XBEGIN:
    case ZYDIS_MNEMONIC_IRET:
    case ZYDIS_MNEMONIC_IRETD:
    case ZYDIS_MNEMONIC_IRETQ:
    case ZYDIS_MNEMONIC_UIRET:
        f->what |= OP_BARRED;
        break;
    case ZYDIS_MNEMONIC_UD0:
    case ZYDIS_MNEMONIC_UD1:
    case ZYDIS_MNEMONIC_UD2:
    case ZYDIS_MNEMONIC_HLT:
        f->flow = FLOW_STOP;
        break;
    case ZYDIS_MNEMONIC_BSF: /* leave it alone when they find nothing */
    case ZYDIS_MNEMONIC_BSR:
        f->reg = (u8)((f->reg | USE_READ) & ~USE_WHOLE);
        break;
    case ZYDIS_MNEMONIC_PUSHF:
    case ZYDIS_MNEMONIC_PUSHFD:
    case ZYDIS_MNEMONIC_PUSHFQ:
        f->flags_read = FLAGS_ALL;
        break;
    default:
        break;
    }
}

static void take_count(struct opcode_facts *f, const ZydisDecodedInstruction *d, const ZydisDecodedOperand *ops)
{
    int last = d->operand_count_visible - 1;
    if (d->encoding != ZYDIS_INSTRUCTION_ENCODING_LEGACY || last < 1)
        return;
    if (d->meta.category != ZYDIS_CATEGORY_SHIFT && d->meta.category != ZYDIS_CATEGORY_ROTATE)
        return;
    if (ops[last].type == ZYDIS_OPERAND_TYPE_REGISTER)
        f->what |= OP_COUNT_CL;
    else if (f->immediate) /* not the forms by one */
        f->what |= OP_COUNT_IMM;
}

static void take_category(struct opcode_facts *f, const ZydisDecodedInstruction *d)
{
    switch (d->meta.category) {
    case ZYDIS_CATEGORY_SYSCALL:
    case ZYDIS_CATEGORY_INTERRUPT:
        f->what |= OP_ALL_READ;
        break;
    case ZYDIS_CATEGORY_SYSRET:
    case ZYDIS_CATEGORY_AMD3DNOW:
    case ZYDIS_CATEGORY_XOP:
    case ZYDIS_CATEGORY_KNC:
        f->what |= OP_BARRED;
        break;
    case ZYDIS_CATEGORY_PUSH:
    case ZYDIS_CATEGORY_POP:
        f->what |= OP_STACK;
        break;
    default:
        break;
    }
    if (d->attributes & (ZYDIS_ATTRIB_HAS_REP | ZYDIS_ATTRIB_HAS_REPE | ZYDIS_ATTRIB_HAS_REPNE)) {
        f->what |= OP_REPEATS;
        f->flags_written = 0;
    }
}

/* The instruction is as long as its parts: not so where ModRM's form counts for nothing (moves to control registers). */
static int fits(const struct opcode_case *c, const ZydisDecodedInstruction *d, u8 length)
{
    if (d->attributes & ZYDIS_ATTRIB_HAS_MODRM)
        length += c->at[DIM_FORM] ? 1 : 3;
    else
        length += d->raw.disp.size / 8;
    return length + (d->raw.imm[0].size + d->raw.imm[1].size) / 8 == d->length;
}

static int decode(const struct opcode_case *c, ZydisDecodedInstruction *d, ZydisDecodedOperand *ops)
{
    static const struct fillers fillers[] = {{15, 5}, {1, 5}, {15, 6}, {1, 6}};
    ZydisDecoder decoder;
    ZydisDecoderInit(&decoder, ZYDIS_MACHINE_MODE_LONG_64, ZYDIS_STACK_WIDTH_64);
    for (u32 i = 0; i < sizeof fillers / sizeof fillers[0]; i++) {
        u8 code[32];
        u8 length = assemble(code, c, &fillers[i]);
        if (ZYAN_SUCCESS(ZydisDecoderDecodeFull(&decoder, code, sizeof code, d, ops)))
            return fits(c, d, length);
    }
    return 0;
}

void opcode_try(const struct opcode_case *c, struct opcode_facts *f)
{
    ZydisDecodedInstruction d;
    ZydisDecodedOperand ops[ZYDIS_MAX_OPERAND_COUNT];
    memset(f, 0, sizeof *f);
    if (!is_opcode(c) || !decode(c, &d, ops))
        return;
    f->what = OP_VALID;
    if (d.attributes & ZYDIS_ATTRIB_HAS_MODRM)
        f->what |= OP_MODRM;
    f->immediate = (u8)((d.raw.imm[0].size + d.raw.imm[1].size) / 8);
    for (u32 i = 0; i < d.operand_count; i++) {
        if (ops[i].type == ZYDIS_OPERAND_TYPE_REGISTER)
            take_register(f, &ops[i]);
        else if (ops[i].type == ZYDIS_OPERAND_TYPE_MEMORY)
            take_memory(f, c, &d, ops, &ops[i]);
    }
    if (d.cpu_flags) {
        f->flags_read = flags_of(d.cpu_flags->tested);
        /* Not those that are left undefined: processors mostly leave them alone, and nobody reads them. */
        f->flags_written = flags_of(d.cpu_flags->modified | d.cpu_flags->set_0 | d.cpu_flags->set_1);
    }
    take_flow(f, &d, ops);
    take_count(f, &d, ops);
    take_form(f, &d, ops);
    take_kind(f, &d);
    take_category(f, &d);
}
