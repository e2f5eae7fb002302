/* Random functions: arithmetic of every width, memory operands of every form, vectors, strings, locked instructions,
 * branches, loops, calls, jump tables. Whatever is drawn, they end, and touch the data and the stack of the machine only.
 * RBX and R12 point into the data and are never written. */
#ifndef SNARL_TESTS_REWRITE_RANDOM_H
#define SNARL_TESTS_REWRITE_RANDOM_H

#include "rewrite_encode.h"

/* ---- single instructions ---- */

static void set_pointer(struct random_code *g)
{
    u32 r = pick_bit(g, writable(g));
    struct operand o = {
        .memory = true, .rip = true, .index = NO_REG, .address = (u64)g->m->data + HEAP_AT + 4096 + pick(g, 4096)};
    put(g, &(struct encoding){.wide = true, .opcode = 0x8d}, r, &o);
    g->pointers |= 1u << r;
}

static void set_small(struct random_code *g)
{
    u32 r = pick_bit(g, writable(g)), v = pick(g, 8);
    struct operand o = reg_operand(r);
    put(g, &(struct encoding){.opcode = 0xc7, .immediate_size = 4, .immediate = v}, 0, &o);
    g->small |= 1u << r;
}

/* 8, 16, 32 or 64 bits */
static struct encoding width(struct random_code *g, u8 opcode)
{
    static const u8 likely[] = {0, 1, 2, 2, 2, 3, 3, 3};
    u32 w = likely[pick(g, 8)];
    return (struct encoding){
        .prefix = w == 1 ? 0x66 : 0, .wide = w == 3, .byte_reg = w == 0, .opcode = (u8)(w ? opcode | 1 : opcode & ~1)};
}

static void arithmetic(struct random_code *g)
{
    static const u8 opcodes[] = {0x00, 0x08, 0x10, 0x18, 0x20, 0x28, 0x30, 0x38, 0x88, 0x88, 0x88, 0x84};
    struct encoding e = width(g, opcodes[pick(g, sizeof opcodes)]);
    u32 how = pick(g, 3);
    bool store = e.opcode < 0x84 || e.opcode >= 0x88;
    struct operand o = how == 0 ? reg_operand(pick_bit(g, writable(g))) : any_memory(g);
    u32 reg = pick_bit(g, writable(g));
    if (how == 2 && store)
        e.opcode |= 2; /* from memory to the register */
    put(g, &e, reg, &o);
}

static void by_immediate(struct random_code *g)
{
    struct encoding e = width(g, 0x80);
    struct operand o = pick(g, 2) ? any_memory(g) : reg_operand(pick_bit(g, writable(g)));
    e.opcode = e.opcode == 0x81 ? 0x83 : 0x80;
    e.immediate_size = 1;
    e.immediate = pick(g, 256);
    put(g, &e, pick(g, 8), &o);
}

static void shift(struct random_code *g)
{
    static const u8 opcodes[] = {0xc0, 0xd0, 0xd2};
    struct encoding e = width(g, opcodes[pick(g, 3)]);
    struct operand o = pick(g, 3) ? reg_operand(pick_bit(g, writable(g))) : any_memory(g);
    if (e.opcode < 0xd0) {
        e.immediate_size = 1;
        e.immediate = pick(g, 3) ? pick(g, 64) : 0;
    }
    put(g, &e, pick(g, 6), &o);
}

static void one_operand(struct random_code *g)
{
    bool counts = pick(g, 2);
    struct encoding e = width(g, counts ? 0xfe : 0xf6);
    struct operand o = pick(g, 2) ? reg_operand(pick_bit(g, writable(g))) : any_memory(g);
    put(g, &e, counts ? pick(g, 2) : 2 + pick(g, 2), &o);
}

static void multiply(struct random_code *g)
{
    struct operand o = pick(g, 2) ? reg_operand(any_register(g)) : any_memory(g);
    bool wide = pick(g, 2);
    if (!pick(g, 3) && !(g->locked & 5))
        put(g, &(struct encoding){.wide = wide, .opcode = 0xf7}, 4 + pick(g, 2), &o);
    else
        put(g, &(struct encoding){.wide = wide, .escape = 0x0f, .opcode = 0xaf}, pick_bit(g, writable(g)), &o);
}

