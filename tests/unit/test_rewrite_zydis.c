/* Our decoder against Zydis, from which its table was made: on the code of libraries, and on random bytes. What Zydis
 * takes for an instruction must have the same length, operand and effect here, or be refused by us. */
#include "unit.h"

#include <Zydis/Zydis.h>
#include <link.h>
#include <stdlib.h>

#include "access/rewrite_insn.h"

static ZydisDecoder decoder;
static u64 compared, refused;

static u32 general(ZydisRegister r)
{
    ZydisRegister whole = ZydisRegisterGetLargestEnclosing(ZYDIS_MACHINE_MODE_LONG_64, r);
    return whole >= ZYDIS_REGISTER_RAX && whole <= ZYDIS_REGISTER_R15 ? whole - ZYDIS_REGISTER_RAX : REG_NONE;
}

static bool same_operand(const struct insn *in, const ZydisDecodedOperand *o)
{
    u32 base = general(o->mem.base), index = general(o->mem.index);
    bool rip = o->mem.base == ZYDIS_REGISTER_RIP;
    if (!in->has_operand || in->base != base || in->index != index || in->rip != rip)
        return false;
    if (index != REG_NONE && 1 << in->shift != o->mem.scale)
        return false;
    return in->address_32 ? (u32)in->disp == (u32)o->mem.disp.value : in->disp == o->mem.disp.value;
}

/* Registers that Zydis says are read or written are so for us; those it says stay are not whole for us. */
static bool same_registers(const struct insn *in, const ZydisDecodedInstruction *d, const ZydisDecodedOperand *o)
{
    u32 reads = 0, writes = 0, wholes = 0;
    for (u32 i = 0; i < d->operand_count; i++) {
        if (o[i].type == ZYDIS_OPERAND_TYPE_MEMORY)
            reads |= REG_BIT(general(o[i].mem.base)) | REG_BIT(general(o[i].mem.index));
        if (o[i].type != ZYDIS_OPERAND_TYPE_REGISTER)
            continue;
        u32 bit = REG_BIT(general(o[i].reg.value));
        u32 width = ZydisRegisterGetWidth(ZYDIS_MACHINE_MODE_LONG_64, o[i].reg.value);
        if (o[i].actions & ZYDIS_OPERAND_ACTION_MASK_READ)
            reads |= bit;
        if (o[i].actions & ZYDIS_OPERAND_ACTION_MASK_WRITE)
            writes |= bit;
        if ((o[i].actions & ZYDIS_OPERAND_ACTION_WRITE) && width >= 32)
            wholes |= bit;
    }
    bool zero = (in->what & OP_SAME_ZERO) && o[0].type == ZYDIS_OPERAND_TYPE_REGISTER &&
                o[1].type == ZYDIS_OPERAND_TYPE_REGISTER && o[0].reg.value == o[1].reg.value;
    if ((reads & ~in->reads) && !zero)
        return false;
    return !(writes & ~(u32)in->writes) && !(in->wholes & ~wholes);
}

static u8 flags_of(u32 mask)
{
    return (u8)((mask & ZYDIS_CPUFLAG_CF ? FLAG_CF : 0) | (mask & ZYDIS_CPUFLAG_PF ? FLAG_PF : 0) |
                (mask & ZYDIS_CPUFLAG_AF ? FLAG_AF : 0) | (mask & ZYDIS_CPUFLAG_ZF ? FLAG_ZF : 0) |
                (mask & ZYDIS_CPUFLAG_SF ? FLAG_SF : 0) | (mask & ZYDIS_CPUFLAG_OF ? FLAG_OF : 0));
}

static bool same_flags(const struct insn *in, const ZydisAccessedFlags *f)
{
    if (!f)
        return !in->flags_written;
    return !(flags_of(f->tested) & ~in->flags_read) &&
           !(in->flags_written & ~flags_of(f->modified | f->set_0 | f->set_1));
}

/* What is accessed beside the stack by itself: what Zydis says, or not to be told. */
static bool same_memory(const struct insn *in, const ZydisDecodedInstruction *d, const ZydisDecodedOperand *o)
{
    for (u32 i = 0; i < d->operand_count; i++) {
        if (o[i].type != ZYDIS_OPERAND_TYPE_MEMORY || o[i].mem.type == ZYDIS_MEMOP_TYPE_AGEN)
            continue;
        if (o[i].encoding != ZYDIS_OPERAND_ENCODING_MODRM_RM)
            continue;
        if (!same_operand(in, &o[i]))
            return false;
        bool read = o[i].actions & ZYDIS_OPERAND_ACTION_MASK_READ,
             write = o[i].actions & ZYDIS_OPERAND_ACTION_MASK_WRITE;
        if (in->memory == MEM_OPERAND &&
            (in->size * 8 != o[i].size || !(in->what & OP_MEM_READ) != !read || !(in->what & OP_MEM_WRITE) != !write))
            return false;
    }
    return true;
}

/* Zydis 4.0 takes R13D for a base that is none. */
static bool misread(const struct insn *in)
{
    return in->address_32 && in->has_operand && in->disp_size == 4 && in->base == REG_NONE;
}

