/* Which accesses are checked, and before which instruction. Called when liveness is known. Takes no lock; memory from the
 * system.
 *
 * Not checked: a thread's own (fs, gs), what nobody writes (read-only parts, what the loader has relocated), and places
 * on the stack whose address is not taken. Of several accesses to the same bytes in a stretch of code without branches
 * and calls one check will do:
 *
 *     mov eax, [rdi]     checked                    mov eax, [rdi]     a read: not checked by itself
 *     add eax, 1                                    add eax, 1
 *     cmp eax, [rdi]     the same                   mov [rdi], eax     checked: a write, and a read before
 *
 * A check changes the flags. Where they are needed it moves up to where they are not, if the address is known there. Not
 * over a change of rsp or rbp: the slow path unwinds with the table's row of the access. */
#include "rewrite.h"

#include "rewrite_check.h"
#include "rewrite_masked.h"

#define WINDOW 16u
#define HOIST_MOST 12u

/* A checked access whose address can still be told from the same registers. */
struct seen {
    u32 place;
    struct insn in;
    u64 address; /* of a rip-relative operand */
};
struct window {
    struct rewrite *r;
    struct seen item[WINDOW];
    u32 n;
    u32 constant; /* registers that point to what nobody writes: tables */
};

/* ---- what is checked at all ---- */

/* Below everything whose address is taken: things on the stack reach upwards from their addresses. */
static bool on_own_stack(const struct function *f, const struct insn *in)
{
    if (!in->has_operand || (in->base != RSP && (in->base != RBP || !f->frame)))
        return false;
    bool bp = in->base == RBP;
    if (f->taken[!bp] != NOTHING_TAKEN) /* through the other register: the distance between them is not known */
        return false;
    return in->index == REG_NONE ? in->disp + in->size <= f->taken[bp] : f->taken[bp] == NOTHING_TAKEN;
}

bool select_is_eligible(const struct rewrite *r, const struct function *f, const struct place *p, const struct insn *in)
{
    if (in->memory == MEM_NONE || in->segment || on_own_stack(f, in))
        return false;
    if (in->rip && in->memory == MEM_OPERAND) {
        if (in->flow != FLOW_NEXT) /* through the table of functions that the loader fills */
            return false;
        return !image_constant(&r->image, operand_address(r, p, in), in->size);
    }
    if (in->has_operand && in->base == REG_NONE && in->index == REG_NONE && in->memory == MEM_OPERAND)
        return !image_constant(&r->image, (u64)in->disp, in->size);
    return true;
}

/* Its check can tell which bytes it accesses (rewrite_slow.c). */
static bool is_measured(const struct insn *in)
{
    if (in->segment || in->memory == MEM_OTHER)
        return false;
    if (in->memory == MEM_MASK_STORE)
        return in->size == 16; /* not by MMX registers */
    return in->memory == MEM_TABLE || (in->size && (!(in->what & OP_SOME_BYTES) || in->element));
}

/* ---- one check for several ---- */

static bool writes_memory(const struct insn *in)
{
    return in->what & OP_MEM_WRITE;
}

/* a's bytes are among b's. */
static bool within(const struct seen *a, const struct seen *b)
{
    if (a->in.rip != b->in.rip || a->in.address_32 || b->in.address_32)
        return false;
    int64_t from = a->in.rip ? (int64_t)(a->address - b->address) : a->in.disp - b->in.disp;
    if (!a->in.rip && (a->in.base != b->in.base || a->in.index != b->in.index || a->in.shift != b->in.shift))
        return false;
    return from >= 0 && from + a->in.size <= b->in.size;
}

static void forget_registers(struct window *w, u16 writes)
{
    u32 out = 0;
    for (u32 i = 0; i < w->n; i++) {
        const struct insn *in = &w->item[i].in;
        if (!((REG_BIT(in->base) | REG_BIT(in->index)) & writes))
            w->item[out++] = w->item[i];
    }
    w->n = out;
}

/* True when an earlier check stands for this access, too. */
static bool covered(const struct window *w, const struct seen *now)
{
    for (u32 i = 0; i < w->n; i++)
        if (within(now, &w->item[i]) && (writes_memory(&w->item[i].in) || !writes_memory(&now->in)))
            return true;
    return false;
}

/* Reads that this write stands for are not checked any more. */
static void take_over(struct window *w, const struct seen *now)
{
    struct place *places = w->r->places.item;
    u32 out = 0;
    for (u32 i = 0; i < w->n; i++) {
        const struct seen *before = &w->item[i];
        if (!writes_memory(&before->in) && within(before, now)) {
            places[before->place].marks &= (u16)~PLACE_CHECKED;
            places[now->place].marks |= PLACE_READ_TOO;
            w->r->counts.merged++;
        } else {
            w->item[out++] = *before;
        }
    }
    w->n = out;
}

