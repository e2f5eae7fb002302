/* The code of checks. Called while functions are copied. Pure: bytes out.
 *
 * A check asks what access_is_known (analyze/access_hot.h) asks, of the newer slot only: has this thread in this epoch
 * accessed these bytes before, in a way that says as much? Registers a and b are not needed at that place, or saved in
 * TLS first; so are the flags (in ax).
 *
 *     4 bytes, read                            8 bytes, write
 *       lea  a, [operand]                        lea  a, [operand]
 *       mov  b, a                                xor  a, [shadow_cells]
 *       and  b, -8                               test a, 7              the bytes of two granules
 *       xor  b, [shadow_cells]                   jne  cold
 *       mov  b, [b]            the newer slot    mov  a, [a]
 *       and  b, ~WRITE         either will do    xor  a, WRITE          must be there
 *       and  a, 7                                cmp  a, fs:[now]       and all bytes of the mask
 *       or   b, fs:[spare + 2 * a]               jne  cold
 *       cmp  b, fs:[now]                       back:
 *       jne  cold
 *     back:                                    cold:
 *                                                lea  a, [operand]
 *     spare: bits of the mask for bytes that     mov  fs:[address], a
 *     are not accessed may be set or not         lea  rsp, [rsp - 128]  the red zone
 *                                                push number
 *                                                call slow
 *                                                lea  rsp, [rsp + 136]
 *                                                jmp  back */
#include "rewrite_check.h"

#include "analyze/cell.h"

struct plan {
    const struct check_target *to;
    const struct check_site *site;
    struct emit *hot, *cold;
    enum check_kind kind;
    u32 a, b; /* scratch registers; REG_NONE: not needed */
    bool spill_a, spill_b, spill_rax, flags;
    bool address_saved; /* before rax was taken: the operand needs it */
    u8 *out[12];        /* jumps to cold, to be filled in */
    u32 nout;
};

/* ---- registers ---- */

/* Caller-saved ones first. Never rbp: the slow path unwinds from here, and may find the caller's frame by it. */
static const u8 preference[] = {RAX, RCX, RDX, RSI, RDI, R8, R9, R10, R11, RBX, R12, R13, R14, R15};

static u32 take_register(u32 *free_ones, u32 *any, bool *spill)
{
    for (u32 pass = 0; pass < 2; pass++) {
        u32 from = pass ? *any : *free_ones;
        for (u32 i = 0; i < sizeof preference; i++) {
            u32 r = preference[i];
            if (!(from >> r & 1))
                continue;
            *free_ones &= ~(1u << r);
            *any &= ~(1u << r);
            *spill = pass;
            return r;
        }
    }
    return REG_NONE; /* an operand has two registers at most */
}

static bool needs_second(const struct plan *p)
{
    return (p->kind == CHECK_SMALL && !p->site->in.rip) || p->kind == CHECK_WIDE;
}

static void choose_registers(struct plan *p)
{
    const struct insn *in = &p->site->in;
    u32 operand = REG_BIT(in->base) | REG_BIT(in->index);
    u32 any = REGS_ALL & ~operand & ~(1u << RSP), dead = any & ~(u32)p->site->live;
    p->flags = p->site->flags_live != 0;
    if (p->flags) {
        p->spill_rax = p->site->live & 1u << RAX;
        p->address_saved = operand & 1u << RAX;
        dead &= ~(1u << RAX);
        any &= ~(1u << RAX);
    }
    p->a = take_register(&dead, &any, &p->spill_a);
    p->b = REG_NONE;
    if (needs_second(p))
        p->b = take_register(&dead, &any, &p->spill_b);
}

/* ---- hot code ---- */

static void lea_operand(struct emit *e, const struct check_site *s, u32 reg)
{
    const struct insn *in = &s->in;
    if (in->rip)
        emit_rip(e, true, OP_LEA, reg, s->address);
    else if (in->index == REG_NONE && in->base != REG_NONE && !in->disp)
        emit_registers(e, !in->address_32, OP_MOV_LOAD, reg, in->base);
    else
        emit_memory(e, !in->address_32, OP_LEA, reg, in->base, in->index, in->shift, in->disp);
}

static void borrow(struct plan *p)
{
    struct emit *e = p->hot;
    if (p->spill_a)
        emit_fs(e, true, OP_MOV_STORE, p->a, p->to->saved[0]);
    if (p->spill_b)
        emit_fs(e, true, OP_MOV_STORE, p->b, p->to->saved[1]);
    if (p->spill_rax)
        emit_fs(e, true, OP_MOV_STORE, RAX, p->to->saved[2]);
}

static void save_flags(struct plan *p)
{
    if (!p->flags)
        return;
    if (p->address_saved)
        emit_fs(p->hot, true, OP_MOV_STORE, p->a, p->to->address);
    EMIT(p->hot, 0x9f, 0x0f, 0x90, 0xc0); /* lahf; seto al */
}

static void give_back(struct plan *p)
{
    struct emit *e = p->hot;
    if (p->flags)
        EMIT(e, 0x04, 0x7f, 0x9e); /* add al, 127: overflow as it was; sahf: the others */
    if (p->spill_rax)
        emit_fs(e, true, OP_MOV_LOAD, RAX, p->to->saved[2]);
    if (p->spill_a)
        emit_fs(e, true, OP_MOV_LOAD, p->a, p->to->saved[0]);
    if (p->spill_b)
        emit_fs(e, true, OP_MOV_LOAD, p->b, p->to->saved[1]);
}

static void leave_unless_equal(struct plan *p)
{
    p->out[p->nout++] = emit_branch(p->hot, CONDITION_NOT_EQUAL);
}

