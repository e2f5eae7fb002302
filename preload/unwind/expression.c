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

static u64 arithmetic(u32 op, u64 a, u64 b)
{
    int64_t sa = (int64_t)a, sb = (int64_t)b;
    switch (op) {
    case 0x1a:
        return a & b;
    case 0x1b: /* signed; the one quotient that does not fit wraps */
        return sb == -1 ? 0 - a : (u64)(sa / sb);
    case 0x1c:
        return a - b;
    case 0x1d:
        return a % b;
    case 0x1e:
        return a * b;
    case 0x21:
        return a | b;
    case 0x22:
        return a + b;
    case 0x24:
        return b < 64 ? a << b : 0;
    case 0x25:
        return b < 64 ? a >> b : 0;
    case 0x26:
        return (u64)(sa >> (b < 64 ? b : 63));
    default: /* 0x27 */
        return a ^ b;
    }
}

static bool comparison(u32 op, int64_t a, int64_t b)
{
    switch (op) {
    case 0x29:
        return a == b;
    case 0x2a:
        return a >= b;
    case 0x2b:
        return a > b;
    case 0x2c:
        return a <= b;
    case 0x2d:
        return a < b;
    default: /* 0x2e */
        return a != b;
    }
}

static void two_operands(struct machine *m, u32 op)
{
    u64 b = pop(m), a = pop(m);
    if (op >= 0x29)
        push(m, comparison(op, (int64_t)a, (int64_t)b));
    else if ((op == 0x1b || op == 0x1d) && !b)
        m->r.bad = true;
    else
        push(m, arithmetic(op, a, b));
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

/* What moves values around: 0x12 to 0x17. */
static void stack_operation(struct machine *m, u32 op)
{
    if (op == 0x12)
        pick(m, 0);
    else if (op == 0x13)
        pop(m);
    else if (op == 0x14)
        pick(m, 1);
    else if (op == 0x15)
        pick(m, cfi_fixed(&m->r, 1));
    else
        rotate(m, op - 0x14);
}

static void other_operation(struct machine *m, u32 op)
{
    u64 v;
    switch (op) {
    case 0x03: /* addr */
        push(m, cfi_fixed(&m->r, 8));
        break;
    case 0x06:
        dereference(m, 8);
        break;
    case 0x10: /* constu, consts */
        push(m, cfi_uleb(&m->r));
        break;
    case 0x11:
        push(m, (u64)cfi_sleb(&m->r));
        break;
    case 0x19: /* abs, neg, not */
        v = pop(m);
        push(m, (int64_t)v < 0 ? 0 - v : v);
        break;
    case 0x1f:
        push(m, 0 - pop(m));
        break;
    case 0x20:
        push(m, ~pop(m));
        break;
    case 0x23: /* plus_uconst */
        v = pop(m);
        push(m, v + cfi_uleb(&m->r));
        break;
    case 0x92: /* bregx */
        v = cfi_uleb(&m->r);
        push_register(m, v, cfi_sleb(&m->r));
        break;
    case 0x94: /* deref_size */
        dereference(m, cfi_fixed(&m->r, 1));
        break;
    default:
        m->r.bad |= op != 0x96; /* nop */
    }
}

static void step(struct machine *m, u32 op)
{
    if (op >= 0x70 && op <= 0x8f) /* breg */
        push_register(m, op - 0x70, cfi_sleb(&m->r));
    else if (op >= 0x30 && op <= 0x4f) /* lit */
        push(m, op - 0x30);
    else if (op >= 0x08 && op <= 0x0f)
        constant(m, op);
    else if (op >= 0x12 && op <= 0x17)
        stack_operation(m, op);
    else if (op == 0x28 || op == 0x2f) /* bra, skip */
        jump(m, op == 0x2f || pop(m));
    else if ((op >= 0x1a && op <= 0x1e) || op == 0x21 || op == 0x22 || (op >= 0x24 && op <= 0x2e))
        two_operands(m, op);
    else
        other_operation(m, op);
}

int cfi_evaluate(const struct cfi_memory *memory, const struct cfi_rule *rule, const struct cfi_frame *f,
                 bool has_initial, u64 initial, cfi_get get, void *arg, u64 *result)
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