static void remember(struct window *w, const struct seen *now)
{
    if (w->n == WINDOW) {
        __builtin_memmove(&w->item[0], &w->item[1], (WINDOW - 1) * sizeof w->item[0]);
        w->n--;
    }
    w->item[w->n++] = *now;
}

static void access_at(struct window *w, struct function *f, u32 i, const struct insn *in)
{
    struct rewrite *r = w->r;
    struct place *p = &r->places.item[i];
    if (!select_is_eligible(r, f, p, in) ||
        (in->base < REG_NONE && (w->constant >> in->base & 1) && !writes_memory(in)))
        return;
    r->counts.eligible++;
    p->marks |= is_measured(in) ? PLACE_ELIGIBLE : PLACE_ELIGIBLE | PLACE_UNMEASURED;
    struct seen now = {.place = i, .in = *in, .address = in->rip ? operand_address(r, p, in) : 0};
    if (check_kind(in, now.address) == CHECK_CALL) {
        p->marks |= PLACE_CHECKED;
        return;
    }
    if (covered(w, &now)) {
        r->counts.merged++;
        return;
    }
    p->marks |= PLACE_CHECKED;
    if (writes_memory(in))
        take_over(w, &now);
    remember(w, &now);
}

static void choose(struct rewrite *r, struct function *f)
{
    struct window w = {.r = r};
    for (u32 i = f->first; i < f->end; i++) {
        struct place *p = &r->places.item[i];
        struct insn in;
        place_decode(r, p, &in);
        if (p->marks & PLACE_LEADER)
            w.n = w.constant = 0;
        access_at(&w, f, i, &in);
        w.constant &= ~(u32)in.writes;
        if (in.rip && in.memory == MEM_NONE && image_constant(&r->image, operand_address(r, p, &in), 1))
            w.constant |= in.wholes;
        if (in.lock || in.flow != FLOW_NEXT || (in.what & OP_ALL_READ))
            w.n = 0;
        else
            forget_registers(&w, in.writes);
    }
    for (u32 i = f->first; i < f->end && !f->copied; i++)
        f->copied = r->places.item[i].marks & PLACE_CHECKED;
    r->counts.copied += f->copied;
}

/* ---- where ---- */

/* The instruction before which the check of place i is to stand. */
static u32 position(struct rewrite *r, const struct function *f, u32 i, const struct insn *in)
{
    const struct place *places = r->places.item;
    u32 stays = REG_BIT(in->base) | REG_BIT(in->index) | REG_BIT(RSP) | REG_BIT(RBP);
    if (!places[i].flags_live || check_kind(in, operand_address(r, &places[i], in)) == CHECK_CALL)
        return i;
    for (u32 k = i; k > f->first && i - k < HOIST_MOST && !(places[k].marks & PLACE_LEADER);) {
        struct insn before;
        place_decode(r, &places[--k], &before);
        if (before.flow != FLOW_NEXT || (before.writes & stays) || before.lock || (before.what & OP_ALL_READ))
            return i;
        if (!places[k].flags_live) {
            r->counts.hoisted++;
            return k;
        }
    }
    return i;
}

static bool place_checks(struct rewrite *r, const struct function *f)
{
    for (u32 i = f->end; i-- > f->first;) {
        struct insn in;
        if (!(r->places.item[i].marks & PLACE_CHECKED))
            continue;
        if (!LIST_GROW(&r->checks))
            return false;
        place_decode(r, &r->places.item[i], &in);
        struct place *at = &r->places.item[position(r, f, i, &in)];
        r->checks.item[r->checks.n] = (struct check){.place = i, .next = at->checks};
        at->checks = r->checks.n++;
        r->counts.calls += check_kind(&in, operand_address(r, &r->places.item[i], &in)) == CHECK_CALL;
    }
    return true;
}

/* ---- which code must run as a copy ---- */

static bool need_step(struct rewrite *r, u32 i)
{
    struct place *p = &r->places.item[i];
    bool needed = p->checks != NOWHERE;
    u32 after = place_after(r, i);
    if (flow_falls_through(p->flow) && after != NOWHERE)
        needed |= (r->places.item[after].marks & PLACE_NEEDED) != 0;
    if (flow_has_target(p->flow) && p->target != NOWHERE)
        needed |= (r->places.item[p->target].marks & PLACE_NEEDED) != 0;
    if (needed)
        p->marks |= PLACE_NEEDED;
    return needed;
}

