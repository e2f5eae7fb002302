/* The walk with all registers, for frames that no recipe describes: CFA or saved registers given by longer expressions,
 * or relative to registers other than rsp and rbp. Called by memo.c and unwind.c when walk_fast met such a frame.
 *
 * Registers that the program's frames have saved may still be in the processor, or saved by our own functions in
 * between. So the walk begins here, in this function, and goes through our own frames until it stands in the program's.
 * Takes no lock (modules_read_enter per frame), allocates nothing. */
#include "internal.h"

#include <errno.h>

#include "safe.h"

#define OWN_FRAMES 64u
#define CALLEE_SAVED (1u << REG_RBX | 1u << REG_RBP | 1u << REG_RSP | 0xfu << 12 | 1u << REG_RA)

struct full {
    struct cfi_frame f;
    bool exact;
    const struct thread *thread;
    struct stack_region stack;
};

static bool read_memory(void *arg, u64 addr, u64 *value)
{
    struct full *w = arg;
    if (!region_holds(&w->stack, addr, 8))
        return safe_read(addr, value);
    *value = *(const u64 *)addr;
    return true;
}

static bool find_cfa(struct full *w, const struct cfi_row *row, const struct cfi_memory *m, u64 *cfa)
{
    if (row->cfa.kind == CFI_IS_EXPR)
        return !cfi_evaluate(m, &row->cfa, &w->f, false, 0, read_memory, w, cfa);
    *cfa = w->f.reg[row->cfa.length] + (u64)row->cfa.value;
    return w->f.known >> row->cfa.length & 1;
}

/* The caller's value of one register; false: not known. */
static bool recover(struct full *w, u32 reg, const struct cfi_rule *rule, const struct cfi_memory *m, u64 cfa,
                    u64 *value)
{
    u64 at;
    switch (rule->kind) {
    case CFI_UNSET:
    case CFI_SAME:
        *value = reg == REG_RSP ? cfa : w->f.reg[reg];
        return reg == REG_RSP || (w->f.known >> reg & 1);
    case CFI_AT_CFA:
        return read_memory(w, cfa + (u64)rule->value, value);
    case CFI_IS_CFA:
        *value = cfa + (u64)rule->value;
        return true;
    case CFI_REGISTER:
        *value = w->f.reg[rule->value];
        return w->f.known >> rule->value & 1;
    case CFI_AT_EXPR:
        return !cfi_evaluate(m, rule, &w->f, true, cfa, read_memory, w, &at) && read_memory(w, at, value);
    case CFI_IS_EXPR:
        return !cfi_evaluate(m, rule, &w->f, true, cfa, read_memory, w, value);
    default:
        return false;
    }
}

/* To the caller's frame. 0, or -ENOENT at the end, or -EPROTO when it cannot go on. */
static int full_step(struct full *w)
{
    struct cfi_row row;
    struct cfi_memory m;
    struct cfi_frame next = {.known = 0};
    u64 mask, cfa = 0, pc = w->f.reg[REG_RA];
    bool entered = modules_read_enter(&mask);
    int err = !entered || recipe_row(pc, w->exact, &row, &m) ? -EPROTO : 0;
    if (!err && row.reg[REG_RA].kind == CFI_UNDEFINED)
        err = -ENOENT;
    else if (!err && (row.reg[REG_RA].kind == CFI_UNSET || !find_cfa(w, &row, &m, &cfa)))
        err = -EPROTO;
    for (u32 i = 0; !err && i < CFI_REGS; i++)
        if (recover(w, i, &row.reg[i], &m, cfa, &next.reg[i]))
            next.known |= 1u << i;
    modules_read_leave(entered, mask);
    if (err)
        return err;
    if (!(next.known >> REG_RA & 1) || !(next.known >> REG_RSP & 1) || (!row.signal && cfa <= w->f.reg[REG_RSP]))
        return -EPROTO;
    w->f = next;
    w->exact = row.signal;
    if (row.signal)
        region_at(&w->stack, w->thread, next.reg[REG_RSP], false);
    return next.reg[REG_RA] ? 0 : -ENOENT;
}

/* Sets the registers to those of the program's frame: its call of the function whose frame is fp. */
static void begin(struct full *w, const u64 *fp)
{
    u64 target = (u64)(fp + 2);
    for (u32 i = 0; i < OWN_FRAMES && w->f.reg[REG_RSP] < target; i++)
        if (full_step(w))
            break;
    if (w->f.reg[REG_RSP] == target && w->f.reg[REG_RA] == fp[1])
        return;
    w->f = (struct cfi_frame){.known = 1u << REG_RBP | 1u << REG_RSP | 1u << REG_RA};
    w->f.reg[REG_RBP] = fp[0];
    w->f.reg[REG_RSP] = target;
    w->f.reg[REG_RA] = fp[1];
    w->exact = false;
    region_at(&w->stack, w->thread, target, true);
}

static void follow(struct full *w, struct walk_out *o)
{
    for (u32 steps = 0; steps < 4 * STACK_MAX_FRAMES; steps++) {
        struct recipe r;
        recipe_get(w->f.reg[REG_RA], w->exact, &r);
        bool shown = !(r.bits & RECIPE_SNARL);
        if (shown && !walk_add(o, &r, w->f.reg[REG_RA])) {
            o->flags |= STACK_CUT;
            return;
        }
        int err = full_step(w);
        if (err == -ENOENT)
            return;
        if (err)
            break;
        if (o->out && shown)
            o->out[o->n - 1].cfa = w->f.reg[REG_RSP];
    }
    o->flags |= STACK_INCOMPLETE;
}

__attribute__((noinline)) void walk_full(const struct thread *t, const u64 *fp, struct walk_out *o)
{
    struct full w = {.thread = t, .exact = true, .f.known = CALLEE_SAVED};
    u64 *reg = w.f.reg;
    /* Our own registers now; at label 1 the unwind tables tell where this function has put its caller's. */
    __asm__ volatile("movq %%rbx, 24(%0)\n\t"
                     "movq %%rbp, 48(%0)\n\t"
                     "movq %%rsp, 56(%0)\n\t"
                     "movq %%r12, 96(%0)\n\t"
                     "movq %%r13, 104(%0)\n\t"
                     "movq %%r14, 112(%0)\n\t"
                     "movq %%r15, 120(%0)\n\t"
                     "leaq 1f(%%rip), %%rax\n"
                     "1:\tmovq %%rax, 128(%0)"
                     :
                     : "r"(reg)
                     : "rax", "memory");
    region_at(&w.stack, t, reg[REG_RSP], true);
    begin(&w, fp);
    follow(&w, o);
}