/* setcc, cmovcc, movzx, movsx, bsf, bsr, popcnt, bt, xadd, bswap's like */
static void two_byte(struct random_code *g)
{
    static const u8 moves[] = {0xb6, 0xb7, 0xbe, 0xbf, 0xbc, 0xbd};
    struct operand o = pick(g, 2) ? reg_operand(any_register(g)) : any_memory(g);
    u32 reg = pick_bit(g, writable(g));
    switch (pick(g, 4)) {
    case 0:
        if (!o.memory)
            o = reg_operand(reg);
        put(g, &(struct encoding){.byte_reg = true, .escape = 0x0f, .opcode = (u8)(0x90 | pick(g, 16))}, 0, &o);
        break;
    case 1:
        put(g, &(struct encoding){.wide = pick(g, 2), .escape = 0x0f, .opcode = (u8)(0x40 | pick(g, 16))}, reg, &o);
        break;
    case 2: {
        u8 opcode = moves[pick(g, sizeof moves)];
        put(g, &(struct encoding){.wide = pick(g, 2), .byte_reg = true, .escape = 0x0f, .opcode = opcode}, reg, &o);
        break;
    }
    default:
        if (!o.memory)
            o = reg_operand(reg);
        put(g,
            &(struct encoding){
                .wide = pick(g, 2), .escape = 0x0f, .opcode = 0xba, .immediate_size = 1, .immediate = pick(g, 64)},
            4 + pick(g, 4), &o);
    }
}

static void locked(struct random_code *g)
{
    struct operand o = any_memory(g);
    u32 reg = pick_bit(g, writable(g));
    bool wide = pick(g, 2);
    switch (pick(g, 4)) {
    case 0: /* add, or, ... */
        put(g, &(struct encoding){.prefix = 0xf0, .wide = wide, .opcode = (u8)(1 | pick(g, 7) << 3)}, reg, &o);
        break;
    case 1:
        put(g, &(struct encoding){.wide = wide, .opcode = 0x87}, reg, &o);
        break;
    case 2:
        put(g, &(struct encoding){.prefix = 0xf0, .wide = wide, .escape = 0x0f, .opcode = 0xc1}, reg, &o);
        break;
    default:
        put(g, &(struct encoding){.prefix = 0xf0, .wide = wide, .escape = 0x0f, .opcode = 0xb1}, reg, &o);
    }
}

/* Loads and stores of 4, 8 and 16 bytes, and arithmetic with an operand of 16, aligned only if it need not be. */
static void sse(struct random_code *g)
{
    static const struct {
        u8 prefix, opcode;
    } forms[] = {{0, 0x10},    {0, 0x11},    {0xf3, 0x10}, {0xf3, 0x11},
                 {0xf2, 0x10}, {0xf2, 0x11}, {0xf3, 0x6f}, {0xf3, 0x7f}};
    struct operand o = any_memory(g);
    if (!pick(g, 3)) {
        o = reg_operand(pick(g, 16));
        o.base &= 15;
        put(g, &(struct encoding){.prefix = 0x66, .escape = 0x0f, .opcode = pick(g, 2) ? 0xfe : 0xef}, pick(g, 16), &o);
        return;
    }
    u32 f = pick(g, 8);
    put(g, &(struct encoding){.prefix = forms[f].prefix, .escape = 0x0f, .opcode = forms[f].opcode}, pick(g, 16), &o);
}

/* vmovdqu ymm: C4 */
static void avx(struct random_code *g)
{
    u8 *begin = g->p;
    struct operand o = any_memory(g);
    u32 reg = pick(g, 16);
    u32 x = !o.rip && o.index != NO_REG ? o.index & 8 : 0, b = o.rip ? 0 : o.base & 8;
    PUT(g, 0xc4, (u8)((reg & 8 ? 0 : 0x80) | (x ? 0 : 0x40) | (b ? 0 : 0x20) | 1), 0x7e, pick(g, 2) ? 0x6f : 0x7f);
    put_modrm(g, reg, &o, 0);
    settle(g, begin);
}

