/* What random code (rewrite_random.h) is made with: its state, encodings and operands. */
#ifndef SNARL_TESTS_REWRITE_ENCODE_H
#define SNARL_TESTS_REWRITE_ENCODE_H

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

#endif
