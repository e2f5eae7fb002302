/* Copies functions to the arena, with their checks. Called when it is known what is checked. Changes nothing but the
 * arena and r. Takes no lock; memory from the system, given back.
 *
 *     original                      copy
 *       mov eax, [rdi]                check; mov eax, [rdi]
 *       mov [rip + x], eax            check; mov [rip + x'], eax      the same variable
 *       jne there                     jne there'                      the copy of `there`
 *       call g                        jmp to the original call        it returns to the original, which is patched
 *       call g, where it cannot stay  push the same return address; jmp g
 *       lock inc [rdi]                check; lock inc [rdi]; end of it
 *       jrcxz there                   jrcxz 1f; jmp 2f; 1: jmp there'; 2:
 *       ret                           ret
 *
 * A branch to code without a copy goes to the original. */
#include "rewrite_copy.h"

#define ALIGN 16u

struct fix {
    u8 *displacement;
    u64 target; /* in the original */
};
struct copier {
    struct rewrite *r;
    struct arena *arena;
    const struct check_target *to;
    struct emit hot, cold;
    u32 first;
    bool far; /* an operand cannot be reached */
    LIST(struct fix) fixes;
};

/* ---- instructions ---- */

static void to_be_fixed(struct copier *c, u64 target)
{
    emit_4(&c->hot, 0);
    if (c->hot.full)
        return;
    if (LIST_GROW(&c->fixes))
        c->fixes.item[c->fixes.n++] = (struct fix){c->hot.p - 4, target};
    else
        c->hot.full = true;
}

static void jump_to(struct copier *c, u64 target)
{
    emit_1(&c->hot, 0xe9);
    to_be_fixed(c, target);
}

/* As it is, but for an operand that is relative to where it stands. */
static void verbatim(struct copier *c, const struct place *p, const struct insn *in)
{
    u8 *begin = c->hot.p;
    if (!emit_bytes(&c->hot, text_at(c->r, p->at), p->length) || !in->rip)
        return;
    int64_t disp = (int64_t)(operand_address(c->r, p, in) - (u64)c->hot.p);
    int32_t short_disp = (int32_t)disp;
    c->far |= disp != short_disp;
    __builtin_memcpy(begin + in->disp_at, &short_disp, 4);
}

/* The same return address, then the same target: through the same operand, as a jump. */
static void make_up_call(struct copier *c, const struct place *p, const struct insn *in)
{
    u64 back = place_address(c->r, p) + p->length;
    if (!LIST_GROW(&c->r->pushed)) {
        c->hot.full = true;
        return;
    }
    c->r->pushed.item[c->r->pushed.n++] =
        (struct pushed){(u32)((u64)c->hot.p - c->arena->lo), (u32)(back - c->r->image.text_lo)};
    emit_push_address(&c->hot, back);
    if (in->flow == FLOW_CALL) {
        jump_to(c, place_target(c->r, p, in));
        return;
    }
    u8 *begin = c->hot.p;
    verbatim(c, p, in);
    if (!c->hot.full)
        begin[in->opcode_at + 1] = (u8)((begin[in->opcode_at + 1] & ~0x38) | 4 << 3);
}

static void instruction(struct copier *c, const struct place *p, const struct insn *in)
{
    const u8 *code = text_at(c->r, p->at);
    switch (in->flow) {
    case FLOW_JUMP:
        jump_to(c, place_target(c->r, p, in));
        break;
    case FLOW_BRANCH:
        EMIT(&c->hot, 0x0f, (u8)(0x80 | (code[in->opcode_at] & 15)));
        to_be_fixed(c, place_target(c->r, p, in));
        break;
    case FLOW_LOOP:
        emit_bytes(&c->hot, code, p->length - 1u);
        EMIT(&c->hot, 2, 0xeb, 5);
        jump_to(c, place_target(c->r, p, in));
        break;
    case FLOW_CALL:
    case FLOW_CALL_INDIRECT:
        if (p->marks & PLACE_IN_PLACE)
            emit_jump(&c->hot, place_address(c->r, p));
        else
            make_up_call(c, p, in);
        break;
    default:
        verbatim(c, p, in);
    }
}