/* C4: map, pp, W, L; the three registers by their numbers, or a memory operand behind. */
static void put_vex(struct random_code *g, u32 map, u32 wvlp, u8 opcode, u32 reg, u32 vvvv, const struct operand *o)
{
    u8 *begin = g->p;
    u32 x = o->memory && !o->rip && o->index != NO_REG ? o->index & 8 : 0, b = o->rip ? 0 : o->base & 8;
    PUT(g, 0xc4, (u8)((reg & 8 ? 0 : 0x80) | (x ? 0 : 0x40) | (b ? 0 : 0x20) | map),
        (u8)((wvlp & 0x87) | (~vvvv & 15) << 3), opcode);
    put_modrm(g, reg, o, 0);
    settle(g, begin);
}

/* Elements that a mask chooses; or that lie where a vector says, which is all zeros here. */
static void masked(struct random_code *g)
{
    static const u8 moves[] = {0x2c, 0x2d, 0x2e, 0x2f, 0x8c, 0x8e};
    u32 wl = pick(g, 2) << 7 | pick(g, 2) << 2 | 1, reg = pick(g, 13), zeros = reg + 1, mask = reg + 2;
    struct operand o = any_memory(g), r = reg_operand(zeros);
    if (!__builtin_cpu_supports("avx2"))
        return;
    if (pick(g, 2)) {
        u8 opcode = moves[pick(g, sizeof moves)];
        put_vex(g, 2, opcode < 0x80 ? wl & 0x7f : wl, opcode, reg, pick(g, 16), &o);
        return;
    }
    put_vex(g, 1, 5, 0xef, zeros, zeros, &r); /* vpxor */
    if (pick(g, 2)) {
        r.base = mask;
        put_vex(g, 1, 5, 0x76, mask, mask, &r); /* vpcmpeqd: all of them */
    }
    o = (struct operand){.memory = true, .base = pick(g, 2) ? RBX : R12, .index = zeros, .shift = pick(g, 4)};
    o.disp = (int32_t)pick(g, 256) - 128;
    put_vex(g, 2, wl, (u8)(0x90 + pick(g, 4)), reg, mask, &o);
}

static void x87(struct random_code *g)
{
    struct operand o = any_memory(g), back = any_memory(g);
    u32 wide = pick(g, 2) * 4;
    put(g, &(struct encoding){.opcode = (u8)(0xd9 + wide)}, 0, &o);
    put(g, &(struct encoding){.opcode = (u8)(0xd9 + wide)}, 3, &back);
}

static void string(struct random_code *g)
{
    static const u8 opcodes[] = {0xa4, 0xa5, 0xaa, 0xab, 0xa6, 0xac};
    u32 need = 1u << RSI | 1u << RDI | 1u << RCX | 1u << RAX;
    if (need & ~writable(g))
        return;
    for (u32 r = RSI; r <= RDI; r++) {
        u64 at = (u64)g->m->data + HEAP_AT + 8192 + pick(g, 4096);
        struct operand o = {.memory = true, .rip = true, .index = NO_REG, .address = at};
        put(g, &(struct encoding){.wide = true, .opcode = 0x8d}, r, &o);
    }
    struct operand count = reg_operand(RCX);
    put(g, &(struct encoding){.opcode = 0xc7, .immediate_size = 4, .immediate = pick(g, 20)}, 0, &count);
    bool down = !pick(g, 4);
    if (down)
        PUT(g, 0xfd);
    u8 *begin = g->p;
    if (pick(g, 3))
        PUT(g, 0xf3);
    PUT(g, opcodes[pick(g, sizeof opcodes)]);
    settle(g, begin);
    if (down)
        PUT(g, 0xfc);
}

