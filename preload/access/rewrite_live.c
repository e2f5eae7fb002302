/* Which registers and flags are still needed at each instruction: a check may use the others. Called after the entries
 * are known. Takes no lock; memory from the system, given back.
 *
 * Backwards over the whole module until nothing changes: what is needed before an instruction is what is needed after
 * it, without what it writes whole, with what it reads. What is not known is needed: at indirect jumps everything; at
 * calls all registers, for a callee may get them, or an exception leads to a place that wants them.
 *
 * Flags are passed by an indirect jump only to such places of its function as want them and are known to be reached from
 * somewhere: compilers pass none, and hand-written code only within a function.
 *
 * Behind a return the ABI's results are needed and what callers expect to be kept; what this function leaves alone, for
 * a caller in the same module may count on that; and what is needed after any call of it in this module: hand-written
 * code has conventions of its own, for flags as well, which it may also pass. */
#include "rewrite.h"

#define PASSES 40u /* then nothing is known */

/* The ABI's: results, and registers that are the caller's again. */
#define RETURNED (1u << RAX | 1u << RDX | 1u << RBX | 1u << RSP | 1u << RBP | 0xf000u)

struct live {
    u16 registers;
    u8 flags;
};

/* What an instruction does, decoded once. */
struct effect {
    u32 target; /* place */
    u16 reads, wholes;
    u8 flags_read, flags_written;
};
struct state {
    struct rewrite *r;
    LIST(struct effect) effects;
    bool changed;
};

static void join(struct live *l, const struct rewrite *r, u32 place)
{
    if (place == NOWHERE) {
        *l = (struct live){REGS_ALL, FLAGS_ALL};
        return;
    }
    l->registers |= r->places.item[place].live;
    l->flags |= r->places.item[place].flags_live;
}

/* The function at this place is called, and afterwards that much is needed. */
static void callee(struct state *s, u32 place, u16 registers, u8 flags)
{
    if (place == NOWHERE)
        return;
    struct function *f = function_of(s->r, place);
    if (!(registers & ~f->returns) && !(flags & ~f->returns_flags))
        return;
    f->returns |= registers;
    f->returns_flags |= flags;
    s->changed = true;
}

static struct live behind(struct state *s, const struct function *f, u32 i)
{
    const struct rewrite *r = s->r;
    const struct effect *e = &s->effects.item[i];
    struct live l = {0, 0};
    switch (r->places.item[i].flow) {
    case FLOW_CALL:
        join(&l, r, place_after(r, i));
        callee(s, e->target, l.registers, l.flags);
        return (struct live){REGS_ALL, e->target == NOWHERE ? 0 : r->places.item[e->target].flags_live};
    case FLOW_CALL_INDIRECT:
        return (struct live){REGS_ALL, 0};
    case FLOW_RETURN:
        return (struct live){(u16)(RETURNED | f->returns | ~f->writes), f->returns_flags};
    case FLOW_JUMP_INDIRECT:
        return (struct live){REGS_ALL, f->entry_flags};
    case FLOW_STOP:
        return (struct live){REGS_ALL, 0};
    case FLOW_JUMP: /* perhaps to another function, which then returns for this one */
        if (e->target != NOWHERE && (e->target < f->first || e->target >= f->end))
            callee(s, e->target, f->returns, f->returns_flags);
        join(&l, r, e->target);
        return l;
    case FLOW_BRANCH:
    case FLOW_LOOP:
        join(&l, r, e->target);
        join(&l, r, place_after(r, i));
        return l;
    default:
        join(&l, r, place_after(r, i));
        return l;
    }
}

static bool step(struct state *s, struct function *f, u32 i)
{
    struct place *p = &s->r->places.item[i];
    const struct effect *e = &s->effects.item[i];
    struct live l = behind(s, f, i);
    u16 registers = (u16)((l.registers & ~e->wholes) | e->reads | 1u << RSP);
    u8 flags = (u8)((l.flags & ~e->flags_written) | e->flags_read);
    bool changed = registers != p->live || flags != p->flags_live;
    p->live = registers;
    p->flags_live = flags;
    if (p->marks & PLACE_ENTRY)
        f->entry_flags |= flags;
    return changed;
}

static void decode_effects(struct state *s)
{
    const struct rewrite *r = s->r;
    for (u32 i = 0; i < r->places.n; i++) {
        const struct place *p = &r->places.item[i];
        struct insn in;
        place_decode(r, p, &in);
        bool relative = flow_has_target(p->flow) || p->flow == FLOW_CALL;
        s->effects.item[i] = (struct effect){relative ? place_at(r, place_target(r, p, &in)) : NOWHERE, in.reads,
                                             in.wholes, in.flags_read, in.flags_written};
    }
}

bool rewrite_live(struct rewrite *r)
{
    struct state s = {.r = r, .changed = true};
    if (!LIST_HOLD(&s.effects, r->places.n + 1ULL))
        return false;
    decode_effects(&s);
    for (u32 pass = 0; s.changed && pass < PASSES; pass++) {
        s.changed = false;
        for (u32 i = r->functions.n; i-- > 0;) {
            struct function *f = &r->functions.item[i];
            bool again = true;
            for (u32 turn = 0; again && turn < PASSES; turn++) {
                again = false;
                for (u32 k = f->end; k-- > f->first;)
                    again |= step(&s, f, k);
                s.changed |= again;
            }
        }
    }
    for (u32 i = 0; s.changed && i < r->places.n; i++) {
        r->places.item[i].live = REGS_ALL;
        r->places.item[i].flags_live = FLAGS_ALL;
    }
    LIST_FREE(&s.effects);
    return true;
}