/* ---- checks ---- */

static void checks_before(struct copier *c, const struct place *p)
{
    struct rewrite *r = c->r;
    for (u32 i = p->checks; i != NOWHERE; i = r->checks.item[i].next) {
        struct check *check = &r->checks.item[i];
        const struct place *access = &r->places.item[check->place];
        struct check_site site = {.number = c->first + i, .live = p->live, .flags_live = p->flags_live};
        struct check_code code;
        place_decode(r, access, &site.in);
        site.address = operand_address(r, access, &site.in);
        check->hot = (u32)((u64)c->hot.p - c->arena->lo);
        check->cold = (u32)((u64)c->cold.p - c->arena->lo);
        check_emit(&c->hot, &c->cold, c->to, &site, &code);
        check->back = code.back;
        check->end = code.end;
        r->counts.spills += code.spills != 0;
        r->counts.flag_saves += code.saves_flags;
    }
}

static void check_after(struct copier *c, const struct place *p, const struct insn *in)
{
    struct rewrite *r = c->r;
    if (!in->lock || in->flow != FLOW_NEXT)
        return;
    for (u32 i = p->checks; i != NOWHERE; i = r->checks.item[i].next) {
        struct check *check = &r->checks.item[i];
        if (&r->places.item[check->place] != p)
            continue;
        check->after = (u32)((u64)c->hot.p - c->arena->lo);
        check_emit_after(&c->hot, c->to, c->first + i);
    }
}

/* ---- functions ---- */

static void function(struct copier *c, const struct function *f)
{
    static const u8 traps[ALIGN] = {0xcc, 0xcc, 0xcc, 0xcc, 0xcc, 0xcc, 0xcc, 0xcc,
                                    0xcc, 0xcc, 0xcc, 0xcc, 0xcc, 0xcc, 0xcc, 0xcc};
    struct insn in = {0};
    emit_bytes(&c->hot, traps, (u32)(-(u64)c->hot.p % ALIGN));
    for (u32 i = f->first; i < f->end; i++) {
        struct place *p = &c->r->places.item[i];
        p->copy = (u32)((u64)c->hot.p - c->arena->lo);
        place_decode(c->r, p, &in);
        checks_before(c, p);
        instruction(c, p, &in);
        check_after(c, p, &in);
    }
    if (flow_falls_through(in.flow))
        jump_to(c, c->r->image.text_lo + f->hi);
}

static void fix_branches(struct copier *c)
{
    for (u32 i = 0; i < c->fixes.n; i++) {
        const struct fix *f = &c->fixes.item[i];
        u32 place = place_at(c->r, f->target);
        u32 copy = place == NOWHERE ? NOWHERE : c->r->places.item[place].copy;
        u64 to = copy == NOWHERE ? f->target : c->arena->lo + copy;
        c->far |= (int64_t)(to - ((u64)f->displacement + 4)) != (int32_t)(to - ((u64)f->displacement + 4));
        emit_patch(f->displacement, to);
    }
}

bool rewrite_copy(struct rewrite *r, struct arena *a, struct check_target *to, u32 first)
{
    struct arena_head *head = (struct arena_head *)a->lo;
    to->cells = (u64)&head->cells;
    to->slow = (u64)head->call_slow;
    struct copier c = {.r = r,
                       .arena = a,
                       .to = to,
                       .hot = {.p = (u8 *)a->copies, .end = (u8 *)a->copies_end},
                       .cold = {.p = (u8 *)a->cold, .end = (u8 *)a->cold_end},
                       .first = first};
    for (u32 i = 0; i < r->functions.n && !c.hot.full && !c.cold.full; i++)
        if (r->functions.item[i].copied)
            function(&c, &r->functions.item[i]);
    bool ok = !c.hot.full && !c.cold.full;
    if (ok)
        fix_branches(&c);
    LIST_FREE(&c.fixes);
    a->copies = (u64)c.hot.p;
    a->cold = (u64)c.cold.p;
    return ok && !c.far;
}