static void stack(struct random_code *g)
{
    u8 *begin = g->p;
    switch (pick(g, 4)) {
    case 0: { /* push a; pop b */
        u32 a = any_register(g), b = pick_bit(g, writable(g));
        if (a & 8)
            PUT(g, 0x41);
        PUT(g, (u8)(0x50 | (a & 7)));
        begin = g->p;
        if (b & 8)
            PUT(g, 0x41);
        PUT(g, (u8)(0x58 | (b & 7)));
        settle(g, begin);
        break;
    }
    case 1: { /* push [memory]; pop [memory] */
        struct operand o = any_memory(g);
        if (!o.rip && o.base == RSP)
            o.base = RBX;
        put(g, &(struct encoding){.opcode = 0xff}, 6, &o);
        put(g, &(struct encoding){.opcode = 0x8f}, 0, &o);
        break;
    }
    case 2: /* pushfq; pop */
        PUT(g, 0x9c, 0x58);
        g->pointers &= ~1u, g->small &= ~1u;
        if (g->locked & 1)
            abort();
        break;
    default: /* lea from the stack */
    {
        struct operand o = {.memory = true, .base = RSP, .index = NO_REG, .disp = -64};
        put(g, &(struct encoding){.wide = true, .opcode = 0x8d}, pick_bit(g, writable(g)), &o);
    }
    }
}

static void any_instruction(struct random_code *g)
{
    static void (*const kinds[])(struct random_code *) = {
        arithmetic,  arithmetic, arithmetic, arithmetic, arithmetic,  by_immediate, by_immediate, shift,
        one_operand, multiply,   two_byte,   two_byte,   locked,      sse,          sse,          avx,
        masked,      x87,        string,     stack,      set_pointer, set_small};
    kinds[pick(g, sizeof kinds / sizeof kinds[0])](g);
}

/* ---- control flow ---- */

static void label(struct random_code *g)
{
    g->pointers = g->small = 0;
    if (g->nstarts < STARTS_MOST)
        g->starts[g->nstarts++] = (u64)g->p;
}

static void stretch(struct random_code *g)
{
    for (u32 n = 1 + pick(g, 8); n; n--)
        any_instruction(g);
}

static void forward_branch(struct random_code *g)
{
    u8 *from, how = (u8)pick(g, 8);
    if (how < 6) {
        PUT(g, 0x0f, (u8)(0x80 | pick(g, 16)), 0, 0, 0, 0);
    } else if (how == 6) {
        PUT(g, 0xe3, 5, 0xe9, 0, 0, 0, 0); /* jrcxz over a jump */
    } else {
        PUT(g, 0xe9, 0, 0, 0, 0);
    }
    from = g->p;
    u32 pointers = g->pointers, small = g->small;
    (void)pointers, (void)small;
    label(g);
    stretch(g);
    int32_t distance = (int32_t)(g->p - from);
    memcpy(from - 4, &distance, 4);
    label(g);
}

static void loop(struct random_code *g)
{
    struct operand counter = {
        .memory = true, .rip = true, .index = NO_REG, .address = (u64)g->m->data + COUNTERS_AT + 4ULL * g->counters++};
    put(g, &(struct encoding){.opcode = 0xc7, .immediate_size = 4, .immediate = 1 + pick(g, 4)}, 0, &counter);
    u8 *top = g->p;
    label(g);
    stretch(g);
    put(g, &(struct encoding){.opcode = 0xff}, 1, &counter); /* dec */
    if (g->p + 2 - top < 120 && pick(g, 2)) {
        PUT(g, 0x7f, (u8)(top - (g->p + 2)));
    } else {
        int32_t distance = (int32_t)(top - (g->p + 6));
        PUT(g, 0x0f, 0x8f);
        put_4(g, (u32)distance);
    }
    label(g);
}