static void mark_needed(struct rewrite *r)
{
    for (bool changed = true; changed;) {
        changed = false;
        for (u32 f = r->functions.n; f-- > 0;) {
            const struct function *fn = &r->functions.item[f];
            for (u32 i = fn->end; fn->copied && i-- > fn->first;)
                if (!(r->places.item[i].marks & PLACE_NEEDED))
                    changed |= need_step(r, i);
        }
    }
}

/* Code that is not copied may go on in code that is. */
static void mark_crossings(struct rewrite *r)
{
    for (u32 f = 0; f < r->functions.n; f++) {
        const struct function *fn = &r->functions.item[f];
        for (u32 i = fn->first; !fn->copied && i < fn->end; i++) {
            const struct place *p = &r->places.item[i];
            if (flow_has_target(p->flow) && p->target != NOWHERE)
                r->places.item[p->target].marks |= PLACE_ENTRY;
        }
        u32 after = fn->end ? place_after(r, fn->end - 1) : NOWHERE;
        if (!fn->copied && after != NOWHERE && flow_falls_through(r->places.item[fn->end - 1].flow))
            r->places.item[after].marks |= PLACE_ENTRY;
    }
}

/* From here original code would run, and does not begin with a jump to its copy. */
static bool runs_on(const struct rewrite *r, u32 place)
{
    const struct place *p = &r->places.item[place];
    return place != NOWHERE && !(p->marks & PLACE_STAYS) && !place_is_head(p);
}

/* Original code runs on from entries that lead to no check, up to the next one that does. */
bool rewrite_stays(struct rewrite *r)
{
    LIST(u32) todo = {0};
    if (!LIST_HOLD(&todo, 3ULL * r->places.n + 3))
        return false;
    for (u32 i = 0; i < r->places.n; i++)
        if ((r->places.item[i].marks & PLACE_ENTRY) && runs_on(r, i))
            todo.item[todo.n++] = i;
    while (todo.n) {
        u32 i = todo.item[--todo.n];
        struct place *p = &r->places.item[i];
        p->marks |= PLACE_STAYS;
        u32 after = flow_falls_through(p->flow) ? place_after(r, i) : NOWHERE;
        u32 target = flow_has_target(p->flow) ? p->target : NOWHERE;
        if (runs_on(r, after))
            todo.item[todo.n++] = after;
        if (target != after && runs_on(r, target))
            todo.item[todo.n++] = target;
    }
    LIST_FREE(&todo);
    return true;
}

/* ---- entries that are jumps ---- */

/* A short jump is left as it is: what it goes to becomes the entry. */
static void pass_on(struct rewrite *r)
{
    for (u32 turn = 0; turn < 2; turn++) { /* one may go to another */
        for (u32 i = 0; i < r->places.n; i++) {
            struct place *p = &r->places.item[i];
            if (!place_is_head(p) || p->flow != FLOW_JUMP || p->checks != NOWHERE || p->length > 4 ||
                p->target == NOWHERE)
                continue;
            r->places.item[p->target].marks |= PLACE_ENTRY;
            p->marks |= PLACE_FAILED;
        }
    }
}

/* ---- calls that cannot stay ---- */

#define JUMP 5u

/* A copy can make up for it: push what it would push, and jump. */
static bool can_be_made_up(const struct rewrite *r, const struct place *p)
{
    struct insn in;
    return place_decode(r, p, &in) && !(in.has_operand && in.base == RSP);
}

/* An entry needs five bytes. A call that begins in them, or is the entry and has a check, cannot be executed in place. */
static void release_calls(struct rewrite *r)
{
    for (u32 i = 0; i < r->places.n; i++) {
        const struct place *head = &r->places.item[i];
        if (!place_is_head(head) || ((head->marks & PLACE_IN_PLACE) && head->checks == NOWHERE))
            continue;
        for (u32 k = i; k < r->places.n && r->places.item[k].at < head->at + JUMP; k++) {
            struct place *p = &r->places.item[k];
            if (!(p->marks & PLACE_IN_PLACE) || !function_of(r, k)->copied || !can_be_made_up(r, p))
                continue;
            p->marks &= (u16)~PLACE_IN_PLACE;
            r->counts.made_up++;
        }
    }
}

bool rewrite_select(struct rewrite *r)
{
    for (u32 i = 0; i < r->functions.n; i++) {
        if (r->image.below && r->image.text_lo + r->functions.item[i].lo >= r->image.below)
            break;
        choose(r, &r->functions.item[i]);
        if (!place_checks(r, &r->functions.item[i]))
            return false;
    }
    r->counts.checks = r->checks.n;
    mark_crossings(r);
    mark_needed(r);
    pass_on(r);
    release_calls(r);
    return rewrite_stays(r);
}