static bool same(const struct insn *in, const ZydisDecodedInstruction *d, const ZydisDecodedOperand *o)
{
    if (in->length != d->length || in->lock != !!((d->attributes & ZYDIS_ATTRIB_HAS_LOCK) || (in->what & OP_LOCKED)))
        return false;
    if (in->disp_size && (in->disp_at != d->raw.disp.offset || in->disp_size * 8 != d->raw.disp.size))
        return false;
    if (d->operand_count && o[0].type == ZYDIS_OPERAND_TYPE_IMMEDIATE && o[0].imm.is_relative &&
        d->meta.branch_type != ZYDIS_BRANCH_TYPE_NONE && in->target != o[0].imm.value.s)
        return false;
    return same_registers(in, d, o) && same_flags(in, d->cpu_flags) && same_memory(in, d, o);
}

static void complain(const u8 *code, u32 n, const struct insn *in, const char *text)
{
    fprintf(stderr, "\n  ");
    for (u32 i = 0; i < n; i++)
        fprintf(stderr, "%02x ", code[i]);
    fprintf(stderr, "(%s): length %u reads %x writes %x wholes %x flags %x %x memory %u size %u", text, in->length,
            in->reads, in->writes, in->wholes, in->flags_read, in->flags_written, in->memory, in->size);
}

/* Returns the length by Zydis, 0 when it is no instruction. */
static u32 compare(const u8 *code, u64 n, bool *ok)
{
    ZydisDecodedInstruction d;
    ZydisDecodedOperand o[ZYDIS_MAX_OPERAND_COUNT];
    struct insn in;
    if (!ZYAN_SUCCESS(ZydisDecoderDecodeFull(&decoder, code, n, &d, o)))
        return 0;
    compared++;
    if (!insn_decode(code, n, &in) || misread(&in)) {
        refused++;
        return d.length;
    }
    if (!same(&in, &d, o)) {
        *ok = false;
        complain(code, d.length, &in, ZydisMnemonicGetString(d.mnemonic));
    }
    return d.length;
}

static u64 seed = 1;
static u64 next(void)
{
    seed ^= seed << 13;
    seed ^= seed >> 7;
    return seed ^= seed << 17;
}

static void random_bytes(void)
{
    u32 wrong = 0;
    for (u32 i = 0; i < 3000000 && wrong < 20; i++) {
        u64 code[2] = {next(), next()};
        bool ok = true;
        u8 *bytes = (u8 *)code;
        switch (i % 8) {
        case 0:
            bytes[0] = 0x62;
            bytes[1] = (u8)(bytes[1] & 0xf7);
            bytes[2] |= 4;
            break;
        case 1:
            bytes[0] = 0xc4;
            bytes[1] = (u8)((bytes[1] & 0xe0) | (1 + bytes[1] % 3));
            break;
        case 2:
            bytes[0] = 0x0f;
            break;
        case 3:
            bytes[0] = (u8)(0x40 | (bytes[0] & 15));
            bytes[1] = 0x0f;
            break;
        case 4:
            bytes[0] = "\x66\xf2\xf3\xf0\x67\x64\x65"[bytes[0] % 7];
            break;
        default:
            break;
        }
        compare(bytes, sizeof code, &ok);
        wrong += !ok;
    }
    CU_ASSERT_EQUAL(wrong, 0);
}

static int sweep(struct dl_phdr_info *info, size_t size, void *arg)
{
    u32 *wrong = arg;
    (void)size;
    for (u32 i = 0; i < info->dlpi_phnum; i++) {
        const ElfW(Phdr) *p = &info->dlpi_phdr[i];
        if (p->p_type != PT_LOAD || !(p->p_flags & PF_X))
            continue;
        const u8 *code = (const u8 *)(uintptr_t)(info->dlpi_addr + p->p_vaddr), *end = code + p->p_filesz;
        while (code < end && *wrong < 20) {
            bool ok = true;
            u32 n = compare(code, (u64)(end - code), &ok);
            *wrong += !ok;
            code += n ? n : 1;
        }
    }
    return 0;
}

/* Of real code next to nothing is refused. */
static void libraries(void)
{
    u32 wrong = 0;
    compared = refused = 0;
    dl_iterate_phdr(sweep, &wrong);
    CU_ASSERT_EQUAL(wrong, 0);
    CU_ASSERT_TRUE(compared > 200000);
    CU_ASSERT_TRUE(refused * 2000 < compared);
    if (refused * 2000 >= compared)
        fprintf(stderr, "\n  %llu of %llu refused", (unsigned long long)refused, (unsigned long long)compared);
}

int main(int argc, char **argv)
{
    static const struct unit_test tests[] = {{"random_bytes", random_bytes}, {"libraries", libraries}};
    ZydisDecoderInit(&decoder, ZYDIS_MACHINE_MODE_LONG_64, ZYDIS_STACK_WIDTH_64);
    return unit_main("decoding as Zydis does", tests, ARRAY_LEN(tests), argc, argv);
}
