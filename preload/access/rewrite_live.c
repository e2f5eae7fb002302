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
    u32 callee; /* the function that it is in, when that is called or jumped to; NOWHERE */
    u16 reads, wholes;
    u8 flags_read, flags_written;
};
struct state {
    struct rewrite *r;
    LIST(struct effect) effects;
    bool crossed; /* something that other functions look at has changed: all are stale */
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

/* The function is called, and afterwards that much is needed. */
static void callee(struct state *s, u32 function, u16 registers, u8 flags)
{
    if (function == NOWHERE)
        return;
    struct function *f = &s->r->functions.item[function];
    if (!(registers & ~f->returns) && !(flags & ~f->returns_flags))
        return;
    f->returns |= registers;
    f->returns_flags |= flags;
    f->stale = true;
}

static struct live behind(struct state *s, const struct function *f, u32 i)
{
    const struct rewrite *r = s->r;
    const struct effect *e = &s->effects.item[i];
    struct live l = {0, 0};
    switch (r->places.item[i].flow) {
    case FLOW_CALL:
        join(&l, r, place_after(r, i));
        callee(s, e->callee, l.registers, l.flags);
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
        callee(s, e->callee, f->returns, f->returns_flags);
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
    if (p->marks & PLACE_ENTRY) {
        s->crossed |= flags != p->flags_live;
        f->entry_flags |= flags;
    }
    s->crossed |= changed && (p->marks & PLACE_SHARED);
    p->live = registers;
    p->flags_live = flags;
    return changed;
}

static void decode_effects(struct state *s)
{
    const struct rewrite *r = s->r;
    for (u32 n = 0; n < r->functions.n; n++) {
        const struct function *f = &r->functions.item[n];
        for (u32 i = f->first; i < f->end; i++) {
            const struct place *p = &r->places.item[i];
            struct insn in;
            place_decode(r, p, &in);
            bool leaves = p->target != NOWHERE && (p->target < f->first || p->target >= f->end);
            if (leaves && p->flow != FLOW_CALL)
                r->places.item[p->target].marks |= PLACE_SHARED;
            if (i + 1 == f->end && place_after(r, i) != NOWHERE)
                r->places.item[i + 1].marks |= PLACE_SHARED;
            u32 function = p->flow == FLOW_CALL || (p->flow == FLOW_JUMP && leaves) ? p->target : NOWHERE;
            if (function != NOWHERE)
                function = (u32)(function_of(r, function) - r->functions.item);
            s->effects.item[i] =
                (struct effect){p->target, function, in.reads, in.wholes, in.flags_read, in.flags_written};
        }
    }
}

static void settle(struct state *s, struct function *f)
{
    bool again = true;
    f->stale = false;
    for (u32 turn = 0; again && turn < PASSES; turn++) {
        again = false;
        for (u32 k = f->end; k-- > f->first;)
            again |= step(s, f, k);
    }
    f->stale |= again;
}

static bool pass(struct state *s)
{
    bool all = s->crossed, any = false;
    s->crossed = false;
    for (u32 i = s->r->functions.n; i-- > 0;)
        if (all || s->r->functions.item[i].stale)
            settle(s, &s->r->functions.item[i]);
    for (u32 i = 0; i < s->r->functions.n; i++)
        any |= s->r->functions.item[i].stale;
    return any || s->crossed;
}

bool rewrite_live(struct rewrite *r)
{
    struct state s = {.r = r, .crossed = true};
    bool changed = true;
    if (!LIST_HOLD(&s.effects, r->places.n + 1ULL))
        return false;
    decode_effects(&s);
    for (u32 i = 0; changed && i < PASSES; i++)
        changed = pass(&s);
    for (u32 i = 0; changed && i < r->places.n; i++) {
        r->places.item[i].live = REGS_ALL;
        r->places.item[i].flags_live = FLAGS_ALL;
    }
    LIST_FREE(&s.effects);
    return true;
}