/* Relative to the table, or absolute; where rewriting looks for tables or where it does not. */
static void jump_table(struct random_code *g)
{
    bool hidden = pick(g, 2);
    u32 *used = hidden ? &g->hidden_tables : &g->tables;
    u64 table = (u64)g->m->data + (hidden ? HIDDEN_TABLES_AT : TABLES_AT) + 16ULL * (*used)++;
    struct operand lea = {.memory = true, .rip = true, .index = NO_REG, .address = table};
    struct operand entry = {.memory = true, .base = RDX, .index = RCX, .shift = 2};
    struct operand count = reg_operand(RCX);
    if ((1u << RDX | 1u << RCX | 1u << RAX) & ~writable(g))
        return;
    put(g, &(struct encoding){.opcode = 0x83, .immediate_size = 1, .immediate = 3}, 4, &count); /* and ecx, 3 */
    put(g, &(struct encoding){.wide = true, .opcode = 0x8d}, RDX, &lea);
    put(g, &(struct encoding){.wide = true, .opcode = 0x63}, RAX, &entry); /* movsxd */
    PUT(g, 0x48, 0x01, 0xd0, 0xff, 0xe0);                                  /* add rax, rdx; jmp rax */
    for (u32 i = 0; i < 4; i++) {
        int32_t to = (int32_t)((u64)g->p - table);
        memcpy((u8 *)(uintptr_t)table + 4ULL * i, &to, 4);
        label(g);
        for (u32 n = pick(g, 3); n; n--)
            any_instruction(g);
    }
    label(g);
}

static void call(struct random_code *g)
{
    if (g->function + 1 >= FUNCTIONS || g->ncalls == 64)
        return;
    g->calls[g->ncalls].call = g->p;
    g->calls[g->ncalls++].to = g->function + 1 + pick(g, FUNCTIONS - g->function - 1);
    PUT(g, 0xe8, 0, 0, 0, 0);
    label(g);
}

/* All registers and flags to memory: all are needed up to here. */
static void dump(struct random_code *g)
{
    u64 at = (u64)g->m->data + DUMPS_AT + 256ULL * g->dumps++;
    for (u32 r = 0; r < 16; r++) {
        struct operand o = {.memory = true, .rip = true, .index = NO_REG, .address = at + 8ULL * r};
        put(g, &(struct encoding){.wide = true, .opcode = 0x89}, r, &o);
    }
    struct operand flags = {.memory = true, .rip = true, .index = NO_REG, .address = at + 128};
    PUT(g, 0x9c);
    put(g, &(struct encoding){.opcode = 0x8f}, 0, &flags);
}

/* What is read of the stack before it is written is the same each time: not what the slow path has left there. */
static void clear_stack(struct random_code *g)
{
    for (u32 i = 1; i <= 22; i++) {
        PUT(g, 0x48, 0xc7, 0x84, 0x24); /* mov qword [rsp - 8 * i], 0 */
        put_4(g, (u32) - (8 * (int32_t)i));
        put_4(g, 0);
    }
}

static void random_function(struct random_code *g)
{
    g->frame = !pick(g, 3);
    g->begin[g->function] = g->p;
    label(g);
    clear_stack(g);
    if (g->frame)
        PUT(g, 0x55, 0x48, 0x89, 0xe5, 0x48, 0x83, 0xec, 0x40), clear_stack(g);
    if (!g->frame)
        label(g);
    else
        g->pointers = g->small = 0;
    for (u32 n = 2 + pick(g, 5); n; n--) {
        /* With a frame, only the beginning is a start: rbp is wanted. */
        u32 starts = g->nstarts;
        switch (pick(g, 6)) {
        case 0:
            forward_branch(g);
            break;
        case 1:
            loop(g);
            break;
        case 2:
            call(g);
            break;
        case 3:
            jump_table(g);
            break;
        default:
            stretch(g);
        }
        if (g->frame)
            g->nstarts = starts;
    }
    if (pick(g, 2))
        dump(g);
    if (g->frame)
        PUT(g, 0xc9);
    PUT(g, 0xc3);
    g->end[g->function++] = g->p;
    for (u32 n = pick(g, 3) ? 0 : pick(g, 16); n; n--)
        PUT(g, 0x90);
}

/* Fills the machine's text. */
static void random_program(struct random_code *g)
{
    memset(g->m->text, 0xcc, TEXT_BYTES);
    g->p = g->m->text;
    while (g->function < FUNCTIONS)
        random_function(g);
    for (u32 i = 0; i < g->ncalls; i++) {
        int32_t distance = (int32_t)(g->begin[g->calls[i].to] - (g->calls[i].call + 5));
        memcpy(g->calls[i].call + 1, &distance, 4);
    }
}

#endif