/* The slot in reg: a read is content with a write, a write wants one. Then it must look like access_now. */
static void settle_kind(struct plan *p, u32 reg)
{
    if (p->site->in.what & OP_MEM_WRITE)
        emit_immediate(p->hot, false, GROUP_XOR, reg, SLOT_WRITE);
    else
        emit_immediate(p->hot, false, GROUP_AND, reg, ~(int32_t)SLOT_WRITE);
}

static void compare_now(struct plan *p, u32 reg)
{
    emit_fs(p->hot, false, OP_CMP, reg, p->to->now);
    leave_unless_equal(p);
}

static void flip(struct plan *p, u32 reg)
{
    emit_rip(p->hot, true, OP_XOR, reg, p->to->cells);
}

/* test reg, 7; jne cold */
static void leave_unless_aligned(struct plan *p, u32 reg)
{
    struct emit *e = p->hot;
    if (reg >= RSP)
        emit_1(e, 0x40 | (reg & 8) >> 3);
    EMIT(e, 0xf6, (u8)(0xc0 | (reg & 7)), GRANULE - 1);
    leave_unless_equal(p);
}

/* A variable: which bytes of which granule is known now. */
static void check_variable(struct plan *p)
{
    struct emit *e = p->hot;
    u32 spare = ~granule_mask(p->site->address, p->site->in.size) & SLOT_MASK;
    emit_rip(e, true, OP_LEA, p->a, p->site->address & ~(u64)(GRANULE - 1));
    save_flags(p);
    flip(p, p->a);
    emit_memory(e, false, OP_MOV_LOAD, p->a, p->a, REG_NONE, 0, 0);
    settle_kind(p, p->a);
    if (spare)
        emit_immediate(e, false, GROUP_OR, p->a, (int32_t)spare);
    compare_now(p, p->a);
}

static void check_small(struct plan *p)
{
    struct emit *e = p->hot;
    lea_operand(e, p->site, p->a);
    save_flags(p);
    emit_registers(e, true, OP_MOV_LOAD, p->b, p->a);
    emit_immediate(e, true, GROUP_AND, p->b, -(int32_t)GRANULE);
    flip(p, p->b);
    emit_memory(e, false, OP_MOV_LOAD, p->b, p->b, REG_NONE, 0, 0);
    settle_kind(p, p->b);
    emit_immediate(e, false, GROUP_AND, p->a, GRANULE - 1);
    EMIT(e, 0x64, 0x66); /* 16 bits of the slot are enough: the mask and the kind */
    emit_memory(e, false, OP_OR, p->b, REG_NONE, p->a, 1, p->to->spare[p->site->in.size / 2]);
    compare_now(p, p->b);
}

static void check_whole(struct plan *p)
{
    lea_operand(p->hot, p->site, p->a);
    save_flags(p);
    flip(p, p->a);
    leave_unless_aligned(p, p->a);
    emit_memory(p->hot, false, OP_MOV_LOAD, p->a, p->a, REG_NONE, 0, 0);
    settle_kind(p, p->a);
    compare_now(p, p->a);
}

static void check_wide(struct plan *p)
{
    lea_operand(p->hot, p->site, p->a);
    save_flags(p);
    flip(p, p->a);
    leave_unless_aligned(p, p->a);
    for (u32 at = 0; at < p->site->in.size; at += GRANULE) {
        emit_memory(p->hot, false, OP_MOV_LOAD, p->b, p->a, REG_NONE, 0, at);
        settle_kind(p, p->b);
        compare_now(p, p->b);
    }
}

/* ---- the way out ---- */

static void call_slow(struct emit *e, const struct check_target *to, u32 number)
{
    emit_memory(e, true, OP_LEA, RSP, RSP, REG_NONE, 0, -RED_ZONE);
    emit_1(e, 0x68); /* push */
    emit_4(e, number);
    emit_call(e, to->slow);
    emit_memory(e, true, OP_LEA, RSP, RSP, REG_NONE, 0, RED_ZONE + 8);
}

static void way_out(struct plan *p, u64 back)
{
    struct emit *e = p->cold;
    for (u32 i = 0; i < p->nout && !e->full && !p->hot->full; i++)
        emit_patch(p->out[i], (u64)e->p);
    if (!p->address_saved) {
        lea_operand(e, p->site, p->a);
        emit_fs(e, true, OP_MOV_STORE, p->a, p->to->address);
    }
    call_slow(e, p->to, p->site->number);
    emit_jump(e, back);
}

void check_emit_after(struct emit *hot, const struct check_target *to, u32 number)
{
    call_slow(hot, to, number | CHECK_AFTER);
}

void check_emit(struct emit *hot, struct emit *cold, const struct check_target *to, const struct check_site *site,
                struct check_code *out)
{
    struct plan p = {.to = to, .site = site, .hot = hot, .cold = cold, .kind = check_kind(&site->in, site->address)};
    const u8 *begin = hot->p;
    if (p.kind == CHECK_CALL) {
        call_slow(hot, to, site->number);
        *out = (struct check_code){.back = (u16)(hot->p - begin), .end = (u16)(hot->p - begin)};
        return;
    }
    choose_registers(&p);
    borrow(&p);
    if (site->in.rip && p.kind == CHECK_SMALL)
        check_variable(&p);
    else if (p.kind == CHECK_SMALL)
        check_small(&p);
    else if (p.kind == CHECK_WHOLE)
        check_whole(&p);
    else
        check_wide(&p);
    out->back = (u16)(hot->p - begin);
    way_out(&p, (u64)hot->p);
    give_back(&p);
    out->end = (u16)(hot->p - begin);
    out->saves_flags = p.flags;
    out->spills = (u8)(p.spill_a + p.spill_b);
}
