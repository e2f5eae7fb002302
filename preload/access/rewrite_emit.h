/* Writes machine code: the few instructions that checks and copies are made of. Pure: bytes out. */
#ifndef SNARL_ACCESS_REWRITE_EMIT_H
#define SNARL_ACCESS_REWRITE_EMIT_H

#include "access/rewrite_insn.h"

/* Code goes to p, where it will run. When there is no room left nothing is written any more, and full is set. */
struct emit {
    u8 *p, *end;
    bool full;
};

static inline bool emit_bytes(struct emit *e, const void *bytes, u32 n)
{
    if ((u64)(e->end - e->p) < n) {
        e->full = true;
        return false;
    }
    __builtin_memcpy(e->p, bytes, n);
    e->p += n;
    return true;
}
static inline void emit_1(struct emit *e, u32 b)
{
    u8 v = (u8)b;
    emit_bytes(e, &v, 1);
}
static inline void emit_4(struct emit *e, u32 v)
{
    emit_bytes(e, &v, 4);
}
#define EMIT(e, ...) emit_bytes(e, (const u8[]){__VA_ARGS__}, sizeof((const u8[]){__VA_ARGS__}))

/* A displacement to `to` from behind these 4 bytes. */
static inline void emit_relative(struct emit *e, u64 to)
{
    emit_4(e, (u32)(to - ((u64)e->p + 4)));
}
static inline void emit_jump(struct emit *e, u64 to)
{
    emit_1(e, 0xe9);
    emit_relative(e, to);
}
/* However far: jmp [rip + 0], and the address. */
#define EMIT_FAR_JUMP 14u
static inline void emit_far_jump(struct emit *e, u64 to)
{
    EMIT(e, 0xff, 0x25, 0, 0, 0, 0);
    emit_bytes(e, &to, sizeof to);
}
static inline void emit_call(struct emit *e, u64 to)
{
    emit_1(e, 0xe8);
    emit_relative(e, to);
}
/* push sign-extends: the upper half is put right behind it. */
static inline void emit_push_address(struct emit *e, u64 address)
{
    emit_1(e, 0x68);
    emit_4(e, (u32)address);
    EMIT(e, 0xc7, 0x44, 0x24, 4); /* mov dword [rsp + 4], upper half */
    emit_4(e, (u32)(address >> 32));
}
#define PUSH_ADDRESS_BYTES 13u
/* A conditional jump whose displacement is filled in later (emit_patch): returns where. */
static inline u8 *emit_branch(struct emit *e, u32 condition)
{
    EMIT(e, 0x0f, (u8)(0x80 | condition), 0, 0, 0, 0);
    return e->p - 4;
}
static inline void emit_patch(u8 *displacement, u64 to)
{
    u32 v = (u32)(to - ((u64)displacement + 4));
    __builtin_memcpy(displacement, &v, 4);
}
#define CONDITION_NOT_EQUAL 5u

/* REX, if one is needed. */
static inline void emit_rex(struct emit *e, bool wide, u32 reg, u32 index, u32 base)
{
    u32 rex = (wide ? 8u : 0) | (reg & 8) >> 1 | (index < REG_NONE ? (index & 8) >> 2 : 0) |
              (base < REG_NONE ? (base & 8) >> 3 : 0);
    if (rex)
        emit_1(e, 0x40 | rex);
}
/* op reg, rm with two registers */
static inline void emit_registers(struct emit *e, bool wide, u32 op, u32 reg, u32 rm)
{
    emit_rex(e, wide, reg, REG_NONE, rm);
    EMIT(e, (u8)op, (u8)(0xc0 | (reg & 7) << 3 | (rm & 7)));
}
/* op with ModRM's memory operand [base + index << shift + disp] */
static inline void emit_memory(struct emit *e, bool wide, u32 op, u32 reg, u32 base, u32 index, u32 shift, int64_t disp)
{
    emit_rex(e, wide, reg, index, base);
    u32 field = (reg & 7) << 3;
    u32 x = index < REG_NONE ? (index & 7) << 3 : 4u << 3;
    emit_1(e, op);
    if (base == REG_NONE) {
        EMIT(e, (u8)(field | 4), (u8)(shift << 6 | x | 5));
        emit_4(e, (u32)disp);
        return;
    }
    u32 mod = disp == 0 && (base & 7) != 5 ? 0 : disp >= -128 && disp < 128 ? 1 : 2;
    if (index != REG_NONE || (base & 7) == 4)
        EMIT(e, (u8)(mod << 6 | field | 4), (u8)(shift << 6 | x | (base & 7)));
    else
        emit_1(e, mod << 6 | field | (base & 7));
    if (mod == 1)
        emit_1(e, (u32)disp & 0xff);
    else if (mod == 2)
        emit_4(e, (u32)disp);
}
/* op reg, [rip + ...]: at that address */
static inline void emit_rip(struct emit *e, bool wide, u32 op, u32 reg, u64 address)
{
    emit_rex(e, wide, reg, REG_NONE, REG_NONE);
    EMIT(e, (u8)op, (u8)((reg & 7) << 3 | 5));
    emit_relative(e, address);
}
/* op reg, fs:[offset] */
static inline void emit_fs(struct emit *e, bool wide, u32 op, u32 reg, int32_t offset)
{
    emit_1(e, 0x64);
    emit_memory(e, wide, op, reg, REG_NONE, REG_NONE, 0, offset);
}

enum { OP_MOV_STORE = 0x89, OP_MOV_LOAD = 0x8b, OP_LEA = 0x8d, OP_XOR = 0x33, OP_OR = 0x0b, OP_CMP = 0x3b };
/* Of the group 81/83: by an immediate. */
enum { GROUP_OR = 1, GROUP_AND = 4, GROUP_XOR = 6 };
static inline void emit_immediate(struct emit *e, bool wide, u32 op, u32 reg, int32_t v)
{
    emit_rex(e, wide, 0, REG_NONE, reg);
    bool small = v >= -128 && v < 128;
    EMIT(e, small ? 0x83 : 0x81, (u8)(0xc0 | op << 3 | (reg & 7)));
    if (small)
        emit_1(e, (u32)v & 0xff);
    else
        emit_4(e, (u32)v);
}

#endif
