/* Random functions: arithmetic of every width, memory operands of every form, vectors, strings, locked instructions,
 * branches, loops, calls, jump tables. Whatever is drawn, they end, and touch the data and the stack of the machine only.
 * RBX and R12 point into the data and are never written. */
#ifndef SNARL_TESTS_REWRITE_RANDOM_H
#define SNARL_TESTS_REWRITE_RANDOM_H

#include "rewrite_machine.h"

#define FUNCTIONS 4u
#define STARTS_MOST 64u
#define TABLES_AT 0u /* offsets in the data: jump tables that are known, those that are not, then what code uses */
#define HIDDEN_TABLES_AT 4096u
#define COUNTERS_AT 8192u
#define DUMPS_AT 12288u
#define HEAP_AT 24576u
#define HEAP_BYTES 16384u
#define NO_REG 16u

struct random_code {
    struct machine *m;
    u64 (*draw)(void *arg);
    void *arg;
    u8 *p;
    u32 pointers, small, locked; /* registers: point into the data; hold 0 to 7; may not be written */
    u32 function, counters, tables, hidden_tables, dumps;
    bool frame;
    u8 *begin[FUNCTIONS], *end[FUNCTIONS];
    u64 starts[STARTS_MOST]; /* where execution may begin with any registers but RBX and R12 */
    u32 nstarts;
    struct {
        u8 *call;
        u32 to;
    } calls[64];
    u32 ncalls;
};

static u32 pick(struct random_code *g, u32 n)
{
    return (u32)(g->draw(g->arg) % n);
}
static u32 pick_bit(struct random_code *g, u32 set)
{
    u32 skip = pick(g, (u32)__builtin_popcount(set));
    while (skip--)
        set &= set - 1;
    return (u32)__builtin_ctz(set);
}
static u32 writable(const struct random_code *g)
{
    return 0xffffu & ~(1u << RSP | 1u << RBX | 1u << R12 | g->locked | (g->frame ? 1u << RBP : 0));
}
static u32 any_register(struct random_code *g)
{
    return pick_bit(g, 0xffffu & ~(1u << RSP));
}

/* ---- encoding ---- */

struct operand {
    bool memory, rip;
    u32 base, index, shift; /* or the register */
    int32_t disp;
    u64 address;
};

static void put_bytes(struct random_code *g, const void *bytes, u32 n)
{
    memcpy(g->p, bytes, n);
    g->p += n;
}
#define PUT(g, ...) put_bytes(g, (const u8[]){__VA_ARGS__}, sizeof((const u8[]){__VA_ARGS__}))
static void put_4(struct random_code *g, u32 v)
{
    put_bytes(g, &v, 4);
}

/* What has been written is forgotten of registers that it changes. */
static void settle(struct random_code *g, const u8 *begin)
{
    struct insn in;
    if (!insn_decode(begin, (u64)(g->p - begin), &in) || begin + in.length != g->p ||
        (in.writes & ~writable(g) & ~(1u << RSP)))
        abort(); /* the generator's own mistake */
    g->pointers &= ~(u32)in.writes;
    g->small &= ~(u32)in.writes;
}

/* escape: 0, 0x0f, 0x0f38, 0x0f3a. immediate_size: of imm. byte_reg: 8-bit registers are among them. */
struct encoding {
    u8 prefix, prefix2;
    bool wide, byte_reg;
    u32 escape;
    u8 opcode;
    u8 immediate_size;
    u32 immediate;
};

static void put_modrm(struct random_code *g, u32 reg, const struct operand *o, u32 after)
{
    u32 field = (reg & 7) << 3;
    if (!o->memory) {
        PUT(g, (u8)(0xc0 | field | (o->base & 7)));
    } else if (o->rip) {
        PUT(g, (u8)(field | 5));
        put_4(g, (u32)(o->address - (u64)(g->p + 4 + after)));
    } else {
        bool sib = o->index != NO_REG || (o->base & 7) == 4;
        u32 mod = !o->disp && (o->base & 7) != 5 ? 0 : o->disp >= -128 && o->disp < 128 ? 1 : 2;
        PUT(g, (u8)(mod << 6 | field | (sib ? 4 : (o->base & 7))));
        if (sib)
            PUT(g, (u8)(o->shift << 6 | (o->index == NO_REG ? 4 : o->index & 7) << 3 | (o->base & 7)));
        if (mod == 1)
            PUT(g, (u8)o->disp);
        else if (mod == 2)
            put_4(g, (u32)o->disp);
    }
}

static void put(struct random_code *g, const struct encoding *e, u32 reg, const struct operand *o)
{
    u8 *begin = g->p;
    if (e->prefix2)
        PUT(g, e->prefix2);
    if (e->prefix)
        PUT(g, e->prefix);
    u32 rex = (e->wide ? 8u : 0) | (reg & 8) >> 1;
    if (!o->rip)
        rex |= (o->base & 8) >> 3 | (o->memory && o->index != NO_REG ? (o->index & 8) >> 2 : 0);
    if (rex || (e->byte_reg && (reg >= 4 || (!o->memory && o->base >= 4))))
        PUT(g, (u8)(0x40 | rex));
    if (e->escape)
        PUT(g, 0x0f);
    if (e->escape > 0xff)
        PUT(g, (u8)e->escape);
    PUT(g, e->opcode);
    put_modrm(g, reg, o, e->immediate_size);
    put_bytes(g, &e->immediate, e->immediate_size);
    settle(g, begin);
}

/* ---- operands ---- */

static struct operand reg_operand(u32 r)
{
    return (struct operand){.base = r, .index = NO_REG};
}

static struct operand any_memory(struct random_code *g)
{
    struct operand o = {.memory = true, .index = NO_REG};
    u32 how = pick(g, 16);
    if (how < 3) {
        o.rip = true;
        o.address = (u64)g->m->data + HEAP_AT + pick(g, 512);
        return o;
    }
    if (how == 3 || (how == 4 && g->frame)) {
        o.base = how == 3 ? RSP : RBP;
        o.disp = how == 3 ? -8 - (int32_t)pick(g, 12) * 8 : -8 - (int32_t)pick(g, 7) * 8;
        return o;
    }
    o.base = pick_bit(g, g->pointers | 1u << RBX | 1u << R12);
    o.disp = pick(g, 4) ? (int32_t)pick(g, 256) - 128 : pick(g, 3) ? 0 : (int32_t)pick(g, 2048) - 1024;
    if (pick(g, 3))
        o.disp &= ~7;
    if (g->small && !pick(g, 2)) {
        o.index = pick_bit(g, g->small);
        o.shift = pick(g, 4);
    }
    return o;
}

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
        arithmetic, arithmetic,  arithmetic, arithmetic, arithmetic, by_immediate, by_immediate,
        shift,      one_operand, multiply,   two_byte,   two_byte,   locked,       sse,
        sse,        avx,         x87,        string,     stack,      set_pointer,  set_small};
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
