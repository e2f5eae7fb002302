/* DWARF expressions in unwind tables (DWARF 4, 2.5.1): signal frames, realigned stacks, procedure linkage tables.
 * Called by full.c and recipe.c. Takes no lock, allocates nothing. Bounded: 64 values, 1024 steps. */
#include <errno.h>

#include "cfi.h"

#define STACK_DEPTH 64u
#define MAX_STEPS 1024u

struct machine {
    struct cfi_reader r;
    u64 start;
    u64 stack[STACK_DEPTH];
    u32 depth;
    const struct cfi_frame *frame;
    cfi_get get;
    void *arg;
};

static void push(struct machine *m, u64 v)
{
    if (m->depth < STACK_DEPTH)
        m->stack[m->depth++] = v;
    else
        m->r.bad = true;
}

static u64 pop(struct machine *m)
{
    if (!m->depth) {
        m->r.bad = true;
        return 0;
    }
    return m->stack[--m->depth];
}

static void push_register(struct machine *m, u64 reg, int64_t offset)
{
    if (reg >= CFI_REGS || !(m->frame->known >> reg & 1))
        m->r.bad = true;
    else
        push(m, m->frame->reg[reg] + (u64)offset);
}

/* The value n below the top, on top. */
static void pick(struct machine *m, u64 n)
{
    if (n >= m->depth)
        m->r.bad = true;
    else
        push(m, m->stack[m->depth - 1 - n]);
}

static void rotate(struct machine *m, u32 n)
{
    if (m->depth < n) {
        m->r.bad = true;
        return;
    }
    u64 top = m->stack[m->depth - 1];
    for (u32 i = 1; i < n; i++)
        m->stack[m->depth - i] = m->stack[m->depth - i - 1];
    m->stack[m->depth - n] = top;
}

static void dereference(struct machine *m, u64 bytes)
{
    u64 v = 0;
    if (!bytes || bytes > 8 || !m->get(m->arg, pop(m), &v))
        m->r.bad = true;
    push(m, bytes >= 8 ? v : v & ((1ULL << (8 * bytes)) - 1));
}

static void jump(struct machine *m, bool taken)
{
    int64_t by = (int16_t)cfi_fixed(&m->r, 2);
    if (!taken)
        return;
    u64 to = m->r.at + (u64)by;
    if (to < m->start || to > m->r.end)
        m->r.bad = true;
    else
        m->r.at = to;
}

static void two_operands(struct machine *m, u32 op)
{
    u64 b = pop(m), a = pop(m);
    int64_t sa = (int64_t)a, sb = (int64_t)b;
    bool overflow = a == 1ULL << 63 && sb == -1;
    switch (op) {
    case 0x1a: push(m, a & b); break;
    case 0x1b: push(m, !b ? 0 : overflow ? a : (u64)(sa / sb)); m->r.bad |= !b; break;
    case 0x1c: push(m, a - b); break;
    case 0x1d: push(m, !b ? 0 : a % b); m->r.bad |= !b; break;
    case 0x1e: push(m, a * b); break;
    case 0x21: push(m, a | b); break;
    case 0x22: push(m, a + b); break;
    case 0x24: push(m, b < 64 ? a << b : 0); break;
    case 0x25: push(m, b < 64 ? a >> b : 0); break;
    case 0x26: push(m, (u64)(sa >> (b < 64 ? b : 63))); break;
    case 0x27: push(m, a ^ b); break;
    case 0x29: push(m, sa == sb); break;
    case 0x2a: push(m, sa >= sb); break;
    case 0x2b: push(m, sa > sb); break;
    case 0x2c: push(m, sa <= sb); break;
    case 0x2d: push(m, sa < sb); break;
    default: push(m, sa != sb); break; /* 0x2e */
    }
}

static void constant(struct machine *m, u32 op)
{
    u32 bytes = 1u << ((op - 0x08) / 2);
    u64 v = cfi_fixed(&m->r, bytes);
    if ((op & 1) && bytes < 8) {
        u64 sign = 1ULL << (8 * bytes - 1);
        v = (v ^ sign) - sign;
    }
    push(m, v);
}

static void step(struct machine *m, u32 op)
{
    u64 v;
    if (op >= 0x30 && op <= 0x4f) {
        push(m, op - 0x30);
        return;
    }
    if (op >= 0x70 && op <= 0x8f) {
        push_register(m, op - 0x70, cfi_sleb(&m->r));
        return;
    }
    if (op >= 0x08 && op <= 0x0f) {
        constant(m, op);
        return;
    }
    switch (op) {
    case 0x03: push(m, cfi_fixed(&m->r, 8)); break;
    case 0x06: dereference(m, 8); break;
    case 0x10: push(m, cfi_uleb(&m->r)); break;
    case 0x11: push(m, (u64)cfi_sleb(&m->r)); break;
    case 0x12: pick(m, 0); break;
    case 0x13: pop(m); break;
    case 0x14: pick(m, 1); break;
    case 0x15: pick(m, cfi_fixed(&m->r, 1)); break;
    case 0x16: rotate(m, 2); break;
    case 0x17: rotate(m, 3); break;
    case 0x19: v = pop(m); push(m, (int64_t)v < 0 ? 0 - v : v); break;
    case 0x1f: push(m, 0 - pop(m)); break;
    case 0x20: push(m, ~pop(m)); break;
    case 0x23: v = pop(m); push(m, v + cfi_uleb(&m->r)); break;
    case 0x28: jump(m, pop(m) != 0); break;
    case 0x2f: jump(m, true); break;
    case 0x92: v = cfi_uleb(&m->r); push_register(m, v, cfi_sleb(&m->r)); break;
    case 0x94: dereference(m, cfi_fixed(&m->r, 1)); break;
    case 0x96: break; /* nop */
    default:
        if ((op >= 0x1a && op <= 0x1e) || op == 0x21 || op == 0x22 || (op >= 0x24 && op <= 0x27) || (op >= 0x29 && op <= 0x2e))
            two_operands(m, op);
        else
            m->r.bad = true;
    }
}

int cfi_evaluate(const struct cfi_memory *memory, const struct cfi_rule *rule, const struct cfi_frame *f, bool has_initial,
                 u64 initial, cfi_get get, void *arg, u64 *result)
{
    struct machine m;
    m.depth = 0;
    m.frame = f;
    m.get = get;
    m.arg = arg;
    m.start = (u64)rule->value;
    cfi_reader_at(&m.r, memory, m.start, m.start + rule->length);
    if (has_initial)
        push(&m, initial);
    for (u32 steps = 0; !m.r.bad && m.r.at < m.r.end; steps++) {
        if (steps == MAX_STEPS)
            return -EPROTO;
        step(&m, (u32)cfi_fixed(&m.r, 1));
    }
    *result = pop(&m);
    return m.r.bad ? -EPROTO : 0;
}
