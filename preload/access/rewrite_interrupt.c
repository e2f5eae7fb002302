/* Threads that are interrupted in a copy. Called by handlers of signals. Reads the copy's code; takes no lock, allocates
 * nothing.
 *
 * A check only reads, until it calls: it can be left anywhere and done again. What it has borrowed by then is told by its
 * own code, read from its beginning up to where the thread is:
 *
 *     mov fs:[saved], reg      the register's value is there
 *     lahf; seto al            the flags are in ax
 *     lea rsp, [rsp - 128]     so much has to be added again
 *     mov reg, fs:[saved]      given back
 *
 * Behind the checks stands the instruction. Where it is made of several, the thread has either done its work already and
 * is about to jump (then it is where the jump goes), or has pushed the return address of a call (which is taken back). */
#include "rewrite_interrupt.h"

#include "rewrite_insn.h"

#define OVERFLOW 0x800u
#define LOW_FLAGS 0xd5u
#define JUMPS_MOST 8u

struct borrowed {
    u16 saved[3];        /* registers, bits, whose value is in saved[i] */
    bool flags_low;      /* in ah */
    bool flags_overflow; /* in al */
    int64_t stack;
};

static bool is_tls(const u8 *code, const struct insn *in, int32_t offset)
{
    return code[0] == 0x64 && in->segment == 0x64 && in->base == REG_NONE && in->index == REG_NONE &&
           in->disp == offset;
}

static u32 register_of(const u8 *code, const struct insn *in)
{
    u8 rex = in->opcode_at && (code[in->opcode_at - 1] & 0xf0) == 0x40 ? code[in->opcode_at - 1] : 0;
    return (code[in->opcode_at + 1] >> 3 & 7) | (rex & 4u) << 1;
}

static void flags_step(struct borrowed *b, const u8 *code)
{
    if (code[0] == 0x9f)
        b->flags_low = true;
    else if (code[0] == 0x0f && code[1] == 0x90 && code[2] == 0xc0)
        b->flags_overflow = true;
    else if (code[0] == 0x04 && code[1] == 0x7f)
        b->flags_overflow = false;
    else if (code[0] == 0x9e)
        b->flags_low = false;
}

static void step(struct borrowed *b, const struct check_target *to, const u8 *code, const struct insn *in)
{
    flags_step(b, code);
    for (u32 i = 0; i < 3; i++) {
        if (!is_tls(code, in, to->saved[i]))
            continue;
        if (code[in->opcode_at] == OP_MOV_STORE)
            b->saved[i] = (u16)(1u << register_of(code, in));
        else if (code[in->opcode_at] == OP_MOV_LOAD)
            b->saved[i] = 0;
    }
    if (code[in->opcode_at] == OP_LEA && (in->wholes & 1u << RSP) && in->base == RSP)
        b->stack -= in->disp;
    else if (code[in->opcode_at] == 0x68)
        b->stack += 8;
}

/* From `at` up to `end`, each instruction has been executed. */
static void walk(struct borrowed *b, const struct check_target *to, u64 at, u64 end)
{
    struct insn in;
    for (; at < end && insn_decode((const u8 *)at, INSN_LONGEST, &in); at += in.length)
        step(b, to, (const u8 *)at, &in);
}

static void give_back(const struct borrowed *b, const struct check_target *to, u64 tls, struct interrupted *s)
{
    u64 ax = s->reg[RAX];
    if (b->flags_low)
        s->flags = (s->flags & ~(u64)LOW_FLAGS) | (ax >> 8 & LOW_FLAGS);
    if (b->flags_overflow)
        s->flags = (s->flags & ~(u64)OVERFLOW) | (ax & 1 ? OVERFLOW : 0);
    for (u32 i = 0; i < 3; i++)
        if (b->saved[i])
            s->reg[__builtin_ctz(b->saved[i])] = *(const u64 *)(tls + (u64)(int64_t)to->saved[i]);
    s->reg[RSP] += (u64)b->stack;
}

static void leave_check(const struct check_target *to, u64 tls, const struct map_found *found, struct interrupted *s)
{
    struct borrowed b = {0};
    if (found->where == MAP_COLD) {
        walk(&b, to, found->check, found->back);
        walk(&b, to, found->cold, s->pc);
    } else {
        walk(&b, to, found->check, s->pc);
    }
    give_back(&b, to, tls, s);
    s->pc = found->original;
}

/* At a jump of ours: it is already where that goes. */
static u64 jump_target(u64 pc)
{
    static const u8 far[] = {0xff, 0x25, 0, 0, 0, 0};
    struct insn in;
    const u8 *code = (const u8 *)pc;
    if (!__builtin_memcmp(code, far, sizeof far))
        return *(const u64 *)(code + sizeof far);
    if ((code[0] != 0xe9 && code[0] != 0xeb) || !insn_decode(code, INSN_LONGEST, &in))
        return 0;
    return pc + in.length + (u64)in.target;
}

bool interrupt_roll_back(const struct rewrite_map *m, const struct check_target *to, u64 tls, struct interrupted *s,
                         u64 *resume)
{
    struct map_found found;
    for (u32 i = 0; i < JUMPS_MOST && map_find(m, s->pc, &found); i++) {
        *resume = found.copy;
        if (found.where != MAP_CODE && found.where != MAP_STUB) {
            leave_check(to, tls, &found, s);
            return true;
        }
        if (found.where == MAP_CODE && s->pc == found.code) {
            *resume = s->pc;
            s->pc = found.original;
            return true;
        }
        if (found.where == MAP_CODE && *(const u8 *)found.code == 0x68) {
            *resume = found.code;
            s->reg[RSP] += 8;
            s->pc = found.original;
            return true;
        }
        u64 next = jump_target(s->pc);
        if (!next)
            return false;
        *resume = s->pc = next;
    }
    return *resume == s->pc && !map_find(m, s->pc, &found);
}
